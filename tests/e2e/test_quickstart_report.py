"""The quickstart's report claims what the paired tests allow and nothing more; figures come from shipped records."""

from __future__ import annotations

import importlib.util
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from hyperagent.errors import EvaluationsLost, NotFoundError
from hyperagent.types import Campaign, Event, Interval, Measure, PairedTest, Scorecard, Spend, Variant

SCRIPT = Path(__file__).parent.parent.parent / "scripts" / "quickstart_report.py"
specification = importlib.util.spec_from_file_location("quickstart_report", SCRIPT)
assert specification is not None
assert specification.loader is not None
report = importlib.util.module_from_spec(specification)
sys.modules["quickstart_report"] = report  # dataclasses look their module up
specification.loader.exec_module(report)


def campaign(name: str, created: float) -> Campaign:
    return Campaign(id=name, name=name, state="finished", random_seed=1, config={}, created=created)


def variant(of: str, step: int, score: float | None, status: str = "evaluated") -> Variant:
    parent = None if step == 0 else f"{of}/0"
    return Variant(f"{of}/{step}", of, step, min(step, 1), parent, status, commit="c", score=score)


class FakeArchive:
    def __init__(self) -> None:
        self.found = [campaign("quickstart", 1), campaign("quickstart-2", 3), campaign("quickstart-control", 2)]
        self.rows = {
            "quickstart": [],
            "quickstart-2": [
                variant("quickstart-2", 0, 0.5),
                variant("quickstart-2", 1, 0.7),
                variant("quickstart-2", 2, 0.4),
                variant("quickstart-2", 3, None, "invalid"),
                variant("quickstart-2", 4, 0.0, "screened_out"),
            ],
            "quickstart-control": [variant("quickstart-control", 0, 0.5), variant("quickstart-control", 1, 0.6)],
        }

    def campaigns(self):
        return self.found

    def variants(self, name):
        return self.rows[name]

    def sessions(self, name, kind):
        return [(Event(0, name, kind, {}, 10.0, ""), 70.0)]

    def spend(self, name):
        return Spend(calls=1200, prompt_tokens=9000, completion_tokens=1000)


class FakeTools:
    """Paired tests as given per (a, b, split); 9 wins, no loss where nothing is given."""

    def __init__(self, **paired: PairedTest) -> None:
        self.against_control = paired.get("against_control", PairedTest(9, 0, 100, 0.004))
        self.against_seed = paired.get("against_seed", PairedTest(20, 2, 100, 0.0001))
        self.tested: list[str] = []

    def best(self, archive, name):
        return max((row for row in archive.variants(name) if row.score is not None), key=lambda row: row.score)

    def evaluate_test(self, variants, archive, observer):
        self.tested += [row.id for row in variants]

    def interval(self, archive, row, split):
        if split == "test" and row.id not in self.tested:
            return None
        return Interval(row.score, row.score - 0.1, row.score + 0.1, 100 if split == "validation" else 150)

    def paired(self, archive, a, b, split):
        return self.against_seed if a.step == 0 else self.against_control

    def scorecards(self, archive, row, split):
        figures = {"accuracy": row.score, "constant": 0.51, "length": 0.58}
        measures = {name: Measure(Interval(value, value, value, 100), "control") for name, value in figures.items()}
        return {"math_grading": Scorecard(measures)}


def test_it_reads_the_newest_campaign_and_tests_three_programs_once():
    tools = FakeTools()
    figures = report.gather(FakeArchive(), tools, report.Talk())
    assert tools.tested == ["quickstart-2/0", "quickstart-2/1", "quickstart-control/1"]
    assert [row.variant for row in figures.rows] == tools.tested
    assert (figures.model.evaluated, figures.model.attempts, figures.model.better_than_seed) == (3, 4, 1)
    assert (figures.model.seconds, figures.model.tokens) == (60.0, 10_000)
    assert figures.baselines["test"] == {"one answer for all": 0.51, "by length alone": 0.58}
    assert figures.rows[0].against_seed == {}
    assert json.loads(json.dumps(asdict(figures)))["rows"][1]["scores"]["test"]["n"] == 150


def test_the_report_shows_scores_intervals_baselines_and_what_to_type_next():
    text = report.render(report.gather(FakeArchive(), FakeTools(), report.Talk()))
    for part in (
        "3 variants evaluated from 4 attempts, 1 above the seed; 60 s, 1,200 model calls, 10,000 tokens",
        "validation, 100 tasks",
        "test, 150 tasks",
        "0.700 [0.600, 0.800]",
        "+20 -2, p < 0.001",
        "0.580",
        "hyperagent lineage quickstart-2",
        "hyperagent replay quickstart-2/1 --mutation",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("against_seed", "against_control", "gain", "control"),
    [
        (PairedTest(20, 2, 150, 0.0001), PairedTest(9, 0, 150, 0.004), "is better (", "did better ("),
        (PairedTest(20, 9, 150, 0.06), PairedTest(9, 8, 150, 1.0), "is no better (", "did no better ("),
        (PairedTest(2, 20, 150, 0.0001), PairedTest(0, 9, 150, 0.004), "is worse (", "did worse ("),
        (PairedTest(9, 2, 150, 0.05), PairedTest(2, 9, 150, 0.05), "is no better (", "did no better ("),
    ],
)
def test_it_claims_only_what_the_paired_tests_allow(against_seed, against_control, gain, control):
    tools = FakeTools(against_seed=against_seed, against_control=against_control)
    conclusion = report.gather(FakeArchive(), tools, report.Talk()).conclusion
    assert gain in conclusion
    assert control in conclusion


def test_a_seed_that_nothing_beat_is_called_that():
    archive = FakeArchive()
    archive.rows["quickstart-2"][1:] = [replace(row, score=0.1) for row in archive.rows["quickstart-2"][1:]]
    tools = FakeTools()
    conclusion = report.gather(archive, tools, report.Talk()).conclusion
    assert conclusion.startswith("No variant scored above the seed program")
    assert tools.tested == ["quickstart-2/0", "quickstart-control/1"]


def test_a_missing_control_and_a_lost_test_are_errors_with_a_hint():
    archive = FakeArchive()
    archive.found = archive.found[:2]
    with pytest.raises(NotFoundError, match="quickstart-control") as missing:
        report.gather(archive, FakeTools(), report.Talk())
    assert missing.value.hint
    tools = FakeTools()
    tools.evaluate_test = lambda *_: {}
    with pytest.raises(EvaluationsLost, match="no outcome on test"):
        report.gather(FakeArchive(), tools, report.Talk())
