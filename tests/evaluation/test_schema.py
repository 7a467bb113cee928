"""The JSON Schema of ``benchmark.toml``: it, our own reading of it and the reader say the same of every manifest."""

from __future__ import annotations

import copy
import datetime
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from hyperagent.errors import ConfigError
from hyperagent.evaluation.manifest import find_packs
from hyperagent.evaluation.packfile import parse
from hyperagent.evaluation.schema import faults, manifest_schema
from hyperagent.evaluation.template import pack_files

SCHEMA = manifest_schema()
LIBRARY = Draft202012Validator(SCHEMA)
VALID = tomllib.loads("""
name = "full"
description = "Every key there is."
metric = "accuracy"
direction = "lower"
licence = "MIT"
grader = "grader.py"
length_field = "text"
canary = "c"
positive = "yes"
rating_field = "rating"
screen = 0
stochastic = true
repeats = 3
packages = ["numpy==2.2.6", "uvicorn[standard]==0.30.0"]
labels = ["yes", "no"]
fields = ["text"]
instructions = "Say {labels}."

[limits]
seconds = 1.5
memory_mb = 64
processes = 8
cpus = 0.5
tmpfs_mb = 16

[examiner]
packages = ["mujoco==3.3.0"]
seconds = 5
memory_mb = 64
processes = 8
cpus = 2
tmpfs_mb = 16

[sources.real]
file = "real.jsonl"
sha256 = "00"
splits = { train = 2, validation = 1, test = 0 }
points = { yes = 1, no = 0.5 }
labels = ["yes", "no"]
fields = ["text"]
instructions = "Say."
length_field = "text"
workspace = true

[sources.real.upstream]
url = "https://example.org"
commit = "0"
licence = "MIT"
attribution = "nobody"
built_sha256 = "1"
ids = "ids.txt"
transform = "sources.py"

[[sources.real.upstream.files]]
url = "https://example.org/a"
name = "a"
sha256 = "2"

[sources.own]
file = "own.jsonl"
imported = true

[sources.made]
generator = "generator.py"
splits = { train = 2, validation = 1, test = 1 }
""")
JUNK: tuple[Any, ...] = (
    "", "text", "numpy", 0, 3, -1, 1.5, -0.5, True, False, [], [1], ["x"], [{}], {}, {"x": 1}, {"x": {}}, [["x"]],
    datetime.date(2026, 1, 1), {"train": 1, "validation": 1, "test": 1}, {"train": -1, "validation": 1, "test": 1},
    {"train": "x", "validation": 1, "test": 1}, {"yes": "x", "no": 1},
)  # fmt: skip


def paths(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where something stands in a manifest, tables and what is in lists included."""
    for key, item in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield (*place, key)
        yield from paths(item, (*place, key))


PATHS = list(paths(VALID))


@st.composite
def manifests(draw: st.DrawFn) -> dict[str, Any]:
    """A valid manifest with one or two things removed, replaced or added."""
    manifest = copy.deepcopy(VALID)
    for _ in range(draw(st.integers(1, 2))):
        *above, key = draw(st.sampled_from(PATHS))
        node: Any = manifest
        for part in above:
            node = node[part] if (isinstance(node, dict) and part in node) or _has(node, part) else None
            if node is None:
                break
        if not isinstance(node, (dict, list)):
            continue
        kind = draw(st.sampled_from(("remove", "replace", "add")))
        if kind == "add" and isinstance(node, dict):
            node[draw(st.sampled_from(("unknown", "files", "imported", "generator", "file", "points")))] = draw(
                st.sampled_from(JUNK)
            )
        elif (isinstance(node, dict) and key in node) or _has(node, key):
            if kind == "remove":
                del node[key]
            else:
                node[key] = draw(st.sampled_from(JUNK))
    return manifest


def _has(node: Any, index: Any) -> bool:
    return isinstance(node, list) and isinstance(index, int) and index < len(node)


def read(manifest: dict[str, Any]) -> str:
    """Why the reader refuses a manifest; empty where it does not. Nothing but a ConfigError may come out of it."""
    try:
        parse(Path("pack/benchmark.toml"), manifest)
    except ConfigError as error:
        return error.message
    return ""


def test_the_schema_itself_is_one() -> None:
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("folder", [pytest.param(path, id=name) for name, path in find_packs().items()])
def test_every_shipped_pack_is_valid(folder: Path) -> None:
    manifest = tomllib.loads((folder / "benchmark.toml").read_text())
    assert [error.message for error in LIBRARY.iter_errors(manifest)] == []
    assert faults(manifest, SCHEMA) == []


@pytest.mark.parametrize("examiner", [False, True])
def test_the_example_pack_is_valid(examiner: bool) -> None:
    manifest = tomllib.loads(pack_files("mine", examiner=examiner)["benchmark.toml"])
    assert list(LIBRARY.iter_errors(manifest)) == []
    assert ("examiner" in manifest) == examiner


def test_the_example_of_this_test_uses_every_key() -> None:
    assert (read(VALID), faults(VALID, SCHEMA), LIBRARY.is_valid(VALID)) == ("", [], True)
    assert set(VALID) == set(SCHEMA["properties"])
    source, upstream = SCHEMA["$defs"]["source"]["properties"], SCHEMA["$defs"]["upstream"]["properties"]
    assert {key for one in VALID["sources"].values() for key in one} == set(source)
    assert set(VALID["sources"]["real"]["upstream"]) == set(upstream)
    assert set(VALID["limits"]) == set(SCHEMA["properties"]["limits"]["properties"])
    assert set(VALID["examiner"]) == set(SCHEMA["properties"]["examiner"]["properties"])


@settings(max_examples=400)
@given(manifests())
def test_our_reading_of_the_schema_is_the_librarys(manifest: dict[str, Any]) -> None:
    assert (not faults(manifest, SCHEMA)) == LIBRARY.is_valid(manifest), faults(manifest, SCHEMA)


@settings(max_examples=400)
@given(manifests())
def test_schema_and_reader_accept_the_same_manifests(manifest: dict[str, Any]) -> None:
    refused, found = read(manifest), faults(manifest, SCHEMA)
    if not found and "points" in refused:
        return  # a rule between keys, which a schema cannot say
    assert bool(refused) == bool(found), (refused, found)


@pytest.mark.parametrize(
    ("place", "value", "fault"),
    [
        (("packages",), ["numpy"], "packages.0 holds 'numpy', which is not pinned"),
        (("limts",), {}, "limts is unknown. Did you mean 'limits'?"),
        (("screen",), -1, "screen must be at least 0"),
        (("direction",), "up", "direction must be one of higher, lower, not 'up'"),
        (("sources",), {}, "sources must hold at least 1 table"),
        (("sources", "made", "file"), "x", "sources.made needs one of file and generator, and not both"),
        (("sources", "made", "splits"), {"train": 1}, "sources.made.splits.validation is missing"),
        (("limits", "cpus"), "two", "limits.cpus must be of type number, not 'two'"),
    ],
)
def test_a_fault_says_where_and_what(place: tuple[str, ...], value: Any, fault: str) -> None:
    manifest = copy.deepcopy(VALID)
    node = manifest
    for part in place[:-1]:
        node = node[part]
    node[place[-1]] = value
    assert fault in "; ".join(faults(manifest, SCHEMA))


def test_a_keyword_that_is_not_known_is_never_passed_over() -> None:
    with pytest.raises(ValueError, match="uniqueItems"):
        faults([1], {"uniqueItems": True})
