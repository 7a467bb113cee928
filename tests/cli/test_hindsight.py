"""``regressions`` and ``ensemble`` from the outside, on a real archive and a generated benchmark."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from hyperagent.archive import open_archive
from hyperagent.cli import app
from hyperagent.cli.context import Context
from hyperagent.config import BenchmarkConfig, Config, to_json
from hyperagent.evaluation.pack import load_pack
from hyperagent.protocols import Archive
from hyperagent.types import Outcome, SandboxInfo, Split, Variant

Verb = Callable[..., Any]
COUNT = 12
HOSTILE = "better\x1b[2J\nsecond line"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Step 0 and two siblings each miss another third of the tasks; step 3 (from 1) solves nothing."""
    path = tmp_path_factory.mktemp("made") / "archive"
    entry = BenchmarkConfig("math_grading", source="generated", validation=COUNT, test=COUNT)
    config = Config(benchmarks=(entry,))
    with open_archive(path, write=True, create=True) as archive:
        campaign = archive.create_campaign("votes", 1, to_json(config))
        steps: list[Variant] = []
        for step, parent in enumerate((None, 0, 0, 1)):
            variant = archive.start_step(campaign.id, step, steps[parent].id if parent is not None else None, {})
            steps.append(archive.commit_program(variant.id, {"task_agent.py": b"n = %d" % step}, "program"))
            score = evaluate(archive, variant, "validation", step)
            if step < 3:
                evaluate(archive, variant, "test", step, COUNT - (step == 2))
            archive.finish_variant(variant.id, "evaluated", score=score, summary=HOSTILE)
        archive.set_campaign_state(campaign.id, "finished")
    return path


@pytest.fixture
def home(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made, tmp_path / "archive")


def evaluate(archive: Archive, variant: Variant, split: Split, step: int, count: int = COUNT) -> float:
    pack = load_pack("math_grading", "generated")
    tasks = pack.tasks(split, COUNT)
    info = SandboxInfo("process", "none")

    def image(self, packages: object = ()) -> str:
        return ""

    evaluation = archive.start_evaluation(variant.id, "math_grading", split, [t.id for t in tasks], 0, "context", info)
    total = 0.0
    for number, task in enumerate(tasks[:count]):
        right = number % 3 != step and step < 3
        label = task.hidden["label"]
        answer = label if right else next(one for one in pack.labels if one != label)
        archive.add_outcome(evaluation.id, Outcome(task.id, "scored", float(right), json.dumps(answer)))
        total += right
    if count == COUNT:
        archive.finish_evaluation(evaluation.id, "finished", total / COUNT)
    return total / COUNT


@pytest.fixture
def verb(home: Path) -> Verb:
    def run(*words: str) -> Any:
        return CliRunner().invoke(app, list(words), obj=Context(environment={"HYPERAGENT_ARCHIVE": str(home)}))

    return run


def test_three_that_miss_other_tasks_are_right_together(verb: Verb) -> None:
    found = json.loads(verb("ensemble", "votes", "--json").stdout)
    assert sorted(member["step"] for member in found["members"]) == [0, 1, 2]
    assert found["validation"]["ensemble"]["estimate"] == 1.0
    assert found["validation"]["single"]["estimate"] == pytest.approx(2 / 3)
    assert (found["test"], found["missing"]) == (None, 1)
    assert len(json.loads(verb("ensemble", "votes", "--json", "--size", "1").stdout)["members"]) == 1


def test_the_hidden_test_is_read_where_asked_for_and_leaves_a_trace(verb: Verb, home: Path) -> None:
    refused = verb("ensemble", "votes", "--test")
    assert refused.exit_code == 0
    assert "lacks 1 task evaluations" in refused.stderr
    assert "test  " not in refused.stdout
    assert "\x1b" not in refused.stdout
    with open_archive(home, write=True) as archive:
        variant = archive.variant("votes/2")
        (evaluation,) = [e for e in archive.evaluations(variant.id) if e.split == "test"]
        archive.add_outcome(evaluation.id, Outcome(evaluation.tasks[-1], "scored", 0.0, '"nonsense"'))
        events = len(archive.events(variant.campaign))
    read = json.loads(verb("ensemble", "votes", "--test", "--json").stdout)
    assert read["test"]["ensemble"]["estimate"] == pytest.approx(1.0)
    with open_archive(home) as archive:
        assert [e.kind for e in archive.events(archive.campaign("votes").id)[events:]] == ["test_read"]


def test_the_edit_that_broke_a_lineage_stands_first(verb: Verb) -> None:
    found = json.loads(verb("regressions", "votes", "--json").stdout)
    assert found["correction"] == "holm"
    worst = found["regressions"][0]
    assert (worst["child"]["step"], worst["parent"]["step"]) == (3, 1)
    assert worst["difference"]["estimate"] == pytest.approx(-2 / 3)
    shown = verb("regressions", "votes")
    assert "p (Holm)" in shown.stdout
    assert "\x1b" not in shown.stdout


def test_an_unknown_campaign_is_a_usage_error(verb: Verb) -> None:
    for name in ("regressions", "ensemble"):
        assert verb(name, "nowhere").exit_code == 2
