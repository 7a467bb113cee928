"""The control without a model draws valid, reproducible and evenly spread instances."""

from __future__ import annotations

import json
import random
from collections import Counter
from typing import Any

import pytest

from hyperagent.errors import ModelRequestInvalid
from hyperagent.models import UniformClient
from hyperagent.models.uniform import draw
from hyperagent.types import ChatRequest

SCHEMA = {
    "type": "object",
    "properties": {
        "kind": {"const": "edit"},
        "line": {"enum": ["a", 2, None]},
        "count": {"type": "integer", "minimum": 3, "maximum": 5},
        "share": {"type": "number", "minimum": 0.5, "maximum": 1},
        "words": {"type": "array", "items": {"type": "string", "maxLength": 4}, "minItems": 1, "maxItems": 2},
        "text": {"type": "string", "examples": ["x", "y"]},
        "on": {"type": "boolean"},
        "either": {"oneOf": [{"const": 1}, {"type": "object", "properties": {"z": {"type": "null"}}}]},
    },
    "required": ["kind"],
}


def ask(seed: int) -> str:
    form = {"type": "json_schema", "json_schema": {"schema": SCHEMA}}
    request = ChatRequest(
        "random/uniform", ({"role": "user", "content": "q"},), {"seed": seed, "response_format": form}
    )
    reply = UniformClient().complete(request, timeout=1)
    assert (reply.prompt_tokens, reply.completion_tokens, reply.cost) == (0, 0, 0.0)
    return str(reply.message["content"])


def test_instances_are_valid_and_reproducible() -> None:
    texts = [ask(seed) for seed in range(60)]
    assert texts == [ask(seed) for seed in range(60)]
    assert len(set(texts)) > 50
    for value in map(json.loads, texts):
        assert value["kind"] == "edit"
        assert value["line"] in ["a", 2, None]
        assert 3 <= value["count"] <= 5
        assert 0.5 <= value["share"] <= 1
        assert 1 <= len(value["words"]) <= 2
        assert all(len(word) <= 4 for word in value["words"])
        assert value["text"] in "xy"
        assert isinstance(value["on"], bool)
        assert value["either"] in (1, {"z": None})


def test_the_draw_is_even() -> None:
    source = random.Random(5)
    counts = Counter(draw({"anyOf": [{"const": 1}, {"const": 2}, {"enum": [3, 3]}]}, source) for _ in range(3000))
    assert all(900 < counts[value] < 1100 for value in (1, 2, 3))


def test_without_a_schema_the_reply_is_empty() -> None:
    reply = UniformClient().complete(ChatRequest("random/uniform", (), {}), timeout=1)
    assert reply.message["content"] == ""


@pytest.mark.parametrize(
    "schema", [{"type": "odd"}, {"enum": []}, {"type": "integer", "minimum": 2, "maximum": 1}, "no schema"]
)
def test_what_cannot_be_drawn_is_the_requests_fault(schema: Any) -> None:
    with pytest.raises(ModelRequestInvalid):
        draw(schema, random.Random(1))


def test_first_takes_the_first_of_every_choice() -> None:
    form = {"type": "json_schema", "json_schema": {"schema": SCHEMA}}
    for seed in range(3):
        request = ChatRequest(
            "random/first", ({"role": "user", "content": "q"},), {"seed": seed, "response_format": form}
        )
        value = json.loads(str(UniformClient().complete(request, timeout=1).message["content"]))
        assert (value["line"], value["count"], value["text"], value["either"]) == ("a", 3, "x", 1)
