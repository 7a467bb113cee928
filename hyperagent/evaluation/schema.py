"""The JSON Schema of ``benchmark.toml``, and as much of JSON Schema (draft 2020-12) as it takes to apply it.

The reader stops at the first wrong key; this names all of them. It knows the keywords that our schema uses and no
others, so that no campaign needs a library for it; tests compare it with one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from hyperagent.evaluation.packfile import nearest
from hyperagent.types import Json

SCHEMA_FILE = Path(__file__).with_name("benchmark.schema.json")
_KINDS: Mapping[str, Callable[[Json], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
}
_IGNORED = frozenset({"$schema", "$defs", "title", "description", "default", "then", "else"})


def schema_text() -> str:
    """The schema as the file that ships with the package."""
    return SCHEMA_FILE.read_text(encoding="utf-8")


def manifest_schema() -> dict[str, Any]:
    return dict(json.loads(schema_text()))


def faults(value: Json, schema: Mapping[str, Any], root: Mapping[str, Any] | None = None, place: str = "") -> list[str]:
    """What is wrong with a value, one line each, beginning with where (``sources.real.file``); empty where nothing is.

    Raises:
        ValueError: The schema uses a keyword that is not known here.
    """
    found: list[str] = []
    for keyword, demand in schema.items():
        if keyword in _RULES:
            found += _RULES[keyword](value, demand, schema, root or schema, place)
        elif keyword not in _IGNORED:
            raise ValueError(f"unknown keyword {keyword}")
    return found


def _reference(value: Json, demand: Json, schema: Json, root: Json, place: str) -> list[str]:
    return faults(value, root["$defs"][demand.removeprefix("#/$defs/")], root, place)


def _kind(value: Json, demand: Json, schema: Json, root: Json, place: str) -> list[str]:
    return [] if _KINDS[demand](value) else [f"{place or 'the file'} must be of type {demand}, not {_shown(value)}"]


def _enum(value: Json, demand: Json, schema: Json, root: Json, place: str) -> list[str]:
    return [] if value in demand else [f"{place} must be one of {', '.join(map(str, demand))}, not {_shown(value)}"]


def _const(value: Json, demand: Json, schema: Json, root: Json, place: str) -> list[str]:
    return [] if type(value) is type(demand) and value == demand else [f"{place} must be {demand}"]


def _pattern(value: Json, demand: Json, schema: Json, root: Json, place: str) -> list[str]:
    good = not isinstance(value, str) or re.search(demand, value)
    return [] if good else [f"{place} holds {_shown(value)}, which is not pinned as name==version"]


def _bound(measure: Callable[[Json], Any], kind: str, least: bool, words: str) -> Rule:
    def rule(value: Json, demand: Json, schema: Json, root: Json, place: str) -> list[str]:
        if not _KINDS[kind](value):
            return []
        size = measure(value)
        return [f"{place or 'the file'} {words.format(demand)}"] if (size < demand if least else size > demand) else []

    return rule


def _required(value: Json, demand: Json, schema: Json, root: Json, place: str) -> list[str]:
    missing = [name for name in demand if isinstance(value, dict) and name not in value]
    return [f"{_below(place, name)} is missing" for name in missing]


def _members(value: Json, demand: Json, schema: Json, root: Json, place: str) -> Iterator[str]:
    """``properties`` and ``additionalProperties`` together: the second is about what the first does not name."""
    if not isinstance(value, dict):
        return
    known = schema.get("properties", {})
    for name, content in value.items():
        if name in known:
            continue
        if demand is False:
            hint = nearest(name, list(known)) or f"Known here: {', '.join(known)}."
            yield f"{_below(place, name)} is unknown. {hint}"
        else:
            yield from faults(content, demand, root, _below(place, name))


def _properties(value: Json, demand: Json, schema: Json, root: Json, place: str) -> Iterator[str]:
    for name, content in value.items() if isinstance(value, dict) else ():
        if name in demand:
            yield from faults(content, demand[name], root, _below(place, name))


def _items(value: Json, demand: Json, schema: Json, root: Json, place: str) -> Iterator[str]:
    for index, item in enumerate(value if isinstance(value, list) else ()):
        yield from faults(item, demand, root, f"{place}.{index}")


def _all_of(value: Json, demand: Json, schema: Json, root: Json, place: str) -> list[str]:
    return [fault for part in demand for fault in faults(value, part, root, place)]


def _any_of(value: Json, demand: Json, schema: Json, root: Json, place: str) -> list[str]:
    """The faults of the last branch, which is the full form of what may also be left empty."""
    tried = [faults(value, part, root, place) for part in demand]
    return [] if not all(tried) else tried[-1]


def _one_of(value: Json, demand: Json, schema: Json, root: Json, place: str) -> list[str]:
    fitting = sum(not faults(value, part, root, place) for part in demand)
    return [] if fitting == 1 else [f"{place} {schema.get('description', 'fits none or more than one form')}"]


def _condition(value: Json, demand: Json, schema: Json, root: Json, place: str) -> list[str]:
    branch = "else" if faults(value, demand, root, place) else "then"
    return faults(value, schema.get(branch, {}), root, place)


def _below(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name


def _shown(value: Json) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


Rule = Callable[[Json, Json, Any, Any, str], Any]
_RULES: Mapping[str, Rule] = {
    "$ref": _reference,
    "type": _kind,
    "enum": _enum,
    "const": _const,
    "pattern": _pattern,
    "minimum": _bound(lambda value: value, "number", True, "must be at least {}"),
    "minLength": _bound(len, "string", True, "must not be empty"),
    "maxLength": _bound(len, "string", False, "must be empty"),
    "minItems": _bound(len, "array", True, "must have at least {} entries"),
    "minProperties": _bound(len, "object", True, "must hold at least {} table"),
    "maxProperties": _bound(len, "object", False, "must hold at most {} keys"),
    "required": _required,
    "properties": _properties,
    "additionalProperties": _members,
    "items": _items,
    "allOf": _all_of,
    "anyOf": _any_of,
    "oneOf": _one_of,
    "if": _condition,
}
