"""The transformers engine on a tiny random model: batches, seeds, limits and grammars. Skipped without torch."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from hyperagent.errors import ModelRequestInvalid
from hyperagent.models.serving.batching import Generation, OutOfRoom
from hyperagent.models.serving.torch_engine import SOURCE_FILE, TorchEngine, _Row, converted
from hyperagent.types import ChatReply, Json

for package in ("torch", "transformers", "gguf", "llguidance"):
    pytest.importorskip(package)

REFUSE = "{% if m['role'] == 'tool' %}{{ raise_exception('no') }}{% endif %}"
CHAT = "{% for m in messages %}" + REFUSE + "{{ m['content'] }}\n{% endfor %}"
SCHEMA = {
    "type": "object",
    "properties": {
        "kind": {"enum": ["vote", "rule"]},
        "cut": {"type": "integer", "minimum": -5, "maximum": 12},
        "word": {"type": "string", "maxLength": 6},
        "more": {"type": "array", "items": {"type": "boolean"}, "maxItems": 2},
    },
    "required": ["kind", "cut", "word", "more"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A two-layer model over bytes with random weights, large enough ones that its logits differ clearly."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: index for index, letter in enumerate([*letters, "<end>"])}
    inner = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="<end>", chat_template=CHAT)
    torch.set_num_threads(1)  # several would cost such a small model more than they save
    torch.manual_seed(5)
    config = LlamaConfig(
        vocab_size=300,  # larger than the tokenizer's, as real ones are
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        initializer_range=0.4,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
    )
    path = tmp_path_factory.mktemp("model")
    LlamaForCausalLM(config).save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def engine(directory: Path) -> TorchEngine:
    return TorchEngine(directory, device="cpu", dtype="float32", context=200)


def ask(said: str, **parameters: Json) -> Generation:
    return Generation([{"role": "user", "content": said}], {"max_tokens": 12, "temperature": 0, **parameters})


def form(schema: Json) -> Json:
    return {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}


def one(engine: TorchEngine, request: Generation) -> ChatReply:
    (reply,) = engine.generate([request])
    assert isinstance(reply, ChatReply)
    return reply


def test_a_batch_gives_everyone_what_they_would_get_alone(engine: TorchEngine) -> None:
    requests = [ask("a" * (1 + 7 * n), max_tokens=3 + 5 * (n % 3)) for n in range(6)]
    together = engine.generate(requests)
    assert together == [one(engine, request) for request in requests]
    assert [reply.completion_tokens for reply in together if isinstance(reply, ChatReply)] == [3, 8, 13] * 2
    assert len({str(reply) for reply in together}) == 6


def test_a_seed_means_the_same_in_every_batch(engine: TorchEngine) -> None:
    warm = ask("hello", temperature=1.0, seed=3)
    alone = one(engine, warm)
    others = [ask("hello", temperature=1.0, seed=4), ask("longer than that", temperature=1.5, top_p=0.5, seed=3)]
    assert engine.generate([*others, warm])[-1] == alone
    assert one(engine, others[0]) != alone


def rows(count: int, temperature: float, top_p: float) -> list[_Row]:
    return [_Row(n, [1], 9, temperature, top_p, random.Random(n), ()) for n in range(count)]


def test_tokens_are_drawn_with_their_shares(engine: TorchEngine) -> None:
    import torch

    logits = torch.log(torch.tensor([0.5, 0.25, 0.2, 0.05])).repeat(4000, 1)

    def shares(temperature: float, top_p: float) -> list[float]:
        found = Counter(engine._choose(logits.clone(), rows(4000, temperature, top_p)))
        return [found[token] / 4000 for token in range(4)]

    assert shares(0, 1) == [1, 0, 0, 0]
    assert shares(1, 1) == pytest.approx([0.5, 0.25, 0.2, 0.05], abs=0.03)  # 0.03 is 3.8 standard errors
    assert shares(1, 0.7) == pytest.approx([2 / 3, 1 / 3, 0, 0], abs=0.03)
    assert shares(1, 0.7)[2:] == [0, 0]
    assert shares(1, 0) == [1, 0, 0, 0]
    squares = [share**2 for share in (0.5, 0.25, 0.2, 0.05)]
    assert shares(0.5, 1) == pytest.approx([square / sum(squares) for square in squares], abs=0.03)


@pytest.mark.parametrize("temperature", [0, 1.0])
def test_a_schema_binds_even_a_random_model(engine: TorchEngine, temperature: float) -> None:
    bound = [
        ask(f"q{n}", temperature=temperature, seed=n, response_format=form(SCHEMA), max_tokens=100) for n in range(4)
    ]
    replies = engine.generate([ask("free"), *bound])
    for reply in replies[1:]:
        assert isinstance(reply, ChatReply)
        assert reply.finish_reason == "stop"
        jsonschema.validate(json.loads(reply.message["content"]), SCHEMA)
    assert replies[0] == one(engine, ask("free"))


def test_any_object_can_be_asked_for(engine: TorchEngine) -> None:
    reply = one(engine, ask("x", response_format={"type": "json_object"}, max_tokens=30))
    assert reply.message["content"].startswith("{")
    assert one(engine, ask("x", response_format={"type": "text"})) == one(engine, ask("x"))


def test_a_stop_text_ends_a_reply_and_is_cut_off(engine: TorchEngine) -> None:
    whole = str(one(engine, ask("abc")).message["content"])
    stop = whole[4:6]
    reply = one(engine, ask("abc", stop=["never there", stop]))
    assert (reply.message["content"], reply.finish_reason) == (whole[: whole.index(stop)], "stop")


def test_a_reply_ends_at_the_end_token_at_its_limit_or_at_the_context(engine: TorchEngine) -> None:
    assert (one(engine, ask("abc")).finish_reason, one(engine, ask("abc")).completion_tokens) == ("length", 12)
    row = _Row(0, [1], 9, 0, 1, random.Random(0), ())
    engine._take(row, engine.tokenizer.eos_token_id)
    assert (row.finish, row.made) == ("stop", [])
    long = one(engine, ask("a" * 190, max_tokens=500))
    assert long.prompt_tokens + long.completion_tokens <= 200


def test_raw_text_is_continued_without_the_chat_template(engine: TorchEngine) -> None:
    assert one(engine, ask("abc")).prompt_tokens == 4
    assert one(engine, ask("abc")._replace(raw=True)).prompt_tokens == 3


BAD: Sequence[tuple[dict[str, Any], str]] = [
    ({"response_format": {"type": "xml"}}, "response_format"),
    ({"response_format": "json"}, "response_format"),
    ({"response_format": {"type": "json_schema"}}, "must be an object"),
    ({"response_format": form({"type": "bogus"})}, "response_format"),
    ({"response_format": form({"enum": ["x" * 70_000]})}, "65536"),
    ({"stop": ["x" * 101]}, "stop"),
    ({"stop": ["a"] * 9}, "stop"),
    ({"stop": [""]}, "stop"),
]


@pytest.mark.parametrize(("parameters", "said"), BAD)
def test_a_bad_request_is_refused_without_its_neighbours(
    engine: TorchEngine, parameters: dict[str, Json], said: str
) -> None:
    bad, good = engine.generate([ask("x", **parameters), ask("abc")])
    assert isinstance(bad, ModelRequestInvalid)
    assert said in bad.message
    assert good == one(engine, ask("abc"))


def test_prompts_that_cannot_be_read_are_refused(engine: TorchEngine) -> None:
    too_long, refused = engine.generate([ask("a" * 300), Generation([{"role": "tool", "content": "x"}], {})])
    assert isinstance(too_long, ModelRequestInvalid)
    assert "1 to 199 fit" in too_long.message
    assert isinstance(refused, ModelRequestInvalid)
    assert "chat template" in refused.message


def test_a_batch_that_does_not_fit_is_said_to_be_too_large(directory: Path) -> None:
    import torch

    def full(**inputs: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    engine = TorchEngine(directory, device="cpu", dtype="float32", context=200)
    engine.model.forward = full
    with pytest.raises(OutOfRoom, match="out of memory"):
        engine.generate([ask("x")])


def test_a_conversion_that_is_there_is_taken_and_one_that_fails_leaves_nothing(tmp_path: Path) -> None:
    from hyperagent.errors import ModelUnavailable

    weights = tmp_path / "m.gguf"
    weights.write_bytes(b"no weights")
    with pytest.raises(ModelUnavailable, match="cannot be converted"):
        converted(weights, "ab" * 32, "m")
    assert list(tmp_path.iterdir()) == [weights]
    there = tmp_path / "m-abababababab.safetensors"
    there.mkdir()
    (there / SOURCE_FILE).write_text("{}")
    assert converted(weights, "ab" * 32, "m") == there
