"""Whose file is whose, what is kept of a program, and which variant is worth keeping."""

from __future__ import annotations

import random
import tomllib

import pytest

from hyperagent.engine.growth import best_source, growth
from hyperagent.engine.ownership import entry, ownership, with_part
from hyperagent.types import Variant

LISTS = b'[ownership]\ntask = ["solve.py", "lib/"]\nmeta = ["edit.py", "shared.py"]\nboth = ["llm.py"]\n'


@pytest.mark.parametrize(
    ("path", "owner"),
    [("solve.py", "task"), ("lib/a/b.py", "task"), ("lib", "both"), ("edit.py", "meta"), ("new.py", "both")],
)
def test_files_have_the_owner_that_the_program_names(path: str, owner: str) -> None:
    assert ownership({"program.toml": LISTS}).of(path) == owner


@pytest.mark.parametrize("toml", [b"", b"\xff", b"[ownership", b"ownership = 3", b"[ownership]\ntask = 7"])
def test_a_program_that_says_nothing_usable_owns_by_its_entry_points(toml: bytes) -> None:
    owned = ownership({"program.toml": toml})
    assert (owned.of("task_agent.py"), owned.of("meta_agent.py"), owned.of("x.py")) == ("task", "meta", "both")


def test_a_kept_part_brings_its_files_its_entry_and_its_list() -> None:
    source = {
        "program.toml": b'[entry]\nmeta = "edit:Better"\n' + LISTS,
        "edit.py": b"new",
        "solve.py": b"evolved",
        "lib/a.py": b"evolved",
        "llm.py": b"theirs",
    }
    base = {"program.toml": b"", "task_agent.py": b"first", "meta_agent.py": b"old", "llm.py": b"mine"}
    kept = with_part(source, base, "task")
    assert {name: data for name, data in kept.items() if name != "program.toml"} == {
        "edit.py": b"new",
        "task_agent.py": b"first",
        "llm.py": b"theirs",
    }
    assert (entry(kept, "meta"), entry(kept, "task")) == ("edit:Better", "task_agent:TaskAgent")
    assert tomllib.loads(kept["program.toml"].decode())["ownership"]["both"] == ["llm.py"]
    assert (ownership(kept).of("task_agent.py"), ownership(kept).of("edit.py")) == ("task", "meta")


def test_a_program_like_the_other_keeps_its_manifest_to_the_byte() -> None:
    one = {"program.toml": LISTS + b"# a word\n", "solve.py": b"1", "edit.py": b"1"}
    assert with_part(one, {**one, "solve.py": b"2"}, "task") == {**one, "solve.py": b"2"}


def variant(step: int, parent: int | None, score: float | None) -> Variant:
    above = None if parent is None else str(parent)
    return Variant(str(step), "c", step, 0, above, "evaluated" if score is not None else "invalid", score=score)


def test_growth_is_the_discounted_mean_gain_of_at_least_three_descendants() -> None:
    tree = [variant(0, None, 0.2), variant(1, 0, 0.4), variant(2, 1, 0.9), variant(3, 0, None), variant(4, 3, 0.1)]
    expected = ((0.4 - 0.2) * 0.6 + (0.9 - 0.2) * 0.36 + (0.1 - 0.2) * 0.36) / 3
    assert growth(tree) == {"0": pytest.approx(expected)}
    assert growth(tree[:3]) == {}
    assert best_source(tree[:3]) is None


def test_growth_agrees_with_counting_every_path() -> None:
    chance = random.Random(5)
    tree = [variant(0, None, 0.5)]
    for step in range(1, 60):
        scored = chance.random() < 0.8
        tree.append(variant(step, chance.randrange(step), chance.random() if scored else None))
    by_id = {one.id: one for one in tree}

    def path(one: Variant) -> list[str]:
        return [one.id, *(path(by_id[one.parent]) if one.parent else [])]

    expected = {}
    for node in tree:
        gains = [
            (one.score - node.score) * 0.6 ** path(one).index(node.id)
            for one in tree
            if one is not node and node.id in path(one) and one.score is not None and node.score is not None
        ]
        if len(gains) >= 3:
            expected[node.id] = sum(gains) / len(gains)
    assert growth(tree) == pytest.approx(expected)
    best = best_source(tree)
    assert best is not None
    assert expected[best.id] == max(expected.values())
