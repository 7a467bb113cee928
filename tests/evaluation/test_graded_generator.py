"""The graded generator: labels are true, and nothing but the mathematics gives them away."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from pathlib import Path
from types import ModuleType
from typing import Any
from zlib import crc32

import numpy as np
import pytest
from scipy import stats

from hyperagent.evaluation.manifest import load_module, read_manifest
from hyperagent.evaluation.pack import load_pack

Record = dict[str, Any]
LABELS = ["correct", "almost", "partial", "incorrect"]
FUNCTIONS = {
    "C": math.comb,
    "digits": lambda n: sum(map(int, str(n))),
    "gcd": math.gcd,
    "min": min,
}


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    return load_module(read_manifest("math_grading"), "graded/__init__.py")


@pytest.fixture(scope="module")
def records(generator: ModuleType) -> list[Record]:
    made: list[Record] = generator.generate(7, 2400)
    return made


def student_lines(record: Record) -> list[str]:
    lines: list[str] = record["input"]["student_answer"].split("\n")
    return lines


def false_lines(record: Record) -> list[int]:
    """Numbers of the lines whose calculation does not give what the line says."""
    found = []
    for number, line in enumerate(student_lines(record)):
        if " = " not in line:
            continue
        calculation, value = line.rsplit(" = ", 1)
        words = calculation.replace(" div ", " // ").replace(" mod ", " % ").replace("^", " ** ")
        formula = re.search(r"(?:(?:C|gcd|min|digits)?[(]|\d)[\dCdigtscmn(),+*/% -]*$", words)
        assert formula, line
        if eval(formula[0], {"__builtins__": {}}, FUNCTIONS) != int(value.rstrip(".")):
            found.append(number)
    return found


def test_the_pack_has_it_as_a_source(no_data: Path) -> None:
    pack = load_pack("math_grading", "generated_graded", random_seed=3)
    assert pack.labels == tuple(LABELS)
    task = pack.tasks("train")[0]
    assert list(task.input)[:4] == ["problem", "reference_solution", "grading_guidelines", "student_answer"]
    assert {"label", "points", "severity", "error", "where", "reference"} <= set(task.hidden)
    assert not any(name in task.input for name in task.hidden)
    assert load_pack("math_grading").source == "generated"


def test_same_seed_same_records(generator: ModuleType) -> None:
    assert generator.generate(3, 60) == generator.generate(3, 60)


@pytest.mark.parametrize("count", [0, 1, 7, 24, 100])
def test_makes_as_many_as_asked_for(generator: ModuleType, count: int) -> None:
    assert len({record["id"] for record in generator.generate(1, count)}) == count


def test_labels_are_balanced_in_every_split(records: list[Record]) -> None:
    counts = Counter((record["split"], record["hidden"]["label"]) for record in records)
    for split, n in (("train", 200), ("validation", 100), ("test", 300)):
        assert [counts[split, label] for label in LABELS] == [n] * 4


def test_groups_are_whole_problems_in_one_split(records: list[Record]) -> None:
    groups, homes = defaultdict(list), defaultdict(set)
    for record in records:
        groups[record["group"]].append(record)
        homes[record["input"]["problem"]].add(record["group"])
    for members in groups.values():
        assert sorted(record["hidden"]["label"] for record in members) == sorted(LABELS)
        for name in ("problem", "reference_solution", "grading_guidelines"):
            assert len({record["input"][name] for record in members}) == 1
        assert len({record["split"] for record in members}) == 1
    assert all(len(found) == 1 for found in homes.values())


def test_points_and_severity_follow_the_label(records: list[Record]) -> None:
    for record in records:
        hidden = record["hidden"]
        assert hidden["points"] == {"correct": 7, "almost": 6, "partial": 1, "incorrect": 0}[hidden["label"]]
        assert hidden["severity"] == LABELS.index(hidden["label"])
        assert (hidden["where"] is None) == (hidden["error"] == "") == (hidden["label"] == "correct")


def test_the_final_answer_says_something_and_not_all(records: list[Record]) -> None:
    right = Counter[str]()
    for record in records:
        hidden = record["hidden"]
        assert student_lines(record)[-1].endswith(f" {hidden['answer']}")
        right[hidden["label"]] += hidden["answer"] == hidden["reference"]
    assert right["correct"] == 600
    assert all(120 <= right[label] <= 300 for label in LABELS[1:])


def test_mistakes_stand_where_hidden_says(records: list[Record]) -> None:
    for record in records:
        error, where, lines = record["hidden"]["error"], record["hidden"]["where"], student_lines(record)
        assert false_lines(record) == ([where] if error == "slip" else []), record["id"]
        if error in ("unshown", "stated"):
            assert " = " not in lines[where], record["id"]
        if error == "idea":
            assert " = " in lines[where], record["id"]
        if error == "copy" and where == len(lines) - 1:
            assert record["hidden"]["answer"] != record["hidden"]["reference"]


def test_redoing_the_sums_finds_few_mistakes(records: list[Record]) -> None:
    wrong = [record for record in records if record["hidden"]["label"] != "correct"]
    found = sum(bool(false_lines(record)) for record in wrong) / len(wrong)
    assert 0.03 < found < 0.2


def test_the_rubric_has_no_numbers_of_the_problem_and_names_no_mistake(records: list[Record]) -> None:
    for record in records:
        rubric, rest = record["input"]["grading_guidelines"], record["input"]["problem"]
        figures = {figure for figure in re.findall(r"\d+", rest) if int(figure) > 9}
        assert not figures & set(re.findall(r"\d+", rubric))
        assert "Progress: (1)" in rubric
    rubrics = defaultdict(set)
    for record in records:
        rubrics[record["hidden"]["family"], record["hidden"]["level"]].add(record["input"]["grading_guidelines"])
    assert all(len(found) == 1 for found in rubrics.values())


def test_all_kinds_levels_and_mistakes_occur(records: list[Record]) -> None:
    assert Counter(r["hidden"]["area"] for r in records).keys() == {
        "arithmetic",
        "algebra",
        "number theory",
        "combinatorics",
    }
    assert min(Counter(r["hidden"]["level"] for r in records).values()) > 600
    assert min(Counter((r["hidden"]["label"], r["hidden"]["error"]) for r in records).values()) > 120


@pytest.mark.parametrize("seed", [0, 5, 36])
def test_other_seeds_make_other_problems(generator: ModuleType, records: list[Record], seed: int) -> None:
    first, second = ({r["input"]["problem"] for r in made} for made in (generator.generate(seed, 240), records))
    assert len(first) == 60
    assert not first & second
    # By construction, not by luck: each problem belongs to one class of seeds.
    assert {crc32(problem.encode()) % generator.DISJOINT for problem in first} == {seed % generator.DISJOINT}


# -- leaks ---------------------------------------------------------------------------------------


def test_length_says_nothing(records: list[Record]) -> None:
    lengths = defaultdict(list)
    for record in records:
        lengths[record["hidden"]["label"]].append(len(record["input"]["student_answer"]))
    for index, label in enumerate(LABELS):
        for other in LABELS[:index]:
            wins = stats.mannwhitneyu(lengths[label], lengths[other]).statistic / 600**2
            assert 0.44 <= wins <= 0.56, (label, other)  # its standard error is .017


def bag_of_words(records: list[Record], token: str) -> float:
    """Accuracy of naive Bayes on the words of the students' solutions, five folds that keep problems together."""
    texts = [re.findall(token, record["input"]["student_answer"].lower()) for record in records]
    column = {word: index for index, word in enumerate(sorted({word for text in texts for word in text}))}
    counts = np.zeros((len(texts), len(column)))
    for row, text in enumerate(texts):
        for word in text:
            counts[row, column[word]] += 1
    labels = np.array([LABELS.index(record["hidden"]["label"]) for record in records])
    folds = np.array([int(record["group"].rsplit("/", 1)[1]) % 5 for record in records])
    right = 0
    for fold in range(5):
        seen = folds != fold
        words = np.stack([counts[seen & (labels == label)].sum(axis=0) + 1 for label in range(len(LABELS))])
        scores = counts[~seen] @ np.log(words / words.sum(axis=1, keepdims=True)).T
        right += int((scores.argmax(axis=1) == labels[~seen]).sum())
    return right / len(records)


def test_words_say_next_to_nothing(records: list[Record]) -> None:
    assert bag_of_words(records, r"[a-z]{4,}") <= 0.29  # chance .25, standard error .009


def test_words_and_numbers_say_little(records: list[Record]) -> None:
    # What is only stated lacks the small numbers of its calculation: that much is there to be found.
    assert bag_of_words(records, r"\w+|[^\w\s]") <= 0.36


def test_such_a_leak_would_be_found(records: list[Record]) -> None:
    marked = [
        {**r, "input": {"student_answer": f"{r['input']['student_answer']} {'surely' * (r['hidden']['severity'] > 1)}"}}
        for r in records
    ]
    assert bag_of_words(marked, r"[a-z]{4,}") > 0.4


def test_neither_the_id_nor_the_place_in_the_group_shows_the_label(records: list[Record]) -> None:
    for place in "0123":
        counts = Counter(r["hidden"]["label"] for r in records if r["id"].endswith(f"/{place}"))
        assert stats.chisquare([counts[label] for label in LABELS]).pvalue > 0.001


def test_the_place_of_a_mistake_does_not_tell_its_severity(records: list[Record]) -> None:
    """First lines hold mistakes of every severity, and so do later ones."""
    early = defaultdict(set)
    for record in records:
        if record["hidden"]["error"]:
            early[record["hidden"]["where"] <= 1].add(record["hidden"]["label"])
    assert early[True] == early[False] == set(LABELS[1:])
