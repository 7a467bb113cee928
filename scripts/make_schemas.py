"""Write docs/schemas: a JSON Schema of what each verb that looks prints with --json, made from the records' own types.

scripts/make_schemas.py [FOLDER]
"""

from __future__ import annotations

import dataclasses
import json
import sys
import types
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from hyperagent import types as records

VERSION = 1
ROOT = Path(__file__).parent.parent
PLAIN: Mapping[Any, dict[str, Any]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    type(None): {"type": "null"},
    Any: {},
}


def schema_of(kind: Any, defs: dict[str, Any]) -> dict[str, Any]:
    """The schema of a type that ``hyperagent.cli.output.record`` writes; dataclasses go into ``defs``."""
    if kind in PLAIN:
        return dict(PLAIN[kind])
    if dataclasses.is_dataclass(kind):
        name = kind.__name__  # type: ignore[union-attr]
        if name not in defs:
            defs[name] = {}  # taken, should the type contain itself
            hints = get_type_hints(kind)
            defs[name] = members({field.name: hints[field.name] for field in dataclasses.fields(kind)}, defs)
        return {"$ref": f"#/$defs/{name}"}
    origin, parts = get_origin(kind), get_args(kind)
    if origin is Literal:
        return {"enum": list(parts)}
    if origin in (Union, types.UnionType):
        return {"anyOf": [schema_of(part, defs) for part in parts]}
    if origin is tuple and parts[-1] is not ...:
        return {"type": "array", "prefixItems": [schema_of(part, defs) for part in parts], "minItems": len(parts)}
    if origin in (tuple, list, Sequence):
        return {"type": "array", "items": schema_of(parts[0], defs)}
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {"type": "object", "additionalProperties": schema_of(parts[1], defs)}
    raise TypeError(f"no schema for {kind}")


def members(hints: Mapping[str, Any], defs: dict[str, Any]) -> dict[str, Any]:
    """An object that has all of these; later releases may add others."""
    properties = {name: hint if isinstance(hint, dict) else schema_of(hint, defs) for name, hint in hints.items()}
    return {"type": "object", "properties": properties, "required": list(properties)}


def with_members(kind: Any, extra: Mapping[str, Any], defs: dict[str, Any]) -> dict[str, Any]:
    """A record's members and some beside or instead of them."""
    hints = get_type_hints(kind)
    plain = {field.name: hints[field.name] for field in dataclasses.fields(kind)}
    return members({**plain, **extra}, defs)


def listed(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


def schemas() -> dict[str, dict[str, Any]]:
    """File name without its ending -> schema."""
    variant, interval = records.Variant, records.Interval | None
    ids = {"a": str, "b": str}
    made: dict[str, dict[str, Any]] = {}

    def verb(name: str, **hints: Any) -> None:
        defs: dict[str, Any] = {}
        hints = {key: hint(defs) if isinstance(hint, types.FunctionType) else hint for key, hint in hints.items()}
        body = members({"schema": {"const": VERSION}, "schema_version": {"const": VERSION}, **hints}, defs)
        title = f"hyperagent {name.replace('-', ' ')} --json"
        head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title}
        made[name] = {**head, **body, "$defs": dict(sorted(defs.items()))}

    def node(defs: dict[str, Any]) -> dict[str, Any]:
        return listed(with_members(variant, {"interval": interval, "gain": float | None, "best_path": bool}, defs))

    def pair(defs: dict[str, Any]) -> dict[str, Any]:
        return {"anyOf": [with_members(records.Comparison, ids, defs), {"type": "null"}]}

    verb(
        "status",
        campaign=records.Campaign,
        writer=Mapping[str, Any] | None,
        counts=Mapping[str, int],
        best=variant | None,
        best_interval=interval,
        seed_interval=interval,
        spend=records.Spend,
    )
    verb("ls", campaigns=lambda defs: listed(with_members(records.Campaign, {"variants": int}, defs)))
    verb(
        "ls-campaign",
        campaign=str,
        variants=lambda defs: listed(with_members(variant, {"interval": interval}, defs)),
    )
    verb("lineage", campaign=records.Campaign, best=str | None, nodes=node)
    details = get_type_hints(records.Details)
    shown = {
        name: hint for name, hint in details.items() if name not in ("parent", "children", "scores", "against_parent")
    }
    verb(
        "show",
        **shown,
        parent=str | None,
        children=Sequence[str],
        evaluations=Sequence[records.Scores],
        against_parent=pair,
        metrics=Mapping[str, records.Scorecard],
    )
    verb("show-transcript", variant=str, task=str, transcript=str)
    verb("show-conversations", variant=str, conversations=Sequence[str])
    verb(
        "diff",
        a=str,
        b=str,
        diff=str,
        flipped=lambda defs: {
            "anyOf": [members({"won": Sequence[str], "lost": Sequence[str]}, defs), {"type": "null"}]
        },
    )
    verb(
        "compare",
        split=records.Split,
        variants=lambda defs: listed(
            members({"variant": variant, "mean": interval, "benchmarks": Mapping[str, float]}, defs)
        ),
        controls=Mapping[str, Mapping[str, records.Interval]],
        comparison=pair,
    )
    verb("compare-campaigns", comparison=records.CampaignComparison)
    verb("replay", reports=Sequence[records.ReplayReport])
    verb("replay-step-through", variant=str, task=str, turns=Sequence[records.Turn])
    verb("skills-list", campaign=str, skills=Sequence[records.Skill])
    verb("skills-show", campaign=str, skill=records.Skill, text=str)
    graft = get_type_hints(records.Graft)
    verb("skills-graft", **graft)
    verb("export", variant=str, tree=str, directory=str, files=int)
    return made


def main(words: Sequence[str]) -> int:
    folder = Path(words[0]) if words else ROOT / "docs" / "schemas"
    folder.mkdir(parents=True, exist_ok=True)
    for name, schema in schemas().items():
        (folder / f"{name}.json").write_text(json.dumps(schema, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
