"""Campaigns run twice, and made again from their journals: the same where nothing was changed, and not where it was."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from hyperagent import assembly
from hyperagent.cli import app
from hyperagent.cli.context import Context
from hyperagent.config import Config, load_config
from hyperagent.protocols import Archive
from hyperagent.types import CampaignReplay, Json, Progress

CONFIG = Path(__file__).parents[2] / "benchmarks" / "planted" / "planted.toml"
CROWD = "search.workers=4"


class Quiet:
    def __init__(self) -> None:
        self.messages: list[str] = []
        self.during: Callable[[Progress], None] = lambda progress: None

    def progress(self, progress: Progress) -> None:
        self.during(progress)

    def message(self, text: str) -> None:
        self.messages.append(text)


def configured(*settings: str) -> Config:
    return load_config(CONFIG, environment={}, settings=list(settings))


def run(path: Path, config: Config, during: Callable[[Any, Progress], None] = lambda session, now: None) -> Any:
    """One session: of a new campaign, or of the one that is there."""
    archive, observer = assembly.open_archive(path, write=True, create=True), Quiet()
    try:
        known = archive.campaigns()
        if known:
            session = assembly.resume_campaign(known[0], archive, observer)
        else:
            session = assembly.new_campaign(config, archive, observer)
        observer.during = lambda now: during(session, now)
        try:
            return session.run()
        finally:
            session.close()
    finally:
        archive.close()


def replayed(path: Path, into: Path | None = None, name: str = "planted") -> CampaignReplay:
    archive = assembly.open_archive(path)
    try:
        return assembly.replay_campaign(archive, archive.campaign(name), Quiet(), into)
    finally:
        archive.close()


def told(found: CampaignReplay) -> list[str]:
    return [f"{one.step}: {one.difference}" for one in found.steps if one.difference]


def cli(*words: str) -> Any:
    return CliRunner().invoke(app, list(words), obj=Context(environment={}))


def edited(path: Path, statement: str, *values: Json) -> None:
    """Change rows behind the archive's back."""
    with closing(sqlite3.connect(path / "archive.db")) as database, database:
        assert database.execute(statement, values).rowcount > 0


def facts(path: Path) -> list[str]:
    """Everything that a campaign left behind but times: variants, outcomes and the journal, ids as steps."""
    archive = assembly.open_archive(path)
    try:
        return _facts(archive)
    finally:
        archive.close()


def _facts(archive: Archive) -> list[str]:
    (campaign,) = archive.campaigns()
    variants = archive.variants(campaign.id)
    rows: list[Json] = [[v.step, v.parent, v.status, v.commit, v.tree, v.score, v.reason, v.summary] for v in variants]
    for variant in variants:
        for one in archive.evaluations(variant.id):
            rows.append([variant.step, one.benchmark, one.split, one.state, one.score, one.tasks, one.context])
            rows += [[o.task, o.status, o.score, o.prediction, o.error] for o in archive.outcomes(one.id)]
    timeless = [{k: v for k, v in e.payload.items() if k != "seconds"} for e in archive.events(campaign.id)]
    rows += [[event.kind, facts] for event, facts in zip(archive.events(campaign.id), timeless, strict=True)]
    rows += [[call.key, call.request_hash, call.reply_blob] for call in archive.calls(campaign=campaign.id)]
    texts = [json.dumps(row, default=str, sort_keys=True) for row in rows]
    for number, name in enumerate([campaign.id, *(variant.id for variant in variants)]):
        texts = [text.replace(name, f"<{number}>") for text in texts]
    return texts


# -- the same again, with one worker -------------------------------------------------------------


@pytest.mark.parametrize("selection", ["clade", "program"])
def test_the_same_configuration_gives_the_same_archive(tmp_path: Path, selection: str) -> None:
    config = configured("budget.variants=3", f"search.selection={selection}")
    archives = [tmp_path / "one", tmp_path / "two"]
    for path in archives:
        run(path, config)
    one, two = map(facts, archives)
    assert one == two


@pytest.mark.parametrize("backend", ["process", pytest.param("docker", marks=pytest.mark.docker)])
def test_the_same_configuration_gives_the_same_archive_in_a_sandbox(tmp_path: Path, backend: str) -> None:
    config = configured("budget.variants=1", f"sandbox.backend={backend}", "sandbox.pool=0")
    archives = [tmp_path / "one", tmp_path / "two"]
    for path in archives:
        run(path, config)
    one, two = map(facts, archives)
    assert one == two


# -- made again, whatever the order was ----------------------------------------------------------


@pytest.mark.parametrize(
    "settings",
    [
        ("search.selection=clade", "search.portion=2"),
        ("search.selection=pareto", "search.mode=no-self-improve"),
        ("search.selection=program", "search.mode=dgm"),
        ("search.selection=random", "search.islands=2", "search.migration=2", "search.grid=score, size"),
        ("search.racing=true", "search.plateau_steps=2", "search.plateau_action=restart"),
        ("search.plateau_steps=2", "search.plateau_action=selection", "search.plateau_selection=latest"),
        ("search.plateau_steps=2", "search.plateau_action=temperature", "search.mode=no-archive"),
        ("search.mode=random-edits",),
        ("search.inspirations=2", "models.mutations=planted/guide, planted/useless"),
        ("search.mode=best-of-n",),
    ],
    ids=" ".join,
)
def test_a_campaign_of_four_workers_comes_out_the_same(archive_path: Path, settings: tuple[str, ...]) -> None:
    result = run(archive_path, configured("budget.variants=4", CROWD, *settings))
    found = replayed(archive_path)
    assert told(found) == []
    assert (found.identical, found.first) == (True, None)
    assert [one.commit for one in found.steps] == [one.replayed for one in found.steps]
    assert {one.choice for one in found.steps[1:]} == {"again"}
    assert found.tasks >= result.done
    assert found.calls > 0 or "search.mode=random-edits" in settings


def test_what_was_made_again_is_an_archive_that_can_be_made_again(archive_path: Path, tmp_path: Path) -> None:
    run(archive_path, configured("budget.variants=3"))
    first = replayed(archive_path, tmp_path / "made" / "archive")
    second = replayed(tmp_path / "made" / "archive")
    assert first.identical
    assert second.identical
    assert (first.calls, first.tasks) == (second.calls, second.tasks)
    made = assembly.open_archive(tmp_path / "made" / "archive")
    assert not made.verify()
    assert len(made.calls(campaign=made.campaigns()[0].id)) == first.calls
    made.close()
    assert cli("replay", "planted", "--into", str(tmp_path / "made"), "--archive", str(archive_path)).exit_code == 2


# -- after accidents -----------------------------------------------------------------------------


def test_a_campaign_that_was_cut_off_and_resumed(archive_path: Path) -> None:
    config = configured("budget.variants=4", CROWD, "search.selection=clade", "search.portion=2")
    for limit in (1, 3):

        def cut(session: Any, now: Progress, limit: int = limit) -> None:
            if now.done >= limit:
                session.cancel()

        run(archive_path, config, cut)
    found = replayed(archive_path)
    assert told(found) == [], "with steps that are still open"
    run(archive_path, config)
    found = replayed(archive_path)
    assert told(found) == []
    assert found.campaign.state == "finished"


def test_a_campaign_that_was_killed_and_resumed(archive_path: Path) -> None:
    words = ["run", str(CONFIG), "--plain", "--set", "budget.variants=8", "--set", "search.workers=2"]
    command = [sys.executable, "-m", "hyperagent", *words, "--archive", str(archive_path)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    assert process.stderr is not None
    with process.stderr:
        for line in process.stderr:
            if " 3/8 variants" in line:
                os.kill(process.pid, signal.SIGKILL)
                break
    assert process.wait() == -signal.SIGKILL
    run(archive_path, configured())
    found = replayed(archive_path)
    assert told(found) == []
    assert found.identical


# -- and where something was changed -------------------------------------------------------------


def test_a_call_that_is_missing_names_the_step(archive_path: Path) -> None:
    run(archive_path, configured("budget.variants=3", "search.selection=latest"))
    archive = assembly.open_archive(archive_path)
    (campaign,) = archive.campaigns()
    first, second = next(v for v in archive.variants(campaign.id) if v.step == 1), archive.variants(campaign.id)[2:]
    archive.close()
    edited(archive_path, "DELETE FROM model_call WHERE job = ?", f"{campaign.id}/1/mutate")
    found = replayed(archive_path)
    assert (found.identical, found.first) == (False, 1)
    assert "was not recorded" in found.steps[1].difference
    below = [one.result for one, variant in zip(found.steps[2:], second, strict=True) if variant.parent == first.id]
    assert below == ["not_reached"] * len(below)
    result = cli("replay", "planted", "--archive", str(archive_path))
    assert result.exit_code == 1
    assert "step 1: job" in result.stdout
    assert "diverged" in result.stdout


def test_a_prediction_that_was_changed_names_its_task(archive_path: Path) -> None:
    run(archive_path, configured("budget.variants=1"))
    first = "UPDATE outcome SET prediction = ? WHERE id = (SELECT min(id) FROM outcome)"
    edited(archive_path, first, b'"forged"')
    found = replayed(archive_path)
    assert (found.identical, found.first) == (False, 0)
    assert "prediction" in found.steps[0].difference
    assert "forged" in found.steps[0].difference


def test_a_choice_that_does_not_follow_from_what_was_known(archive_path: Path) -> None:
    run(archive_path, configured("budget.variants=4", "search.selection=latest"))
    kind = "kind = 'step_started' AND json_extract(payload, '$.step') = ?"
    later = [one.step for one in replayed(archive_path).steps if one.parent not in (None, 0)]
    edited(archive_path, f"UPDATE event SET payload = json_set(payload, '$.known', json('[]')) WHERE {kind}", later[0])
    found = replayed(archive_path)
    assert (found.identical, found.first) == (False, later[0])
    assert found.steps[later[0]].difference.startswith("parent: recorded step")


def test_a_journal_of_an_older_release_is_followed_and_said_so(archive_path: Path) -> None:
    run(archive_path, configured("budget.variants=2", CROWD))
    edited(archive_path, "UPDATE event SET payload = json_remove(payload, '$.known') WHERE kind = 'step_started'")
    result = cli("replay", "planted", "--archive", str(archive_path))
    assert result.exit_code == 0, result.stdout
    assert "the journal does not say what was known" in result.stdout
    assert "as recorded" in result.stdout
    shown = json.loads(cli("replay", "planted", "--archive", str(archive_path), "--json").stdout)["replay"]
    assert shown["identical"]
    assert {one["choice"] for one in shown["steps"][1:]} == {"unknown"}
