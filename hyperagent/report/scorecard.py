"""A scorecard as lines for a person: the score, and right below it what it has to be held against."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING

from hyperagent.report.table import DASH, table
from hyperagent.report.text import clean, fit

if TYPE_CHECKING:
    from hyperagent.types import Interval, Measure, Scorecard

HEADERS = ("figure", "value", "95% interval", "n", "", "what it is (↑ higher is better, ↓ lower)")
_ARROWS = {"higher": "↑", "lower": "↓"}
COVERAGES = (0.1, 0.25, 0.5, 0.75, 1.0)
_TITLES = {"score": "score", "metric": "metrics", "control": "controls"}
_LONGEST_NAME = 32
_LONGEST_LABEL = 16
_NOTES = {
    "invalid": "missing or invalid answers, scored 0",
    "abstained": "would rather not answer, scored 0",
    "accuracy": "right answers",
    "balanced_accuracy": "mean share of right answers over labels",
    "macro_f1": "mean F1 over labels",
    "matthews": "correlation of true and answered labels",
    "kappa": "agreement beyond chance (Cohen)",
    "kappa_weighted": "the same, errors by squared points",
    "nmae": "mean error in points over their range",
    "auc": "ranking by confidence in the positive label",
    "rating_spearman": "rank correlation with people's rating",
    "rating_pearson": "correlation with people's rating",
    "confidence_given": "answers that carry a confidence",
    "brier": "squared error of the confidences",
    "log_loss": "nats lost by the confidences",
    "ece": "calibration error, bins of equal width",
    "ece_if_calibrated": "perfect calibration; 95% lie below",
    "ece_equal_mass": "calibration error, bins of equal size",
    "ece_equal_mass_if_calibrated": "perfect calibration; 95% lie below",
    "aurc": "area under the risk-coverage curve",
    "citations_grounded": "quotes that stand in the input",
    "answers_with_evidence": "answers with a quote that does",
    "citations_located": "tasks with a quote of the right place",
    "span_precision": "quotes that are of a right place",
    "span_recall": "right places that are quoted",
    "seconds_per_task": "wall clock",
    "tokens_per_task": "paid prompt and completion tokens",
    "dollars_per_task": "model calls",
    "random": "any label, by chance",
    "constant": "the one answer best on train",
    "length": "length alone, fitted on train",
    "group_majority": "best label of the group's others",
    "group_majority_bound": "best label of the whole group",
    "shuffled": "these answers, dealt out by chance",
    "shuffled_p": "chance that those do as well",
    "nmae_constant": "label with the least error on train",
}
_ENDINGS = {"_of_answered": "the score of the answers given", "_by_groups": "the score, interval over groups"}


def lines(scorecard: Scorecard, width: int = 100) -> list[str]:
    """Score, metrics and controls as one table, then confusion matrix, risk by coverage, and last the warnings.

    Args:
        width: Terminal columns; every line but those of warnings is cut to it, warnings are wrapped.
    """
    blocks = [
        _measures(scorecard.measures, width),
        _confusion(scorecard.confusion, width),
        _risk(scorecard.risk_coverage, width),
        _warnings(scorecard.warnings, width),
    ]
    found: list[str] = []
    for block in filter(None, blocks):
        found += [""] * bool(found) + block
    return found


def _measures(measures: Mapping[str, Measure], width: int) -> list[str]:
    rows: list[tuple[str, ...]] = []
    kind = ""
    for name, measure in measures.items():
        if measure.kind != kind:
            kind = measure.kind
            rows.append((f"{_TITLES[kind]}:", *[""] * (len(HEADERS) - 1)))
        found = measure.interval
        row = (number(found.estimate), between(found), str(found.n), _ARROWS[measure.direction], _note(name))
        rows.append((f"  {clean(name, _LONGEST_NAME)}", *row))
    return table(HEADERS, rows, width, frozenset({"value", "n"}))


def _note(name: str) -> str:
    ending = next((note for end, note in _ENDINGS.items() if name.endswith(end)), "")
    return _NOTES.get(name, ending)


def number(value: float) -> str:
    """Three decimals; more for what they would hide, less for what is large."""
    if value and abs(value) < 5e-3:
        return f"{value:.1e}" if abs(value) < 5e-4 else f"{value:.4f}"
    return f"{value:.3f}" if abs(value) < 100 else f"{value:,.0f}"


def between(interval: Interval) -> str:
    """``0.517 to 0.579``; a dash where the interval is no wider than its estimate."""
    if interval.low == interval.high:
        return DASH
    return f"{number(interval.low)} to {number(interval.high)}"


def _confusion(confusion: Mapping[str, Mapping[str, int]], width: int) -> list[str]:
    if not confusion:
        return []
    answered = list(next(iter(confusion.values())))
    headers = ("true \\ answered", *(clean(label, _LONGEST_LABEL) or "(none)" for label in answered))
    rows = [
        (f"  {clean(true, _LONGEST_LABEL)}", *(str(row.get(label, 0)) for label in answered))
        for true, row in confusion.items()
    ]
    return table(headers, rows, width, frozenset(headers[1:]))


def _risk(curve: tuple[tuple[float, float], ...], width: int) -> list[str]:
    """Risk where at least 10%, 25%, 50%, 75% and all of the tasks are answered, surest first."""
    if not curve:
        return []
    points = [next((point for point in curve if point[0] >= wanted - 1e-9), curve[-1]) for wanted in COVERAGES]
    rows = [(f"  {coverage:.0%}", number(risk)) for coverage, risk in dict.fromkeys(points)]
    return table(("surest answers", "risk"), rows, width, frozenset({"risk"}))


def _warnings(warnings: tuple[str, ...], width: int) -> list[str]:
    found: list[str] = []
    for warning in warnings:
        text = f"WARNING: {clean(warning, 500)}"
        found += textwrap.wrap(text, max(20, width), subsequent_indent="         ") or [fit(text, width)]
    return found
