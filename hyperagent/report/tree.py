"""The lineage as a tree of text lines. Pure: variants in, lines of spans out; whoever prints maps roles to colours.

A lineage may be hundreds of steps deep. Where the guides would leave no room for the text, a subtree is cut off and
continued further down as a tree of its own, so every line fits the width whatever the shape.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

from hyperagent.report.table import best_variant, score, short, words
from hyperagent.report.text import clean, fit, to_ascii, width

if TYPE_CHECKING:
    from hyperagent.types import Interval, Variant, VariantStatus

Role = Literal["guide", "id", "score", "best", "path", "up", "down", "plain", "faint"]

MARKS = {
    "evaluated": "●",
    "screened_out": "○",
    "mutating": "…",
    "pending": "…",
    "no_effect": "·",
    "duplicate": "≡",
    "invalid": "✗",
}
_FOLDED: dict[VariantStatus, str] = {"no_effect": "without effect", "duplicate": "duplicate", "invalid": "invalid"}
_TEXT_COLUMNS = 46
"""Columns kept free for a node's own text; guides that would take more start a new tree."""


class Span(NamedTuple):
    text: str
    role: Role


Line = tuple[Span, ...]


@dataclass(frozen=True)
class _Guides:
    last: str
    between: str
    below: str
    nothing: str = "   "


_UNICODE = _Guides("└─ ", "├─ ", "│  ")
_ASCII = _Guides("`- ", "|- ", "|  ")


class _Fold(NamedTuple):
    """Failed attempts of one parent, drawn as one line."""

    text: str


def lineage_tree(
    variants: Sequence[Variant],
    intervals: Mapping[str, Interval] | None = None,
    *,
    columns: int = 100,
    unicode: bool = True,
    show_all: bool = False,
) -> list[Line]:
    """Draw the tree of parents.

    Args:
        variants: Of one campaign. One whose parent is not among them is drawn as a root.
        intervals: Variant id -> validation interval, where known.
        columns: Width of the terminal; no line is wider.
        unicode: False draws with ASCII only.
        show_all: True draws every failed attempt instead of folding them per parent.
    """
    drawing = _Drawing(variants, intervals or {}, columns, unicode, show_all)
    return drawing.lines()


def plain(lines: Sequence[Line]) -> str:
    """The text of the lines without roles."""
    return "\n".join("".join(span.text for span in line) for line in lines)


class _Drawing:
    def __init__(
        self,
        variants: Sequence[Variant],
        intervals: Mapping[str, Interval],
        columns: int,
        unicode: bool,
        show_all: bool,
    ) -> None:
        ordered = sorted(variants, key=lambda variant: variant.step)
        self._by_id = {variant.id: variant for variant in ordered}
        self._intervals = intervals
        self._columns = columns
        self._unicode = unicode
        self._guides = _UNICODE if unicode else _ASCII
        self._show_all = show_all
        self._children: dict[str, list[Variant]] = {variant.id: [] for variant in ordered}
        self._roots: list[Variant] = []
        for variant in ordered:
            # Only an earlier step can be a parent: damaged rows cannot make a circle.
            parent = self._by_id.get(variant.parent or "")
            if parent is not None and parent.step < variant.step:
                self._children[parent.id].append(variant)
            else:
                self._roots.append(variant)
        best = best_variant(ordered)
        self._best = best.id if best else ""
        self._path = self._ancestors(best)

    def _ancestors(self, variant: Variant | None) -> frozenset[str]:
        path: set[str] = set()
        while variant is not None and variant.id not in path:
            path.add(variant.id)
            variant = self._by_id.get(variant.parent or "")
        return frozenset(path)

    def lines(self) -> list[Line]:
        lines: list[Line] = []
        waiting = deque(self._roots)
        while waiting:
            root = waiting.popleft()
            if lines:
                lines.append(())
            lines.extend(self._tree(root, waiting))
        return lines

    def _tree(self, root: Variant, waiting: deque[Variant]) -> list[Line]:
        """One tree in depth-first order, without recursion: a lineage may be deeper than Python's stack."""
        deepest = max(1, (self._columns - _TEXT_COLUMNS) // len(self._guides.nothing))
        lines: list[Line] = []
        stack: list[tuple[Variant | _Fold, str, str, int]] = [(root, "", "", 0)]
        while stack:
            item, lead, below, depth = stack.pop()
            if isinstance(item, _Fold):
                lines.append(self._fit((Span(lead, "guide"), Span(item.text, "faint"))))
                continue
            items = self._items(item)
            if items and depth >= deepest:
                waiting.append(item)
                lines.append(self._node(item, lead, continued=True))
                continue
            lines.append(self._node(item, lead))
            for number, child in reversed(list(enumerate(items, start=1))):
                last = number == len(items)
                child_lead = below + (self._guides.last if last else self._guides.between)
                child_below = below + (self._guides.nothing if last else self._guides.below)
                stack.append((child, child_lead, child_below, depth + 1))
        return lines

    def _items(self, variant: Variant) -> list[Variant | _Fold]:
        children = self._children[variant.id]
        if self._show_all:
            return list(children)
        folded = [child for child in children if child.status in _FOLDED and not self._children[child.id]]
        kept: list[Variant | _Fold] = [child for child in children if child not in folded]
        if folded:
            counts = Counter(child.status for child in folded)
            kept.append(
                _Fold(", ".join(f"{counts[status]} {text}" for status, text in _FOLDED.items() if counts[status]))
            )
        return kept

    def _node(self, variant: Variant, lead: str, continued: bool = False) -> Line:
        role: Role = "best" if variant.id == self._best else "path" if variant.id in self._path else "plain"
        mark = "★" if variant.id == self._best else MARKS[variant.status]
        spans = [Span(lead, "guide"), Span(f"{mark} {variant.step} ", role), Span(short(variant.id), "id")]
        if variant.score is not None:
            spans.append(
                Span(f"  {score(variant, self._intervals.get(variant.id))}", role if role != "plain" else "score")
            )
            spans.extend(self._arrow(variant))
        text = "continued below" if continued else self._words(variant)
        if text:
            spans.append(Span(f"  {text}", "faint"))
        return self._fit(tuple(spans))

    def _arrow(self, variant: Variant) -> tuple[Span, ...]:
        parent = self._by_id.get(variant.parent or "")
        if parent is None or parent.score is None or variant.score is None:
            return ()
        if abs(variant.score - parent.score) < 1e-9:
            return (Span(" =", "faint"),)
        return (Span(" ▲", "up"),) if variant.score > parent.score else (Span(" ▼", "down"),)

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
