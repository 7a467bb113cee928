"""Adapters of local models: named after their training, offered or not, and checked before they are used."""

from __future__ import annotations

import hashlib

import pytest

from hyperagent.errors import ModelUnavailable, NotFoundError
from hyperagent.models import LocalModels, known_model
from hyperagent.models.adapters import (
    WEIGHTS,
    Adapter,
    adapter_folder,
    adapter_name,
    list_adapters,
    offer,
    read_adapter,
    usable_weights,
    write_manifest,
)
from hyperagent.types import ChatRequest

BASE = "smollm2-135m"


@pytest.fixture
def adapter(tmp_path):
    name = adapter_name(BASE, "adapter", {"training_set": "x"})
    folder = adapter_folder(name, tmp_path)
    folder.mkdir(parents=True)
    (folder / WEIGHTS).write_bytes(b"lora")
    made = Adapter(
        name, BASE, known_model(BASE).sha256, hashlib.sha256(b"lora").hexdigest(), "adapter", "ab" * 32, 9,
        ("quickstart",), {"rank": 8}, 1.0,
    )  # fmt: skip
    write_manifest(made, tmp_path)
    return made


def test_a_manifest_comes_back_as_it_was(adapter, tmp_path):
    assert read_adapter(adapter.name, tmp_path) == adapter
    assert list_adapters(tmp_path) == [adapter]


def test_the_name_says_what_went_in():
    names = {
        adapter_name(BASE, "adapter", {"training_set": text, "settings": {"seed": s}}) for text in "xy" for s in (1, 2)
    }
    assert len(names) == 4
    assert adapter_name(BASE, "adapter", {"a": 1, "b": 2}) == adapter_name(BASE, "adapter", {"b": 2, "a": 1})


def test_only_what_is_offered_can_be_used(adapter, tmp_path):
    with pytest.raises(ModelUnavailable, match="not offered: not evaluated") as refused:
        usable_weights(adapter.name, tmp_path)
    assert "--offer-anyway" in refused.value.hint
    file = usable_weights(adapter.name, tmp_path, insist=True)
    offer(adapter, "better", tmp_path)
    assert usable_weights(adapter.name, tmp_path) == file
    assert read_adapter(adapter.name, tmp_path).why == "better"


def test_a_campaign_cannot_reach_an_adapter_that_is_not_offered(adapter, tmp_path):
    (tmp_path / f"{BASE}.gguf").write_bytes(b"weights")
    request = ChatRequest(f"local/{adapter.name}", ({"role": "user", "content": "x"},))
    with LocalModels(tmp_path) as models, pytest.raises(ModelUnavailable, match="not offered"):
        models.complete(request, timeout=1)


def test_other_bytes_are_refused(adapter, tmp_path):
    offer(adapter, "better", tmp_path)
    (adapter_folder(adapter.name, tmp_path) / WEIGHTS).write_bytes(b"other")
    with pytest.raises(ModelUnavailable, match="not what was trained"):
        usable_weights(adapter.name, tmp_path)


@pytest.mark.parametrize(
    "mark", ["", "..", "../../x", "0123456789/..", "0123456789abc", "0123456789-other", "XYZ3456789"]
)
def test_no_name_leads_out_of_the_folder(mark, tmp_path):
    with pytest.raises(NotFoundError):
        adapter_folder(f"{BASE}+{mark}", tmp_path)
    with pytest.raises(NotFoundError):
        adapter_folder(f"other+{'0' * 10}", tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"name": "x"}', "\ud800".encode("utf-8", "surrogatepass")])
def test_a_damaged_manifest_is_an_error_and_not_a_traceback(adapter, tmp_path, text):
    file = adapter_folder(adapter.name, tmp_path) / "manifest.json"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ModelUnavailable, match="damaged"):
        read_adapter(adapter.name, tmp_path)
    assert list_adapters(tmp_path) == []
