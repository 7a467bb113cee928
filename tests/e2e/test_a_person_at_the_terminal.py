"""The main job as a newcomer does it: init, run, look, replay, be killed, resume. Real Docker, real local model."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from person import Person, containers, kill_everything

from hyperagent.archive import open_archive

pytestmark = [pytest.mark.docker, pytest.mark.model]


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory) -> Person:
    """Has run a small campaign to its end."""
    person = Person(tmp_path_factory.mktemp("person"))
    person.types("init")
    plan = person.asks("run", "hyperagent.toml", "--dry-run", *person.settings("budget.variants=3"))
    assert plan["plan"]["variants"] == 3
    assert plan["plan"]["tasks_per_variant"] == 6
    person.types("run", "hyperagent.toml", "--name", "first", *person.settings("budget.variants=3"))
    return person


def test_the_campaign_reached_its_target(person: Person) -> None:
    status = person.asks("status", "first")
    assert status["campaign"]["state"] == "finished"
    variants = person.asks("ls", "first")["variants"]
    assert sum(v["step"] > 0 and v["status"] in ("evaluated", "screened_out") for v in variants) == 3
    assert all(v["commit"] for v in variants if v["status"] in ("evaluated", "screened_out"))


def test_lineage_show_and_diff_tell_the_same_story(person: Person) -> None:
    tree = person.types("lineage", "first").stdout
    child = next(v for v in person.asks("ls", "first")["variants"] if v["step"] and v["commit"])
    assert child["id"][:8] in tree
    shown = person.asks("show", child["id"][:6])
    assert shown["variant"]["parent"] == child["parent"]
    diff = person.types("diff", f"first/{child['step']}").stdout
    assert diff.count("\n+") > 0
    assert "task_agent.py" in diff or "meta_agent.py" in diff


def test_every_variant_replays_identically_without_a_model(person: Person, tmp_path: Path) -> None:
    # No weights where this environment points to: a replay that wanted the model would fail.
    person.environment["HYPERAGENT_MODELS"] = str(tmp_path / "nothing here")
    try:
        for variant in person.asks("ls", "first")["variants"]:
            if not variant["commit"]:
                continue
            reports = person.asks("replay", variant["id"])["reports"]
            assert [report["identical"] for report in reports] == [True], reports
            if variant["step"]:
                reports = person.asks("replay", variant["id"], "--mutation")["reports"]
                assert [report["identical"] for report in reports] == [True], reports
    finally:
        del person.environment["HYPERAGENT_MODELS"]


def test_the_git_graph_is_the_lineage(person: Person) -> None:
    variants = {v["id"]: v for v in person.asks("ls", "first")["variants"] if v["commit"]}
    repository = str(person.home / "archive" / "lineage.git")
    for variant in variants.values():
        line = subprocess.run(
            ["git", "-C", repository, "rev-list", "--parents", "-1", variant["commit"]],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        expected = [variants[variant["parent"]]["commit"]] if variant["parent"] else []
        assert line[1:] == expected


def test_the_hidden_test_is_read_only_when_asked_and_every_reading_is_journalled(person: Person) -> None:
    def readings() -> tuple[int, int]:
        with open_archive(person.home / "archive") as archive:
            seed = archive.variant("first/0")
            evaluations = [e for e in archive.evaluations(seed.id) if e.split == "test"]
            events = [e for e in archive.events(seed.campaign) if e.kind == "test_read"]
            return len(evaluations), len(events)

    assert readings() == (0, 0)
    asked = person.asks("test", "first/0")
    assert readings() == (1, 1)
    assert "test" not in {evaluation["split"] for evaluation in person.asks("show", "first/0")["evaluations"]}
    assert asked["schema"] == 1


def test_killed_and_resumed_it_loses_nothing_and_pays_nothing_twice(person: Person) -> None:
    run = person.starts(
        "run",
        "hyperagent.toml",
        "--name",
        "second",
        *person.settings("budget.variants=2", "seed=7", "search.reuse_evaluations=false"),
    )
    try:
        _until_an_outcome_is_stored(person, run)
    finally:
        kill_everything(run)
    before = person.asks("status", "second")
    assert before["campaign"]["state"] == "running"
    person.types("resume", "second")
    after = person.asks("status", "second")
    assert after["campaign"]["state"] == "finished"
    assert after["spend"]["prompt_tokens"] >= before["spend"]["prompt_tokens"]
    person.types("verify")
    assert containers(person.home / "archive") == []


def _until_an_outcome_is_stored(person: Person, run: subprocess.Popen[bytes]) -> None:
    """Poll the journal as a second terminal would; readers are never blocked by the run."""
    while run.poll() is None:
        listed = person.asks("ls") if (person.home / "archive" / "archive.db").exists() else {"campaigns": []}
        if any(c["name"] == "second" for c in listed["campaigns"]):
            spend = person.asks("status", "second")["spend"]
            if spend["calls"] + spend["cached_calls"] > 3:
                return
    raise AssertionError(f"the run ended with {run.returncode} before anything was stored")


def test_a_second_writer_is_refused_and_told_by_whom(person: Person) -> None:
    with open_archive(person.home / "archive", write=True):
        refused = person.types("resume", "first", code=3)
        assert str(os.getpid()) in refused.stderr
        for verb in ("status", "ls", "lineage"):
            person.types(verb, "first")
