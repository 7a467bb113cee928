"""The bag-of-words leak measure: it finds what is planted, and nothing where there is nothing."""

from __future__ import annotations

import random

import numpy as np
import pytest
from scipy import stats

from hyperagent.evaluation.leaks import Leak, assign_folds, auc_interval, measure_leak

WORDS = [f"word{letter}{other}" for letter in "abcdefghij" for other in "abcdefghij"]


def texts(labels: list[bool], seed: int, accepted: str = "", rejected: str = "") -> list[str]:
    """Random texts; those with a label hold a phrase of it."""
    chance = random.Random(seed)
    return [" ".join([*chance.choices(WORDS, k=30), accepted if label else rejected]) for label in labels]


def measured(written: list[str], labels: list[bool], **options: int) -> Leak:
    return measure_leak(written, labels, [str(index) for index in range(len(labels))], **options)


LABELS = [index % 2 == 0 for index in range(200)]


@pytest.mark.parametrize("seed", range(4))
def test_random_words_tell_nothing(seed: int) -> None:
    leak = measured(texts(LABELS, seed), LABELS, random_seed=seed)
    assert 0.35 < leak.words.estimate < 0.65
    assert leak.words.low < 0.5 < leak.words.high or abs(leak.words.estimate - 0.5) < 0.12
    assert leak.words.n == 200


def test_a_planted_phrase_is_found_and_named() -> None:
    leak = measured(texts(LABELS, 0, "camera ready", "blind review"), LABELS)
    assert leak.words.estimate > 0.99
    found = dict(leak.telling)
    assert found["camera ready"] > 0 > found["blind review"]


def test_the_order_of_two_words_is_seen_only_by_pairs() -> None:
    written = texts(LABELS, 1, "before after", "after before")
    assert measured(written, LABELS, longest=1).words.estimate < 0.65
    assert measured(written, LABELS, longest=2).words.estimate > 0.99


def test_a_word_of_one_group_does_not_help_with_others() -> None:
    """Ten records a group, each group with a word and a label of its own: folds without groups would be perfect."""
    groups = [f"g{index // 10}" for index in range(200)]
    labels = [(index // 10) % 2 == 0 for index in range(200)]
    written = [f"{text} name{group}" for text, group in zip(texts(labels, 2), groups, strict=True)]
    assert measure_leak(written, labels, groups).words.estimate < 0.7
    assert measured(written, labels).words.estimate > 0.95


def test_length_is_measured_apart() -> None:
    longer = texts(LABELS, 3, "x " * 100)
    leak = measured(["a" * len(text) for text in longer], LABELS)
    assert leak.length.estimate == 1
    assert measured(longer, [not label for label in LABELS]).length.estimate == 0


def test_folds_never_part_a_group_and_share_the_labels() -> None:
    chance = random.Random(0)
    groups = [f"g{chance.randrange(60)}" for _ in range(300)]
    labels = np.asarray([chance.random() < 0.3 for _ in groups])
    fold = assign_folds(labels, groups, 5, 0)
    home: dict[str, set[int]] = {}
    for group, number in zip(groups, fold, strict=True):
        home.setdefault(group, set()).add(int(number))
    assert all(len(numbers) == 1 for numbers in home.values())
    shares = [labels[fold == number].mean() for number in range(5)]
    assert max(shares) - min(shares) < 0.1
    assert all(50 <= (fold == number).sum() <= 70 for number in range(5))


@pytest.mark.parametrize("seed", range(3))
def test_the_auc_is_mann_whitneys(seed: int) -> None:
    generator = np.random.default_rng(seed)
    labels = generator.random(80) < 0.4
    scores = np.round(generator.normal(size=80) + labels, 1)  # with ties
    groups = [str(index) for index in range(80)]
    found = auc_interval(scores, labels, groups)
    expected = stats.mannwhitneyu(scores[labels], scores[~labels]).statistic / (labels.sum() * (~labels).sum())
    assert found.estimate == pytest.approx(expected)
    assert found.low < found.estimate < found.high
    twice = auc_interval(np.tile(scores, 4), np.tile(labels, 4), groups * 4)  # copies of a group are no new evidence
    assert twice.high - twice.low == pytest.approx(found.high - found.low, rel=0.2)


def test_same_seed_same_figures() -> None:
    written = texts(LABELS, 5, "maybe")
    assert measured(written, LABELS, random_seed=1) == measured(written, LABELS, random_seed=1)


@pytest.mark.parametrize(
    ("labels", "why"), [([True] * 30, "0 groups"), ([True] * 28 + [False] * 2, "2 groups"), ([], "0 groups")]
)
def test_too_little_to_say_is_an_error(labels: list[bool], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        measured(["some text"] * len(labels), labels)
    with pytest.raises(ValueError, match="1 texts"):
        measure_leak(["a"], [True, False], ["a", "b"])
    with pytest.raises(ValueError, match="both labels"):
        auc_interval(np.zeros(3), np.ones(3, dtype=bool), ["a", "b", "c"])
