"""Folded trees, graphs, what changed between programs, comparisons and replays as text: on plain records."""

from __future__ import annotations

import random
import re
import xml.etree.ElementTree as ElementTree

import pytest

from hyperagent.report import graphs
from hyperagent.report.changes import changes
from hyperagent.report.comparing import decides, more
from hyperagent.report.family import Family, View
from hyperagent.report.replaying import report_lines, turn_lines
from hyperagent.report.text import width
from hyperagent.report.tree import LineageTree, legend, plain
from hyperagent.types import Divergence, Interval, Paired, ReplayReport, Turn, Variant, VariantStatus

HOSTILE = '"]; x -> y\\ <script>alert(1)</script> \x1b[2J\u202e & #; end\n%% comment'


def variant(
    step: int, parent: int | None, score: float | None, status: VariantStatus = "evaluated", words: str = ""
) -> Variant:
    above = None if parent is None else f"{parent:012}"
    return Variant(f"{step:012}", "c", step, 0 if parent is None else 1, above, status, score=score, summary=words)


def chain(length: int) -> list[Variant]:
    return [variant(step, step - 1 if step else None, step / length) for step in range(length)]


def wide(count: int, seed: int = 3) -> list[Variant]:
    chance = random.Random(seed)
    kinds: list[VariantStatus] = ["evaluated", "evaluated", "evaluated", "invalid", "duplicate", "screened_out"]
    found = [variant(0, None, 0.1)]
    for step in range(1, count):
        status = chance.choice(kinds)
        scored = status in ("evaluated", "screened_out")
        found.append(variant(step, chance.randrange(step), chance.random() if scored else None, status, "words " * 9))
    return found


def drawn(variants: list[Variant], view: View, columns: int = 80) -> tuple[list[str], LineageTree]:
    tree = LineageTree(Family(variants), view, columns=columns)
    return plain(tree.lines({})).splitlines(), tree


@pytest.mark.parametrize("columns", [40, 80, 140])
@pytest.mark.parametrize("variants", [wide(10), wide(5000), chain(3000)], ids=["ten", "wide", "deep"])
def test_a_tree_fits_width_and_height_and_loses_nobody(variants: list[Variant], columns: int) -> None:
    lines, tree = drawn(variants, View(rows=30), columns)
    assert len(lines) <= 30
    assert max(map(width, lines)) <= columns
    best = Family(variants).best
    assert any("★" in line for line in lines) == (best is not None)
    assert len(tree.shown) + tree.hidden == len(variants)


def test_ten_variants_are_all_drawn() -> None:
    alive = [one for one in wide(10) if one.status not in ("invalid", "duplicate")]
    _, tree = drawn(wide(10), View(rows=30))
    assert {one.id for one in alive} <= {one.id for one in tree.shown}


def test_the_most_promising_branches_are_kept() -> None:
    variants = wide(2000)
    best = sorted((one for one in variants if one.status == "evaluated"), key=lambda one: -(one.score or 0))[:4]
    _, tree = drawn(variants, View(rows=40))
    assert {one.id for one in best} <= {one.id for one in tree.shown}


SMALL = [
    variant(0, None, 0.1), variant(1, 0, 0.5), variant(2, 1, None, "invalid"), variant(3, 1, 0.3), variant(4, 3, 0.9),
    variant(5, 0, 0.2, "screened_out"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("view", "steps"),
    [
        (View(ancestors=SMALL[4].id), [0, 1, 3, 4]),
        (View(descendants=SMALL[3].id), [3, 4]),
        (View(best=1), [0, 4]),
        (View(since=4), [0, 4, 5]),
        (View(statuses=frozenset({"invalid"})), [0, 2]),
        (View(depth=0), [0]),
        (View(), [0, 1, 3, 4, 5]),
        (View(show_all=True), [0, 1, 2, 3, 4, 5]),
    ],
)
def test_views(view: View, steps: list[int]) -> None:
    _, tree = drawn(SMALL, view)
    assert sorted(one.step for one in tree.shown) == steps


def test_a_filtered_variant_hangs_under_its_nearest_drawn_ancestor() -> None:
    lines, _ = drawn(SMALL, View(best=1))
    assert lines[1].startswith("└┄ ★ 4 ")
    assert "(after 2 more)" in lines[1]


def test_the_legend_fits() -> None:
    for columns in (40, 80):
        assert max(map(width, legend(columns).splitlines())) <= columns
    assert legend(40, unicode=False).isascii()


def _graph(name: str) -> str:
    family = Family([variant(0, None, 0.1, words=HOSTILE), variant(1, 0, 0.5, words=HOSTILE)])
    known = {family.ordered[1].id: Interval(0.5, 0.4, 0.6, 9)}
    return "\n".join(getattr(graphs, name)(family, graphs.drawn_whole(family, View(show_all=True)), known))


def test_graphs_hold_their_edge_and_escape_their_texts() -> None:
    dot, mermaid, svg = (_graph(name) for name in ("dot", "mermaid", "svg"))
    assert '"000000000000" -> "000000000001"' in dot
    assert re.search(r'tooltip="\\"\]; x -> y\\\\ <script>', dot)
    assert "v000000000000 --> v000000000001" in mermaid
    assert not re.search(r"<|%%|\\", mermaid)
    assert mermaid.count("\n") == 5
    for text in (dot, mermaid, svg):
        assert all(character.isprintable() or character == "\n" for character in text)
    texts = [node.text or "" for node in ElementTree.fromstring(svg).iter() if node.tag.endswith(("text", "tspan"))]
    assert any("seed" in text or "<script>" in text for text in texts) or "<script>" not in svg
    assert "<script" not in svg


def test_what_changed_names_functions() -> None:
    before = {
        "a.py": b"def f():\n    return 1\n\nclass C:\n    def m(self): return 1\n",
        "old.txt": b"x\n",
        "b.py": b"",
    }
    after = {
        "a.py": b"def g():\n    return 1\n\nclass C:\n    def m(self): return 2\n",
        "b.py": b"(" * 5000,
        "n": b"1\n2",
    }
    found = {change.path: change for change in changes(before, after)}
    assert found["a.py"].functions == ("~C.m", "+g", "-f")
    assert (found["a.py"].added, found["a.py"].removed) == (2, 2)
    assert (found["old.txt"].kind, found["n"].kind, found["n"].added) == ("removed", "added", 2)
    assert "does not parse" in found["b.py"].note
    assert changes(after, after) == ()
    (layout,) = changes({"a.py": b"x = 1\n"}, {"a.py": b"x  =  1\n"})
    assert layout.note


def test_long_lists_end_in_a_number() -> None:
    assert more(["a", "b"], 20) == "a b"
    assert more(["aaaa", "bbbb", "cccc", "dddd"], 18) == "aaaa bbbb … 2 more"
    assert width(more(["漢" * 30, "b"], 20)) <= 20


def test_what_would_decide_is_rounded_and_says_when_nothing_would() -> None:
    none = Interval(0.5, 0.4, 0.6, 10)
    open_question = Paired("b", none, none, Interval(0.1, -0.1, 0.3, 10), None, ("t",), (), "inconclusive", 251)
    assert "some 260 more tasks" in decides(open_question)
    level = Paired("b", none, none, Interval(0.0, -0.1, 0.1, 10), None, (), (), "inconclusive", None)
    assert "no number of tasks" in decides(level)


def test_a_divergence_points_at_the_byte() -> None:
    first = Divergence("t3", "prediction", 9, '"answer: yes"', '"answer: no"', 9)
    report = ReplayReport(variant(1, 0, 0.5), "evaluation", False, 3, "t3: ...", first=first)
    lines = report_lines("tiny/1 0000", report, 80)
    assert lines[1].strip() == "t3: prediction differs from byte 9 on"
    at = lines[-1].index("▲")
    assert (lines[2][at], lines[3][at]) == ("y", "n")


def test_turns_are_escaped_and_wrapped() -> None:
    asked = ({"role": "user\x1b[2J", "content": HOSTILE + "z" * 300},)
    lines = turn_lines(Turn("m\x07", asked, None, 3, 0.1, False, "cut\x1b[2J off"), 60)
    assert max(map(width, lines)) <= 60
    assert all(character.isprintable() for line in lines for character in line)
    assert any("no reply: cut off" in line for line in lines)
