"""Scores over steps as lines of text: every scored variant a point, the running best a line. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hyperagent.report.text import to_ascii
from hyperagent.report.tree import Line, Role, Span

if TYPE_CHECKING:
    from hyperagent.types import Variant

_LABEL = 5
"""Columns of ``0.58 ``."""
_LEAST_RANGE = 0.05


def curve(variants: Sequence[Variant], columns: int, rows: int, *, unicode: bool = True) -> list[Line]:
    """Draw the scores of one campaign.

    Args:
        variants: In step order.
        columns, rows: Size of the drawing, its axes included. Where there are more steps than columns, neighbouring
            steps share one.
    """
    points = [(v.step, v.score, v.status == "evaluated") for v in variants if v.score is not None]
    scores = [score for _, score, whole in points if whole]
    if not scores or rows < 3 or columns < _LABEL + 10:
        return [(Span("no score yet" if not scores else "no room", "faint"),)]
    low, high = min(scores), max(scores)
    if high - low < _LEAST_RANGE:
        low, high = max(0.0, high - _LEAST_RANGE), max(high, _LEAST_RANGE)
    grid = _Grid(low, high, max(1, variants[-1].step), columns - _LABEL - 1, rows - 1)
    best = low
    last = 0
    for step, score, whole in points:
        if low <= score <= high or whole:
            grid.point(step, score, "●" if whole else "○", "plain" if whole else "faint")
        if whole and (score > best or step == 0):
            if step > last:
                grid.line(last, step, best)
            best, last = score, step
            grid.point(step, score, "●", "path")
    grid.point(last, best, "★", "best")
    grid.line(last, variants[-1].step, best)
    lines = grid.lines()
    end = str(variants[-1].step)
    foot = f"{'':{_LABEL}}step 0{end:>{max(1, columns - _LABEL - 6)}}"
    lines.append((Span(foot[:columns], "faint"),))
    return lines if unicode else [tuple(Span(to_ascii(s.text), s.role) for s in line) for line in lines]


class _Grid:
    """Cells of one character; row 0 is the top."""

    def __init__(self, low: float, high: float, steps: int, width: int, height: int) -> None:
        self._low, self._high = low, high
        self._steps = steps
        self._width, self._height = width, height
        self._cells: dict[tuple[int, int], tuple[str, Role]] = {}

    def point(self, step: int, score: float, sign: str, role: Role) -> None:
        self._cells[self._row(score), self._column(step)] = sign, role

    def line(self, first: int, last: int, score: float) -> None:
        """The running best between two steps; points keep their place."""
        for column in range(self._column(first), self._column(last) + 1):
            self._cells.setdefault((self._row(score), column), ("━", "path"))

    def lines(self) -> list[Line]:
        labels = {0: self._high, self._height - 1: self._low}
        if self._height >= 7:
            labels[self._height // 2] = self._high - (self._high - self._low) * (self._height // 2) / (self._height - 1)
        return [self._text(row, labels.get(row)) for row in range(self._height)]

    def _text(self, row: int, label: float | None) -> Line:
        spans = [Span(f"{'' if label is None else f'{label:.2f}':<{_LABEL}}", "faint")]
        spans.append(Span("│" if label is None else "┤", "guide"))
        for column in range(self._width):
            sign, role = self._cells.get((row, column), (" ", "plain"))
            if spans[-1].role == role:
                spans[-1] = Span(spans[-1].text + sign, role)
            else:
                spans.append(Span(sign, role))
        return tuple(spans)

    def _row(self, score: float) -> int:
        share = (score - self._low) / (self._high - self._low)
        return round((1 - min(1.0, max(0.0, share))) * (self._height - 1))

    def _column(self, step: int) -> int:
        return round(step / self._steps * (self._width - 1))
