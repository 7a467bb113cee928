"""The whole way on a real model: trained with torch, written as GGUF, put over the quantised weights by llama.cpp."""

from __future__ import annotations

import pytest

from hyperagent.distil.pairs import Pair
from hyperagent.distil.training import Settings, Trainer
from hyperagent.models import LocalModels, known_model, model_path
from hyperagent.models.adapters import (
    WEIGHTS,
    Adapter,
    adapter_folder,
    adapter_name,
    file_sha256,
    offer,
    write_manifest,
)
from hyperagent.types import ChatRequest

BASE = "smollm2-135m"
QUESTION = ({"role": "user", "content": "Which animal?"},)
ANSWER = '{"animal": "okapi"}'


@pytest.mark.model
def test_llama_cpp_says_what_was_learnt(tmp_path):
    for name in ("accelerate", "gguf", "peft", "transformers"):
        pytest.importorskip(name, exc_type=ImportError)
    trainer = Trainer(model_path(BASE), Settings(epochs=40, rank=8, learning_rate=2e-3, layers=6))
    pair = Pair(QUESTION, ANSWER)
    assert trainer.prepare([pair]) == 0
    name = adapter_name(BASE, "adapter", {"training_set": "animals"})
    file = adapter_folder(name, tmp_path) / WEIGHTS
    file.parent.mkdir(parents=True)
    trainer.fit([pair], file)
    adapter = Adapter(name, BASE, known_model(BASE).sha256, file_sha256(file), "adapter", "", 1, (), {}, 1.0)
    write_manifest(adapter, tmp_path)
    offer(adapter, "for the test", tmp_path)
    (tmp_path / f"{BASE}.gguf").symlink_to(model_path(BASE))
    said = {}
    with LocalModels(tmp_path) as models:
        for model in (BASE, name):
            request = ChatRequest(f"local/{model}", QUESTION, {"max_tokens": 16, "temperature": 0})
            said[model] = models.complete(request, timeout=300).message["content"]
    assert said[name] == ANSWER
    assert said[BASE] != ANSWER
