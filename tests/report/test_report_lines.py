"""Trees, tables and hostile text, on plain records."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperagent.report.table import best_variant, clock, duration, facts, size, table, variant_table
from hyperagent.report.text import clean, clean_block, fit, pad, to_ascii, width
from hyperagent.report.tree import lineage_tree, plain
from hyperagent.types import Interval, Variant, VariantStatus


def variant(
    step: int, parent: int | None, status: VariantStatus, score: float | None = None, words: str = "", **others: str
) -> Variant:
    good = status in ("evaluated", "screened_out")
    return Variant(
        id=f"{step:012x}"[::-1],
        campaign="c",
        step=step,
        generation=0,
        parent=None if parent is None else f"{parent:012x}"[::-1],
        status=status,
        score=score,
        summary=words if good else others.get("summary", ""),
        reason="" if good else words,
    )


SMALL = [
    variant(0, None, "evaluated", 0.42),
    variant(1, 0, "evaluated", 0.58, "checks the last line"),
    variant(2, 0, "no_effect", words="only README.md changed"),
    variant(3, 1, "evaluated", 0.58, "votes"),
    variant(4, 1, "screened_out", 0.0, "answers nothing"),
    variant(5, 0, "invalid", words="does not import"),
    variant(6, 3, "evaluated", 0.71, "compares final answers"),
    variant(7, 0, "no_effect", words="only README.md changed"),
    variant(8, 6, "mutating"),
]
INTERVALS = {SMALL[0].id: Interval(0.42, 0.33, 0.52, 100), SMALL[6].id: Interval(0.71, 0.61, 0.79, 100)}

GOLDEN = """\
● 0 00000000  0.42 [0.33–0.52]  seed program
├─ ● 1 10000000  0.58 ▲ +0.16  checks the last line
│  ├─ ● 3 30000000  0.58 =  votes
│  │  └─ ★ 6 60000000  0.71 [0.61–0.79] ▲ +0.13  compares final answers
│  │     └─ … 8 80000000  mutating
│  └─ ○ 4 40000000  0.00 ▼ -0.58  screened out: answers nothing
└─ 2 without effect, 1 invalid"""  # noqa: RUF001

GOLDEN_ASCII = """\
o 0 00000000  0.42 [0.33-0.52]  seed program
|- o 1 10000000  0.58 ^ +0.16  checks the last line
|  |- o 3 30000000  0.58 =  votes
|  |  `- * 6 60000000  0.71 [0.61-0.79] ^ +0.13  compares final answers
|  |     `- ~ 8 80000000  mutating
|  `- - 4 40000000  0.00 v -0.58  screened out: answers nothing
|- . 2 20000000  no effect: only README.md changed
|- x 5 50000000  invalid: does not import
`- . 7 70000000  no effect: only README.md changed"""


def test_a_small_lineage() -> None:
    assert plain(lineage_tree(SMALL, INTERVALS)) == GOLDEN


def test_a_small_lineage_in_ascii_with_every_attempt() -> None:
    lines = lineage_tree(SMALL, INTERVALS, unicode=False, show_all=True)
    assert plain(lines) == GOLDEN_ASCII
    assert plain(lines).isascii()


def test_the_path_to_the_best_has_its_own_role() -> None:
    lines = lineage_tree(SMALL, INTERVALS)
    marked = [next((span.text.split()[1] for span in line if span.role in ("path", "best")), "") for line in lines]
    assert [step for step in marked if step] == ["0", "1", "3", "6"]


@pytest.mark.parametrize("columns", [60, 80, 120])
@pytest.mark.parametrize("shape", ["chain", "star", "random"])
def test_five_hundred_variants_fit_the_terminal(shape: str, columns: int) -> None:
    chance = random.Random(7)
    variants = [variant(0, None, "evaluated", 0.1)]
    for step in range(1, 500):
        parent = {"chain": step - 1, "star": 0, "random": chance.randrange(step)}[shape]
        variants.append(variant(step, parent, "evaluated", chance.random(), "long words 漢字 " * 20))
    lines = plain(lineage_tree(variants, columns=columns)).splitlines()
    assert max(width(line) for line in lines) <= columns
    drawn = [line for line in lines if "continued below" not in line]
    assert sum("0.1" in line or "▲" in line or "▼" in line or "=" in line for line in drawn) >= 480
    for one in variants:
        assert sum(f" {one.step} {one.id[:8]}" in line for line in lines) in (1, 2)


def test_damaged_parents_neither_loop_nor_vanish() -> None:
    circle = [variant(1, 2, "evaluated", 0.1), variant(2, 1, "evaluated", 0.2), variant(3, 3, "evaluated", 0.3)]
    text = plain(lineage_tree(circle))
    assert all(one.id[:8] in text for one in circle)


def test_nothing_to_draw() -> None:
    assert lineage_tree([]) == []


HOSTILE = "a\x1b[31mred\x1b]0;title\x07 \x1b[2J\r\nnext\tline\u202etxt.exe\u2066\x00\x9b5Z\u2028end\ud800"


def test_hostile_text_becomes_one_plain_line() -> None:
    assert clean(HOSTILE) == "ared next linetxt.exe end"


def test_hostile_summaries_reach_neither_tree_nor_table() -> None:
    lines = plain(lineage_tree([variant(0, None, "evaluated", 0.5, HOSTILE)]))
    assert lines.count("\n") == 0
    rows = variant_table([variant(0, None, "evaluated", 0.5, HOSTILE)], {}, 100)
    assert len(rows) == 2
    for text in (lines, *rows):
        assert not any(ord(character) < 32 or character in "\u202e\u2066\x9b" for character in text)


@given(st.text(max_size=300), st.integers(1, 80))
def test_clean_is_printable_and_no_wider_than_asked(text: str, limit: int) -> None:
    result = clean(text, limit)
    assert width(result) <= limit
    assert result.isprintable()
    assert clean(result, limit) == result


def test_stacked_marks_are_cut() -> None:
    assert clean("e" + "\u0301" * 50 + "x") == "e\u0301\u0301x"


def test_blocks_keep_their_lines_and_show_what_is_hidden() -> None:
    assert clean_block("+a\n\t-b\x1b[2J\u202e\n") == "+a\n\t-b\\x1b[2J\\u202e\n"


def test_widths() -> None:
    assert width("漢字a\u0301") == 5
    assert fit("漢字漢字", 5) == "漢字…"
    assert fit("abc", 0) == ""
    assert pad("漢", 4) == "漢  "
    assert to_ascii("★ 漢") == "* ?"


def test_tables_align_and_cut_the_last_column() -> None:
    lines = table(("n", "name", "text"), [("1", "漢", "x" * 50), ("10", "ab", "y")], 20, frozenset({"n"}))
    assert lines == [" n  name  text", " 1  漢    xxxxxxxxx…", "10  ab    y"]
    assert facts([("a", "1"), ("long", ""), ("bcd", "2")]) == ["a    1", "bcd  2"]


def test_small_formats() -> None:
    assert [duration(seconds) for seconds in (0, 59.4, 61, 7500)] == ["0s", "59s", "1m 01s", "2h 05m"]
    assert clock(3723) == "1:02:03"
    assert [size(count) for count in (12, 98e6, 1117e6)] == ["12 B", "98 MB", "1.1 GB"]


def test_best_is_the_earliest_of_equals_and_never_screened_out() -> None:
    assert best_variant(SMALL) == SMALL[6]
    assert best_variant([SMALL[3], SMALL[1]]) == SMALL[1]
    assert best_variant([variant(1, 0, "screened_out", 0.9)]) is None
