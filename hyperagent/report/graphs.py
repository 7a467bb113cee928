"""A lineage for other programs: Graphviz, Mermaid, and a picture of its own (SVG). Pure; every text is escaped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from hyperagent.report.family import Choice, Drawn, Family, View
from hyperagent.report.table import score, short, words
from hyperagent.report.text import clean

if TYPE_CHECKING:
    from hyperagent.types import Interval, Variant

Intervals = Mapping[str, "Interval"]
_WORDS = 60
_MERMAID_SAFE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 .,:+-")
_COLUMN, _ROW, _RADIUS, _MARGIN = 22, 18, 5, 16
"""Pixels of the SVG: per generation, per line, of a node, around all."""


def drawn_whole(family: Family, view: View) -> Drawn:
    """What a view asks for, without regard to the height of a terminal."""
    choice = Choice(family, view)
    return choice.drawn(choice.most)


def _edges(drawn: Drawn) -> list[tuple[str, Variant]]:
    return [(parent, child) for parent, children in drawn.children.items() for child in children]


def dot(family: Family, drawn: Drawn, intervals: Intervals) -> list[str]:
    """Graphviz: ``hyperagent lineage --dot | dot -Tpdf``. A dashed edge stands for several generations."""
    best = family.best.id if family.best else ""
    lines = ["digraph lineage {", '  rankdir=LR; node [shape=box, fontname="sans-serif"];']
    for variant in drawn.shown:
        text = f"{variant.step} {short(variant.id)}\\n{_quoted(score(variant, intervals.get(variant.id)))}"
        told = _quoted(clean(words(variant), _WORDS))
        style = ', style=bold, color="#1a7f37"' if variant.id in family.best_path else ""
        peripheries = ", peripheries=2" if variant.id == best else ""
        lines.append(f'  "{variant.id}" [label="{text}", tooltip="{told}"{style}{peripheries}];')
    for parent, child in _edges(drawn):
        style = ' [style=dashed, label="' + str(drawn.between[child.id]) + '"]' if drawn.between[child.id] else ""
        lines.append(f'  "{parent}" -> "{child.id}"{style};')
    return [*lines, "}"]


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def mermaid(family: Family, drawn: Drawn, intervals: Intervals) -> list[str]:
    """A Mermaid flowchart. Its label syntax has no dependable escape, so what is no plain character is written as a
    character reference (https://mermaid.js.org/syntax/flowchart.html, "Entity codes to escape characters")."""
    lines = ["flowchart LR"]
    for variant in drawn.shown:
        text = f"{variant.step} {score(variant, intervals.get(variant.id))} {clean(words(variant), _WORDS)}"
        lines.append(f'  v{variant.id}["{_coded(text)}"]')
    for parent, child in _edges(drawn):
        arrow = f"-. {drawn.between[child.id]} .->" if drawn.between[child.id] else "-->"
        lines.append(f"  v{parent} {arrow} v{child.id}")
    shown = [f"v{variant.id}" for variant in drawn.shown if variant.id in family.best_path]
    if shown:
        lines += ["  classDef best stroke:#1a7f37,stroke-width:3px", f"  class {','.join(shown)} best"]
    return lines


def _coded(text: str) -> str:
    return "".join(character if character in _MERMAID_SAFE else f"#{ord(character)};" for character in text)


def svg(family: Family, drawn: Drawn, intervals: Intervals) -> list[str]:
    """A picture that asks for nothing from elsewhere: one line a variant, indented by its place in the tree."""
    rows: list[tuple[Variant, int, int]] = []
    lines: list[str] = []
    stack = [(root, 0, -1) for root in reversed(drawn.roots)]
    while stack:
        variant, depth, above = stack.pop()
        number = len(rows)
        rows.append((variant, depth, above))
        stack.extend((child, depth + 1, number) for child in reversed(drawn.children[variant.id]))
    for number, (variant, depth, above) in enumerate(rows):
        lines += _svg_node(family, variant, intervals, _place(number, depth), _place(above, rows[above][1]), above >= 0)
    deepest = max((depth for _, depth, _ in rows), default=0)
    width = 2 * _MARGIN + deepest * _COLUMN + 8 * (_WORDS + 34)
    height = 2 * _MARGIN + max(1, len(rows)) * _ROW
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        'font-family="monospace" font-size="12"><title>lineage</title>'
        "<style>text{fill:#1f2328}.g{stroke:#8c959f;fill:none}.p{stroke:#1a7f37;stroke-width:2}"
        ".u{fill:#1a7f37}.d{fill:#cf222e}@media(prefers-color-scheme:dark){text{fill:#e6edf3}.u{fill:#3fb950}"
        ".d{fill:#ff7b72}}</style>"
    )
    return [head, *lines, "</svg>"]


def _place(row: int, depth: int) -> tuple[int, int]:
    return _MARGIN + depth * _COLUMN, _MARGIN + row * _ROW


def _svg_node(
    family: Family, variant: Variant, intervals: Intervals, at: tuple[int, int], above: tuple[int, int], linked: bool
) -> list[str]:
    x, y = at
    on_path = variant.id in family.best_path
    lines = []
    if linked:
        path = f"M{above[0]} {above[1] + _RADIUS}V{y}H{x - _RADIUS}"
        lines.append(f'<path class="g{" p" if on_path else ""}" d="{path}"/>')
    share = min(1.0, max(0.0, variant.score or 0.0))
    fill = "#ffffff" if variant.score is None else f"hsl({round(120 * share)},60%,50%)"
    is_best = family.best is not None and variant.id == family.best.id
    radius = _RADIUS + 2 if is_best else _RADIUS
    lines.append(f'<circle class="g{" p" if on_path else ""}" cx="{x}" cy="{y}" r="{radius}" style="fill:{fill}"/>')
    gain = family.gain(variant)
    change = "" if gain is None else f'<tspan class="{"u" if gain > 0 else "d"}"> {gain:+.2f}</tspan>'
    told = escape(clean(words(variant), _WORDS))
    shown = escape(score(variant, intervals.get(variant.id)))
    star = "★ " if is_best else ""
    lines.append(
        f'<text x="{x + 10}" y="{y + 4}">{star}{variant.step} {short(variant.id)}  {shown}{change}  {told}</text>'
    )
    return lines
