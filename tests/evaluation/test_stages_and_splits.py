from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperagent.errors import DataUnavailable
from hyperagent.evaluation.splits import check_groups, in_order, split_named
from hyperagent.evaluation.stages import screen_passed, stage_score
from hyperagent.types import Split, Task


def task(identity: str, split: Split, group: str) -> Task:
    return Task(identity, "toy", split, group, {}, {})


def test_one_score_above_zero_passes_the_screen() -> None:
    assert screen_passed([0.0, 0.01])
    assert not screen_passed([0.0, 0.0])
    assert screen_passed([])  # no screen was asked for


def test_stage_score_is_the_mean_times_the_fraction_that_ran() -> None:
    assert stage_score([1.0, 0.0, 0.5, 0.5], 10) == pytest.approx(0.5 * 4 / 10)
    assert stage_score([], 10) == 0
    assert stage_score([], 0) == 0
    with pytest.raises(ValueError, match="2 tasks ran"):
        stage_score([1.0, 1.0], 1)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20), st.integers(0, 20))
def test_stage_score_stays_within_bounds(scores: list[float], more: int) -> None:
    full = stage_score(scores, len(scores))
    part = stage_score(scores, len(scores) + more)
    assert 0 <= part <= full <= 1 + 1e-12


def test_groups_must_not_straddle_splits() -> None:
    check_groups([task("1", "train", "a"), task("2", "train", "a"), task("3", "test", "b")])
    with pytest.raises(DataUnavailable, match="group 'a' stands in train and in test"):
        check_groups([task("1", "train", "a"), task("2", "test", "a")])


def test_ids_must_be_unique() -> None:
    with pytest.raises(DataUnavailable, match="'1' stands twice"):
        check_groups([task("1", "train", "a"), task("1", "train", "a")])


@given(st.permutations(range(12)))
def test_order_does_not_depend_on_the_file(order: list[int]) -> None:
    tasks = [task(str(number), "train", "g") for number in order]
    assert [t.id for t in in_order(tasks)] == ["9", "8", "10", "4", "3", "11", "0", "1", "7", "2", "6", "5"]


@pytest.mark.parametrize(
    ("name", "split"),
    [("search", "train"), ("train", "train"), ("test", "test"), ("reserve", None), (None, None), ([], None)],
)
def test_names_of_splits(name: object, split: str | None) -> None:
    assert split_named(name) == split
