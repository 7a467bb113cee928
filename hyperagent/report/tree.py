"""The lineage as a tree of text lines. Pure: variants in, lines of spans out; whoever prints maps roles to colours.

A lineage may be thousands of variants wide and hundreds of steps deep. Where there is no room for all lines the least
promising branches are folded (see ``family``); where the guides would leave no room for the text, a subtree is cut off
and continued further down as a tree of its own. So every line fits the width, and all of them the height.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from hyperagent.report.family import FAILED, Choice, Drawn, Family, View
from hyperagent.report.table import score, short, words
from hyperagent.report.text import clean, fit, to_ascii, width

if TYPE_CHECKING:
    from hyperagent.types import Interval, Variant, VariantStatus

Role = Literal["guide", "id", "score", "best", "path", "up", "down", "plain", "faint"]

MARKS = {
    "evaluated": "●",
    "screened_out": "○",
    "raced_out": "○",
    "mutating": "…",
    "pending": "…",
    "no_effect": "·",
    "duplicate": "≡",
    "invalid": "✗",
}
_LEGEND = (
    "★ best", "● evaluated", "○ screened out", "… under way", "· no effect", "≡ duplicate", "✗ invalid",
    "▲▼= against its parent", "┄ several steps",
)  # fmt: skip
_FOLDED: dict[VariantStatus, str] = {"no_effect": "without effect", "duplicate": "duplicate", "invalid": "invalid"}
NARROW = 60
"""Below so many columns ids are left out (``campaign/step`` names a variant, too) and guides are thinner."""


class Span(NamedTuple):
    text: str
    role: Role


Line = tuple[Span, ...]


@dataclass(frozen=True)
class _Guides:
    last: str
    between: str
    below: str
    nothing: str

    def skipping(self, lead: str, sign: str) -> str:
        """A lead whose branch stands for several generations."""
        return lead[:-2] + sign + lead[-1]


_UNICODE = _Guides("└─ ", "├─ ", "│  ", "   ")
_ASCII = _Guides("`- ", "|- ", "|  ", "   ")
_NARROW_UNICODE = _Guides("└ ", "├ ", "│ ", "  ")
_NARROW_ASCII = _Guides("` ", "| ", "| ", "  ")


class _Fold(NamedTuple):
    """Variants below one parent that are not drawn, as one line."""

    text: str


def lineage_tree(
    variants: Sequence[Variant],
    intervals: Mapping[str, Interval] | None = None,
    *,
    columns: int = 100,
    unicode: bool = True,
    show_all: bool = False,
) -> list[Line]:
    """Draw the whole tree of parents, whatever its height; see :class:`LineageTree`."""
    view = View(show_all=show_all)
    return LineageTree(Family(variants), view, columns=columns, unicode=unicode).lines(intervals or {})


def plain(lines: Sequence[Line]) -> str:
    """The text of the lines without roles."""
    return "\n".join("".join(span.text for span in line) for line in lines)


def legend(columns: int, unicode: bool = True) -> str:
    """What the marks mean, in lines of at most that width."""
    lines = [""]
    for part in _LEGEND:
        longer = f"{lines[-1]}  {part}" if lines[-1] else part
        lines = [*lines[:-1], longer] if width(longer) <= columns else [*lines, part]
    text = "\n".join(lines)
    return text if unicode else "\n".join(map(to_ascii, lines))


class LineageTree:
    """One drawing.

    Args:
        columns: Width of the terminal; no line is wider.
        unicode: False draws with ASCII only.

    Attributes:
        shown: The variants that have a line of their own, so that intervals are asked for these only.
        hidden: How many of those asked for have none.
    """

    def __init__(self, family: Family, view: View, *, columns: int = 100, unicode: bool = True) -> None:
        self._family = family
        self._columns = columns
        self._unicode = unicode
        self._narrow = columns < NARROW
        if self._narrow:
            self._guides = _NARROW_UNICODE if unicode else _NARROW_ASCII
        else:
            self._guides = _UNICODE if unicode else _ASCII
        room = 26 if self._narrow else 46
        self._deepest = max(1, (columns - room) // len(self._guides.nothing))
        self._intervals: Mapping[str, Interval] = {}
        self._drawn = self._fitting(Choice(family, view), 0 if view.show_all else view.rows)
        self.shown = self._drawn.shown
        self.hidden = len(self._drawn.passed) + sum(len(folded) for folded in self._drawn.folded.values())

    def lines(self, intervals: Mapping[str, Interval]) -> list[Line]:
        """Args: intervals: Variant id -> validation interval, where known."""
        self._intervals = intervals
        return self._lines(self._drawn)

    def _fitting(self, choice: Choice, rows: int) -> Drawn:
        """As many variants as fit into the rows; every variant drawn costs at least one."""
        if not rows:
            return choice.drawn(choice.most)
        low, high = choice.least, min(choice.most, max(rows, choice.least))
        while low < high:
            middle = (low + high + 1) // 2
            if len(self._lines(choice.drawn(middle))) <= rows:
                low = middle
            else:
                high = middle - 1
        return choice.drawn(low)

    def _lines(self, drawn: Drawn) -> list[Line]:
        lines: list[Line] = []
        waiting = deque(drawn.roots)
        while waiting:
            root = waiting.popleft()
            if lines:
                lines.append(())
            lines.extend(self._tree(drawn, root, waiting))
        return lines

    def _tree(self, drawn: Drawn, root: Variant, waiting: deque[Variant]) -> list[Line]:
        """One tree in depth-first order, without recursion: a lineage may be deeper than Python's stack."""
        lines: list[Line] = []
        stack: list[tuple[Variant | _Fold, str, str, int]] = [(root, "", "", 0)]
        while stack:
            item, lead, below, depth = stack.pop()
            if isinstance(item, _Fold):
                lines.append(self._fit((Span(lead, "guide"), Span(item.text, "faint"))))
                continue
            items = self._items(drawn, item)
            between = drawn.between[item.id]
            if items and depth >= self._deepest:
                waiting.append(item)
                lines.append(self._node(item, lead, between, continued=True))
                continue
            lines.append(self._node(item, lead, between))
            for number, child in reversed(list(enumerate(items, start=1))):
                last = number == len(items)
                child_lead = below + (self._guides.last if last else self._guides.between)
                child_below = below + (self._guides.nothing if last else self._guides.below)
                stack.append((child, child_lead, child_below, depth + 1))
        return lines

    def _items(self, drawn: Drawn, variant: Variant) -> list[Variant | _Fold]:
        items: list[Variant | _Fold] = list(drawn.children[variant.id])
        folded = drawn.folded.get(variant.id)
        if folded:
            items.append(_Fold(_folded(folded)))
        return items

    def _node(self, variant: Variant, lead: str, between: int, continued: bool = False) -> Line:
        best = self._family.best
        is_best = best is not None and variant.id == best.id
        role: Role = "best" if is_best else "path" if variant.id in self._family.best_path else "plain"
        mark = "★" if is_best else MARKS[variant.status]
        if between and lead and not self._narrow:
            lead = self._guides.skipping(lead, "┄" if self._unicode else ":")
        spans = [Span(lead, "guide"), Span(f"{mark} {variant.step} ", role)]
        if not self._narrow:
            spans.append(Span(f"{short(variant.id)} ", "id"))
        if variant.score is not None:
            shown = score(variant, self._intervals.get(variant.id))
            spans.append(Span(f"{'' if self._narrow else ' '}{shown}", role if role != "plain" else "score"))
            spans.append(self._arrow(variant))
        text = "continued below" if continued else self._words(variant)
        gap = f"(after {between} more) " if between else ""
        if gap or text:
            spans.append(Span(f"{' ' if variant.score is None else '  '}{gap}{text}", "faint"))
        return self._fit(tuple(spans))

    def _arrow(self, variant: Variant) -> Span:
        gain = self._family.gain(variant)
        if gain is None:
            return Span("", "plain")
        if abs(gain) < 1e-9:
            return Span(" =", "faint")
        return Span(f" ▲ {gain:+.2f}", "up") if gain > 0 else Span(f" ▼ {gain:+.2f}", "down")

    def _words(self, variant: Variant) -> str:
        label = "" if variant.status == "evaluated" else variant.status.replace("_", " ")
        return ": ".join(part for part in (label, clean(words(variant), self._columns)) if part)

    def _fit(self, line: Line) -> Line:
        """Cut the line to the width, and to ASCII where asked."""
        kept: list[Span] = []
        left = self._columns
        for span in line:
            text = fit(span.text, left)
            if not self._unicode:
                text = to_ascii(text)
            if text:
                kept.append(Span(text, span.role))
                left -= width(text)
            if left <= 0:
                break
        return tuple(kept)


def _folded(variants: Sequence[Variant]) -> str:
    """``12 more (best 0.51), 2 without effect, 1 invalid``"""
    counts = Counter(variant.status for variant in variants)
    others = [variant for variant in variants if variant.status not in FAILED]
    best = max((variant.score for variant in others if variant.score is not None), default=None)
    parts = []
    if others:
        parts.append(f"{len(others)} more" + ("" if best is None else f" (best {best:.2f})"))
    parts += [f"{counts[status]} {text}" for status, text in _FOLDED.items() if counts[status]]
    return ", ".join(parts)
