"""What every :class:`~hyperagent.protocols.Benchmark` promises, run against every source of every shipped pack.

A source without real data is always tested; the others need ``HYPERAGENT_BENCHMARK_DATA``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import stats

from hyperagent.evaluation.manifest import find_packs, read_manifest
from hyperagent.evaluation.pack import Pack, load_pack
from hyperagent.protocols import Benchmark
from hyperagent.types import Grade, Outcome, OutcomeStatus, Scorecard, Split, Task

SPLITS: tuple[Split, ...] = get_args(Split)
garbage = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=50),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | st.just("response"), inner),
    max_leaves=8,
)


def sources(*, labelled: bool = False) -> Iterator[Any]:
    """Every source that is at hand without its user doing anything; where wanted, only those that ask for a label."""
    for name in find_packs():
        for source in read_manifest(name).sources:
            if source.splits and (source.labels or not labelled):
                marks = [pytest.mark.data] if source.file else []
                yield pytest.param((name, source.name), marks=marks, id=f"{name}-{source.name}")


@pytest.fixture(scope="module", params=sources())
def benchmark(request: pytest.FixtureRequest) -> Benchmark:
    return load_pack(*request.param)


@pytest.fixture(scope="module")
def pack(benchmark: Benchmark) -> Pack:
    assert isinstance(benchmark, Pack)
    return benchmark


@pytest.fixture(scope="module", params=sources(labelled=True))
def labelled(request: pytest.FixtureRequest) -> Pack:
    return load_pack(*request.param)


def answered(pack: Pack, tasks: Sequence[Task], predictions: Sequence[Any]) -> Scorecard:
    """The scorecard of predictions that the host grades."""
    outcomes = []
    for task, prediction in zip(tasks, predictions, strict=True):
        grade = pack.grade(task, prediction)
        status: OutcomeStatus = "scored" if grade.valid else "agent_error"
        outcomes.append(Outcome(task.id, status, grade.score, json.dumps(prediction), grade.detail))
    return pack.scorecard(tasks, outcomes)


def score(card: Scorecard, kind: str = "score") -> float:
    return next(measure.interval.estimate for measure in card.measures.values() if measure.kind == kind)


def test_tasks_are_the_same_every_time_and_their_first_ones_are_a_prefix(benchmark: Benchmark) -> None:
    for split in SPLITS:
        tasks = benchmark.tasks(split)
        assert list(benchmark.tasks(split, 7)) == list(tasks[:7])
        assert list(benchmark.tasks(split, 10**6)) == list(tasks)
        assert all((task.split, task.benchmark) == (split, benchmark.name) for task in tasks)


def test_ids_are_unique_and_no_group_or_input_straddles_splits(benchmark: Benchmark) -> None:
    tasks = [task for split in SPLITS for task in benchmark.tasks(split)]
    assert len({task.id for task in tasks}) == len(tasks)
    contents = [json.dumps([dict(task.input), dict(task.files or {})], sort_keys=True) for task in tasks]
    # MBPP holds one description twice, with other tests; there is no answer to be remembered in an open task.
    spared = 0 if all("label" in task.hidden for task in tasks) else 1
    for key, most in (([task.group for task in tasks], 0), (contents, spared)):
        homes = {(value, task.split) for value, task in zip(key, tasks, strict=True)}
        assert len(homes) - len(set(key)) <= most


def test_inputs_are_json_and_hold_nothing_hidden(pack: Pack) -> None:
    source = pack.manifest.source(pack.source)
    canary = "HYPERAGENT-BENCH canary"
    for split in SPLITS:
        for task in pack.tasks(split):
            assert tuple(task.input) == (*source.fields, "instructions", *(["answers"] if pack.labels else []))
            text = json.dumps(task.input)
            assert json.loads(text) == task.input
            assert canary not in text
            assert not pack.manifest.canary or pack.manifest.canary not in text
            assert task.input.get("answers", []) == list(pack.labels)
            assert all(label in task.input["instructions"] for label in pack.labels)
            assert "label" not in task.input
            assert "hidden=" not in repr(replace(task, input={}))


def test_the_order_says_nothing_about_the_labels(labelled: Pack) -> None:
    pack = labelled
    for split in SPLITS:
        truth = [pack.labels.index(task.hidden["label"]) for task in pack.tasks(split)]
        assert stats.spearmanr(range(len(truth)), truth).pvalue > 0.005
        runs = sum(a == b for a, b in pairwise(truth))
        chance = sum((truth.count(label) / len(truth)) ** 2 for label in set(truth))
        # Neither sorted nor interleaved: neighbours agree about as often as any two tasks.
        assert stats.binomtest(runs, len(truth) - 1, chance).pvalue > 0.005


def test_the_target_scores_one_and_every_other_label_zero(labelled: Pack) -> None:
    pack = labelled
    for task in pack.tasks("train", 20):
        for label in pack.labels:
            for prediction in (label, {"response": label, "confidence": 0.5}):
                grade = pack.grade(task, prediction)
                assert grade.valid
                assert grade.score == (label == task.hidden["label"])


@given(garbage)
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_grading_never_raises_on_garbage(benchmark: Benchmark, prediction: Any) -> None:
    task = next(task for split in SPLITS for task in benchmark.tasks(split, 1))
    if benchmark.examiner is not None:
        asked = benchmark.examine(task, prediction)
        assert isinstance(asked, Grade) or json.dumps(asked)
    # Also without an examiner's verdict, or with garbage in its place.
    grade = benchmark.grade(task, prediction, prediction if benchmark.examiner else None)
    assert 0 <= grade.score <= 1
    assert grade.valid or (grade.score == 0 and grade.detail)


def test_feedback_is_the_target_and_only_on_train(benchmark: Benchmark) -> None:
    for task in benchmark.tasks("train"):
        assert benchmark.feedback(task) == {"target": task.hidden.get("label")}
    for split in ("validation", "test"):
        for task in benchmark.tasks(split, 1):
            with pytest.raises(ValueError, match=split):
                benchmark.feedback(task)


def test_null_and_perfect_agents_get_what_they_deserve(labelled: Pack) -> None:
    tasks = labelled.tasks("test")
    null = answered(labelled, tasks, [None] * len(tasks))
    perfect = answered(labelled, tasks, [task.hidden["label"] for task in tasks])
    assert (score(null), score(perfect)) == (0, 1)
    assert null.measures[labelled.metric].interval.n == len(tasks)
    assert (null.measures["invalid"].interval.estimate, perfect.measures["invalid"].interval.estimate) == (1, 0)
    controls = [name for name, measure in perfect.measures.items() if measure.kind == "control"]
    assert {"constant", "length"} <= set(controls)
    assert all(0 < perfect.measures[name].interval.estimate < 0.7 for name in ("constant", "length"))


def test_a_constant_agent_scores_the_constant_control_and_is_told_off(labelled: Pack) -> None:
    tasks = labelled.tasks("validation")
    cards = [answered(labelled, tasks, [label] * len(tasks)) for label in labelled.labels]
    control = cards[0].measures["constant"].interval.estimate
    assert control in [score(card) for card in cards]
    assert all(card.warnings for card in cards)


def test_missing_answers_are_never_dropped(labelled: Pack) -> None:
    tasks = labelled.tasks("test")
    half = [task.hidden["label"] if index % 2 else None for index, task in enumerate(tasks)]
    card = answered(labelled, tasks, half)
    assert card.measures[labelled.metric].interval.n == len(tasks)
    assert score(card) == pytest.approx(len(tasks) // 2 / len(tasks))


def test_no_tasks_are_no_error(benchmark: Benchmark) -> None:
    assert score(benchmark.scorecard([], [])) == 0


def test_threads_see_the_same(benchmark: Benchmark) -> None:
    tasks = benchmark.tasks("train", 30)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda task: (benchmark.tasks("train", 30), benchmark.grade(task, "correct")), tasks))
    assert all(list(seen) == list(tasks) for seen, _ in found)
    assert [grade for _, grade in found] == [benchmark.grade(task, "correct") for task in tasks]
