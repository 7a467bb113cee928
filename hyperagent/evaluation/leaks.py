"""How much of a label can be had from words or from length alone, without understanding anything.

A classifier that knows nothing but which words and pairs of words stand in a text is cross-validated with whole groups
left out. What it finds may be a leak (a line that only accepted papers carry) or a signal (a topic that was liked):
the figure alone cannot tell them apart. The words that tell most say which of the two it is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from hyperagent.types import Interval

FOLDS = 5
LEAST_DOCUMENTS = 3
"""A feature must stand in so many texts; what stands in one or two cannot help with others."""
MOST_FEATURES = 20_000
RIDGE = 1.0
RESAMPLES = 1000
TELLING = 20
_TOKEN = re.compile(r"[^\W\d_]+|\d+(?:\.\d+)?")

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Leak:
    """What cannot read and yet predicts the label. AUC: 0.5 = nothing, 1 = everything.

    Attributes:
        words: AUC of the bag-of-words classifier on texts of groups that it did not see.
        length: AUC of "the longer text is the positive one"; below 0.5 the shorter one is.
        telling: The words and pairs with the largest weights, largest first; a weight above 0 speaks for the positive
            label.
    """

    words: Interval
    length: Interval
    telling: tuple[tuple[str, float], ...]


def measure_leak(
    texts: Sequence[str],
    positive: Sequence[bool],
    groups: Sequence[str],
    *,
    folds: int = FOLDS,
    longest: int = 2,
    random_seed: int = 0,
) -> Leak:
    """Cross-validate a bag-of-words classifier whose folds never share a group.

    Features are the presence of words and of runs of up to ``longest`` words, scaled by their log count ratio and fed
    to a linear classifier (Wang and Manning 2012, ACL, "Baselines and Bigrams", with ridge regression in place of the
    SVM). Scores become ranks within their fold before they are pooled, because folds have scales of their own.
    Intervals are 95% percentile bootstraps over groups.

    Args:
        texts: What a program would see of each record.
        positive: Whether the record has the positive label.
        groups: Group of each record (paper, problem).
        folds: Number of folds, at least 2.
        longest: Most words in a feature; 1 = single words only.
        random_seed: Decides which groups share a fold.

    Raises:
        ValueError: Unequal lengths, or a label that stands in fewer groups than there are folds.
    """
    if not len(texts) == len(positive) == len(groups):
        raise ValueError(f"{len(texts)} texts, {len(positive)} labels and {len(groups)} groups")
    labels = np.asarray(positive, dtype=bool)
    for label in (True, False):
        found = len({group for group, mine in zip(groups, labels, strict=True) if mine == label})
        if found < max(2, folds):
            raise ValueError(f"one label stands in {found} groups only: too few for {folds} folds")
    matrix, names = _matrix(texts, longest)
    fold = assign_folds(labels, groups, folds, random_seed)
    scores = np.zeros(len(texts))
    for number in range(folds):
        inside = fold == number
        weights = _fit(matrix[~inside], labels[~inside])
        scores[inside] = _ranks(matrix[inside] @ weights)
    lengths = np.asarray([len(text) for text in texts], dtype=float)
    return Leak(
        words=auc_interval(scores, labels, groups, random_seed),
        length=auc_interval(lengths, labels, groups, random_seed),
        telling=_telling(_fit(matrix, labels), names),
    )


def assign_folds(labels: Bools, groups: Sequence[str], folds: int, random_seed: int) -> Indices:
    """Fold of each record: whole groups, each to the fold with the fewest records of the labels it brings."""
    members: dict[str, list[int]] = {}
    for index, group in enumerate(groups):
        members.setdefault(group, []).append(index)
    order = np.random.default_rng(random_seed).permutation(len(members))
    names = [list(members)[index] for index in order]
    counts = np.zeros((folds, 2))
    result = np.zeros(len(groups), dtype=np.intp)
    for name in sorted(names, key=lambda name: -len(members[name])):  # large ones first, small ones even it out
        brings = np.bincount(labels[members[name]].astype(int), minlength=2)
        chosen = int(np.argmin(counts @ brings + 1e-6 * counts.sum(axis=1)))
        counts[chosen] += brings
        result[members[name]] = chosen
    return result


def auc_interval(scores: Floats, labels: Bools, groups: Sequence[str], random_seed: int = 0) -> Interval:
    """Probability that a positive record outranks a negative one, ties half (Hanley and McNeil 1982, Radiology 143:29).

    The interval draws whole groups with replacement: records of a group are not independent.

    Raises:
        ValueError: One of the labels does not occur.
    """
    if labels.all() or not labels.any():
        raise ValueError("the AUC needs both labels")
    order = np.argsort(scores, kind="stable")
    _, starts = np.unique(scores[order], return_index=True)
    sorted_labels = labels[order]
    _, group = np.unique(np.asarray(groups), return_inverse=True)
    generator = np.random.default_rng(random_seed)
    n = int(group.max()) + 1
    drawn = [
        _auc(sorted_labels, starts, np.bincount(generator.integers(0, n, n), minlength=n)[group][order].astype(float))
        for _ in range(RESAMPLES)
    ]
    estimate = _auc(sorted_labels, starts, np.ones(len(labels)))
    low, high = np.nanquantile(drawn, (0.025, 0.975))
    return Interval(estimate, min(estimate, float(low)), max(estimate, float(high)), len(labels))


def _auc(labels: Bools, starts: Indices, weights: Floats) -> float:
    """AUC of weighted records in the order of their scores; ``starts``: where each run of equal scores begins."""
    positive = np.add.reduceat(weights * labels, starts)
    negative = np.add.reduceat(weights * ~labels, starts)
    pairs = positive.sum() * negative.sum()
    return float((positive * (np.cumsum(negative) - negative / 2)).sum() / pairs) if pairs else float("nan")


def _matrix(texts: Sequence[str], longest: int) -> tuple[Floats, list[str]]:
    """Which text has which feature (texts x features, 0 or 1), and the features' names."""
    number: dict[str, int] = {}  # from 1: a run of words is a number whose digits are words, and none is 0
    written = [[number.setdefault(word, len(number) + 1) for word in _TOKEN.findall(text.casefold())] for text in texts]
    base = len(number) + 1
    found = [_codes(np.asarray(words, dtype=np.int64), base, longest) for words in written]
    codes, frequency = np.unique(np.concatenate(found), return_counts=True)
    order = np.lexsort((codes, -frequency))
    chosen = np.sort(codes[order[frequency[order] >= LEAST_DOCUMENTS][:MOST_FEATURES]])
    matrix = np.zeros((len(texts), len(chosen)))
    for row, mine in enumerate(found):
        matrix[row, np.searchsorted(chosen, mine[np.isin(mine, chosen)])] = 1.0
    words = ["", *number]
    return matrix, [_name(int(code), base, words) for code in chosen]


def _codes(words: npt.NDArray[np.int64], base: int, longest: int) -> npt.NDArray[np.int64]:
    """Every run of up to ``longest`` words, once each."""
    runs = [words]
    for length in range(2, longest + 1):
        runs.append(runs[-1][:-1] * base + words[length - 1 :])
    return np.unique(np.concatenate(runs))


def _name(code: int, base: int, words: Sequence[str]) -> str:
    return f"{_name(code // base, base, words)} {words[code % base]}".strip() if code else ""


def _fit(matrix: Floats, labels: Bools) -> Floats:
    """Weight of each feature. Solved in the space of texts, which are fewer than features."""
    for_positive, for_negative = 1 + matrix[labels].sum(axis=0), 1 + matrix[~labels].sum(axis=0)
    ratio = np.log(for_positive / for_positive.sum()) - np.log(for_negative / for_negative.sum())
    scaled = matrix * ratio
    scaled -= scaled.mean(axis=0)  # in place of an intercept
    size = np.sqrt((scaled**2).sum(axis=1).mean()) or 1.0
    scaled /= size
    target = labels - labels.mean()
    dual = np.linalg.solve(scaled @ scaled.T + RIDGE * np.eye(len(labels)), target)
    weights: Floats = ratio * (scaled.T @ dual)
    return weights


def _ranks(scores: Floats) -> Floats:
    """Ranks over (0, 1), equal scores sharing their mean rank."""
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    mean_rank = np.cumsum(counts) - (counts - 1) / 2
    ranks: Floats = mean_rank[inverse] / (len(scores) + 1)
    return ranks


def _telling(weights: Floats, names: Sequence[str]) -> tuple[tuple[str, float], ...]:
    order = np.argsort(-np.abs(weights), kind="stable")[:TELLING]
    return tuple((names[index], float(weights[index])) for index in order)
