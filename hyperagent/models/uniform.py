"""The controls without a model. ``random/uniform`` draws uniformly from the JSON schema that a request asks for;
``random/first`` takes the first of every choice and the least of every number: of a ranked menu, the best."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping

from hyperagent.errors import ModelRequestInvalid
from hyperagent.models import wire
from hyperagent.types import ChatReply, ChatRequest, Json

_DEFAULT_LENGTH = 16
_DEFAULT_ITEMS = 3
_DEFAULT_SPAN = 100
_DEPTH_LIMIT = 32
FIRST = "random/first"
_SYLLABLES = ("ba", "de", "fi", "go", "ku", "la", "me", "ni", "po", "ru", "sa", "te")


class UniformClient:
    """Answers with a uniformly random (``random/first``: the first) instance of the request's ``response_format``
    schema; else with an empty string.

    The draw is a function of the canonical request (its ``seed`` included): equal requests get equal replies.
    """

    def complete(self, request: ChatRequest, *, timeout: float) -> ChatReply:
        """Raises ModelRequestInvalid where the schema uses what :func:`draw` does not know."""
        schema = schema_of(request.parameters)
        text = ""
        if schema is not None:
            digest = wire.request_hash(wire.canonical_request(request))
            source = _First() if request.model == FIRST else random.Random(digest)
            text = json.dumps(draw(schema, source), ensure_ascii=False)
        return ChatReply({"role": "assistant", "content": text}, "stop", 0, 0)

    def price(self, request: ChatRequest, prompt_tokens: int, completion_tokens: int) -> float:
        return 0.0


class _First(random.Random):
    """Chance that always falls on the first."""

    def random(self) -> float:
        return 0.0

    def getrandbits(self, k: int, /) -> int:
        return 0


def schema_of(parameters: Mapping[str, Json]) -> Json:
    """The JSON schema of ``response_format``, or None."""
    form = parameters.get("response_format")
    if not isinstance(form, dict) or form.get("type") != "json_schema":
        return None
    wrapper = form.get("json_schema")
    return wrapper.get("schema") if isinstance(wrapper, dict) else None


def draw(schema: Json, source: random.Random, depth: int = 0) -> Json:
    """One instance of ``schema``: uniform over enum values, branches, bounded numbers and lengths.

    Knows const, enum, oneOf, anyOf, object, array, string (``examples`` first), integer, number, boolean and null.
    Optional properties are always present: the control draws from the whole space of what may be said.

    Raises:
        ModelRequestInvalid: Unknown type, impossible bounds, or nesting beyond 32.
    """
    if not isinstance(schema, dict) or depth > _DEPTH_LIMIT:
        raise ModelRequestInvalid("random/uniform: a schema must be an object, nested at most 32 deep")
    if "const" in schema:
        return schema["const"]
    for choices in (schema.get("enum"), schema.get("oneOf"), schema.get("anyOf")):
        if choices is not None:
            return _choose(schema, choices, source, depth)
    kind = schema.get("type")
    if kind == "object":
        properties = schema.get("properties") or {}
        return {name: draw(part, source, depth + 1) for name, part in properties.items()}
    if kind == "array":
        low = int(schema.get("minItems", 0))
        count = _between(low, int(schema.get("maxItems", low + _DEFAULT_ITEMS)), source)
        return [draw(schema.get("items", {"type": "null"}), source, depth + 1) for _ in range(count)]
    if kind == "string":
        return _text(schema, source)
    if kind in ("integer", "number"):
        return _number(schema, source, kind == "integer")
    if kind == "boolean":
        return source.random() < 0.5
    if kind == "null":
        return None
    raise ModelRequestInvalid(f"random/uniform: cannot draw from a schema of type {kind!r}")


def _choose(schema: Mapping[str, Json], choices: Json, source: random.Random, depth: int) -> Json:
    if not isinstance(choices, list) or not choices:
        raise ModelRequestInvalid("random/uniform: enum, oneOf and anyOf must be lists that are not empty")
    chosen = choices[source.randrange(len(choices))]
    return chosen if "enum" in schema else draw(chosen, source, depth + 1)


def _between(low: int, high: int, source: random.Random) -> int:
    if high < low:
        raise ModelRequestInvalid(f"random/uniform: bounds {low} to {high} leave nothing to draw")
    return source.randint(low, high)


def _number(schema: Mapping[str, Json], source: random.Random, integral: bool) -> Json:
    low = schema.get("minimum", 0)
    high = schema.get("maximum", low + _DEFAULT_SPAN)
    if integral:
        return _between(int(low), int(high), source)
    if high < low:
        raise ModelRequestInvalid(f"random/uniform: bounds {low} to {high} leave nothing to draw")
    return source.uniform(float(low), float(high))


def _text(schema: Mapping[str, Json], source: random.Random) -> str:
    examples = schema.get("examples")
    if isinstance(examples, list) and examples:
        return str(source.choice(examples))
    low = int(schema.get("minLength", 0))
    length = _between(low, min(int(schema.get("maxLength", low + _DEFAULT_LENGTH)), low + 10_000), source)
    text = ""
    while len(text) < length:
        text += "".join(source.choice(_SYLLABLES) for _ in range(source.randint(1, 4))) + " "
    return text[:length]
