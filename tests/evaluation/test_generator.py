"""The shipped generator: labels are true, splits are clean, and length gives nothing away."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from scipy import stats

from hyperagent.evaluation.manifest import load_module, read_manifest

ARITHMETIC = re.compile(r"(\d+) ([-+*/]) (\d+) = (\d+)")
OPERATIONS: dict[str, Callable[[int, int], float]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
}


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    return load_module(read_manifest("math_grading"), "generator.py")


@pytest.fixture(scope="module")
def records(generator: ModuleType) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = generator.generate(7, 1200)
    return made


def final(record: dict[str, Any]) -> str:
    last: str = record["input"]["student_answer"].split("\n")[-1]
    return last.removeprefix("Answer: ")


def test_same_seed_same_records(generator: ModuleType) -> None:
    assert generator.generate(3, 60) == generator.generate(3, 60)
    assert generator.generate(3, 60) != generator.generate(4, 60)


@pytest.mark.parametrize("count", [0, 1, 7, 12, 100, 600])
def test_makes_as_many_as_asked_for(generator: ModuleType, count: int) -> None:
    records = generator.generate(1, count)
    assert len(records) == count
    assert len({record["id"] for record in records}) == count


def test_labels_are_balanced_in_every_split(records: list[dict[str, Any]]) -> None:
    counts = Counter((record["split"], record["hidden"]["label"]) for record in records)
    for split, n in (("train", 200), ("validation", 100), ("test", 300)):
        assert counts[split, "correct"] == counts[split, "incorrect"] == n


def test_groups_are_whole_problems_in_one_split(records: list[dict[str, Any]]) -> None:
    splits, problems = defaultdict(set), defaultdict(set)
    for record in records:
        splits[record["group"]].add(record["split"])
        problems[record["input"]["problem"]].add(record["group"])
    assert all(len(found) == 1 for found in splits.values())
    assert all(len(found) == 1 for found in problems.values())
    assert set(Counter(record["group"] for record in records).values()) == {2, 4}


def test_the_final_answer_is_right_exactly_where_the_label_says_so(records: list[dict[str, Any]]) -> None:
    for record in records:
        hidden = record["hidden"]
        assert (final(record) == hidden["reference"]) == (hidden["label"] == "correct"), record["id"]
        assert (hidden["severity"] > 0) == (hidden["label"] == "incorrect")
    assert {record["hidden"]["severity"] for record in records} == {0, 1, 2, 3}


def test_right_solutions_add_up_and_some_wrong_ones_do_too(records: list[dict[str, Any]]) -> None:
    def adds_up(record: dict[str, Any]) -> bool:
        sums = ARITHMETIC.findall(record["input"]["student_answer"])
        good = all(OPERATIONS[op](int(a), int(b)) == int(c) for a, op, b, c in sums)
        return good and sums[-1][3] == final(record)

    share = {
        label: sum(adds_up(r) for r in records if r["hidden"]["label"] == label) / 600
        for label in ("correct", "incorrect")
    }
    assert share["correct"] == 1
    assert 0.3 < share["incorrect"] < 0.8  # redoing the sums helps, and is not enough


@pytest.mark.parametrize("seed", range(5))
def test_length_does_not_tell_right_from_wrong(generator: ModuleType, seed: int) -> None:
    lengths = defaultdict(list)
    for record in generator.generate(seed, 600):
        lengths[record["hidden"]["label"]].append(len(record["input"]["student_answer"]))
    wins = stats.mannwhitneyu(lengths["incorrect"], lengths["correct"]).statistic
    assert 0.4 <= wins / 300**2 <= 0.6


def test_neither_the_id_nor_the_place_in_the_group_shows_the_label(records: list[dict[str, Any]]) -> None:
    first = [record["hidden"]["label"] for record in records if record["id"].endswith("/0")]
    assert stats.binomtest(first.count("correct"), len(first)).pvalue > 0.01
