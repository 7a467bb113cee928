"""The lines of a watched campaign: budgets with their forecast, the curve, events in words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperagent.report import watching as report
from hyperagent.report.curve import curve
from hyperagent.report.text import width
from hyperagent.report.tree import Line, plain
from hyperagent.types import Campaign, Caps, Event, Progress, Snapshot, Spend, Variant

CAMPAIGN = Campaign("c" * 12, "tiny", "running", 1, {}, 0.0)
NOW = Progress(CAMPAIGN, 3, 7, 5, (), None, None, None, Spend(4, 0, 300, 100, 0.2), Caps(7, 60.0, 700, 1.0), 30.0, 40.0)
EVIL = "a\x1b[2J\u202eb\x07\x9b31m"


def variant(step: int, score: float | None, status: Any = "evaluated", **others: Any) -> Variant:
    return Variant(f"{step:012x}", CAMPAIGN.id, step, 1, None, status, score=score, **others)


def snapshot(*variants: Variant, events: tuple[Event, ...] = ()) -> Snapshot:
    return Snapshot(NOW, variants, 2, (), events, "running", 1)


def event(sequence: int, kind: str, **payload: Any) -> Event:
    return Event(sequence, CAMPAIGN.id, kind, payload, 0.0, "")


def test_the_forecast_is_what_a_variant_took_times_the_target_and_its_seed() -> None:
    assert report.forecast(NOW, 400) == 400 / 4 * 8
    assert report.forecast(replace(NOW, done=0), 400) is None
    assert report.forecast(replace(NOW, done=7), 400) is None


def test_a_cap_that_comes_before_the_end_is_red() -> None:
    lines = {line[0].text.strip(): line for line in report.budgets(NOW, 80)}
    assert plain([lines["tokens"]]).endswith("400 of 700  ~800 in all")
    assert lines["tokens"][-1].role == "down"
    assert plain([lines["time"]]).endswith("30s of 1m 00s  ~1m 10s in all")
    assert lines["time"][-1].role == "down"
    assert plain([lines["cost"]]).endswith("$0.20 of $1.00  ~$0.40 in all")
    assert lines["cost"][-1].role == "faint"
    assert plain([lines["variants"]]).count("━") == 5  # 12 x 3/7


def test_a_curve_with_nothing_but_the_seed_has_one_line() -> None:
    lines = plain(curve([variant(0, 0.05), variant(1, None, "mutating")], 26, 8)).split("\n")
    assert ["━" in line for line in lines] == [True] + 7 * [False]


def test_bars_need_no_unicode() -> None:
    assert plain(report.budgets(NOW, 80, unicode=False)).isascii()


def test_the_curve_shows_each_score_and_the_running_best() -> None:
    lines = curve([variant(0, 0.2), variant(1, 0.6), variant(2, 0.4), variant(3, None, "invalid")], 26, 6)
    text = plain(lines).split("\n")
    assert text[0].startswith("0.60 ┤")
    assert text[4].startswith("0.20 ┤●")
    assert "★━━━━━━━━━━" in text[0]
    assert "●" in text[2]
    assert text[-1].split() == ["step", "0", "3"]


@given(
    st.lists(st.one_of(st.none(), st.floats(0, 1)), max_size=60),
    st.integers(1, 130),
    st.integers(1, 40),
    st.booleans(),
)
def test_a_curve_never_leaves_its_room(scores: list[float | None], columns: int, rows: int, unicode: bool) -> None:
    found = curve([variant(step, score) for step, score in enumerate(scores)], columns, rows, unicode=unicode)
    assert len(found) <= max(1, rows)
    if len(found) > 1:
        assert max(width(plain([line])) for line in found) <= columns


def test_a_run_of_failing_tasks_is_one_line() -> None:
    failing = [event(n, "outcome_added", status="agent_error", task=f"t{n}", evaluation=1) for n in range(3)]
    told = report.happenings(
        snapshot(variant(1, 0.5), events=(*failing, event(9, "variant_finished", variant=variant(1, None).id,
                                                         status="invalid", reason=EVIL))), 80, 5)  # fmt: skip
    assert [plain([line])[10:] for line in told] == [
        "step 1: invalid: ab",
        "agent error in task t2  (+2 before)",
    ]


@pytest.mark.parametrize("columns", [20, 40, 80, 200])
def test_every_line_fits_and_is_clean(columns: int) -> None:
    bad = variant(2, None, "invalid", reason=EVIL * 50)
    events = (
        event(1, "campaign_state", state="failed", reason=EVIL * 50),
        event(2, "outcome_added", status=EVIL, task=EVIL * 50, evaluation=1),
        event(3, EVIL, variant=bad.id),
        event(4, "mutation_described", variant=bad.id, seconds="none"),
    )
    shot = snapshot(variant(0, 0.5, summary=EVIL * 50), bad, events=events)
    lines: list[Line] = [
        report.head(shot, columns),
        *report.budgets(NOW, columns),
        *report.happenings(shot, columns, 9),
        *report.failures(shot, columns, 9),
        *(report.label(one, None, None, None, columns) for one in shot.variants),
        *report.diff(f"+{EVIL * 500}\n-x", columns),
    ]
    for line in lines:
        text = plain([line])
        assert width(text) <= columns
        assert not set(text) & set("\x1b\x07\u202e\x9b")


def test_a_diff_of_ten_megabytes_in_one_line_is_cut_before_it_is_looked_at() -> None:
    lines = report.diff("+" + "x\u202e" * 5_000_000 + "\n" + "+y\n" * 5000, 80)
    assert len(lines) == 2001
    assert "lines more" in plain(lines[-1:])
