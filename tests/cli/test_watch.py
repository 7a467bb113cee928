"""``watch``: what is read of a campaign from outside while it runs, and the verb."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from hyperagent import assembly
from hyperagent.archive import open_archive
from hyperagent.assembly import CampaignWatch
from hyperagent.errors import NotFoundError
from hyperagent.protocols import Archive
from hyperagent.report import watching as report
from hyperagent.report.tree import plain
from hyperagent.types import Outcome
from tests.cli.conftest import TASKS
from tests.cli.watched import INFO, OWN, beginning, doing


@pytest.fixture
def archive(home: Path) -> Iterator[Archive]:
    """With the campaign ``tiny`` of the command line's tests."""
    opened = open_archive(home, write=True)
    yield opened
    opened.close()


# -- what is read ----------------------------------------------------------------------------------


def test_each_phase_of_a_step_is_told_as_it_comes(archive: Archive) -> None:
    campaign = beginning(archive)
    watch = CampaignWatch(archive, campaign, holder=lambda: OWN)
    assert doing(watch) == [(0, "checking the seed program")]
    seed, *_ = archive.variants(campaign)
    archive.commit_program(seed.id, {"a.py": b"1"}, "seed")
    found = archive.start_evaluation(seed.id, "bench", "validation", ("a", "b", "c"), 2, "context", INFO)
    archive.add_outcome(found.id, Outcome("a", "scored", 1.0))
    assert doing(watch) == [(0, "full 1/3 bench")]
    for task in "bc":
        archive.add_outcome(found.id, Outcome(task, "scored", 1.0))
    archive.finish_evaluation(found.id, "finished", 1.0)
    archive.finish_variant(seed.id, "evaluated", score=1.0)
    assert doing(watch) == []
    child = archive.start_step(campaign, 1, seed.id, {})
    assert doing(watch) == [(1, "evidence of 0")]
    train = archive.start_evaluation(seed.id, "bench", "train", ("x", "y"), 0, "context", INFO)
    archive.add_outcome(train.id, Outcome("x", "scored", 1.0))
    assert doing(watch) == [(1, "evidence of 0, train 1/2")]
    archive.append_event(campaign, "mutation_started", {"variant": child.id})
    assert doing(watch) == [(1, "mutating 0")]
    archive.describe_mutation(child.id, summary="edit", seconds=2.0, transcript_blob="")
    assert doing(watch) == [(1, "checking the program")]
    archive.commit_program(child.id, {"a.py": b"2"}, "child")
    screen = archive.start_evaluation(child.id, "bench", "validation", ("a", "b", "c"), 2, "context", INFO)
    archive.add_outcome(screen.id, Outcome("a", "scored", 1.0))
    assert doing(watch) == [(1, "screen 1/2 bench")]
    # One that starts to look now sees the same.
    assert doing(CampaignWatch(archive, campaign, holder=lambda: OWN)) == [(1, "screen 1/2 bench")]


def test_a_look_reads_only_what_has_changed(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    campaign = beginning(archive)
    watch = CampaignWatch(archive, campaign, holder=lambda: OWN)
    asked: list[str] = []
    for name in ("variants", "events", "variant", "evaluations", "outcomes", "calls", "newest_events"):
        monkeypatch.setattr(type(archive), name, _counting(getattr(type(archive), name), name, asked))
    assert not watch.refresh()
    assert asked == []
    archive.start_step(campaign, 1, watch.snapshot.variants[0].id, {})
    asked.clear()
    assert watch.refresh()
    assert asked == ["events", "variant"]
    assert [variant.step for variant in watch.snapshot.variants] == [0, 1]


def _counting(method: Callable[..., Any], name: str, asked: list[str]) -> Callable[..., Any]:
    def counted(*arguments: Any, **named: Any) -> Any:
        asked.append(name)
        return method(*arguments, **named)

    return counted


def test_nothing_of_a_campaign_is_missed_when_many_variants_change_at_once(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hyperagent.assembly.watching.REREAD_ALL", 3)
    campaign = beginning(archive)
    watch = CampaignWatch(archive, campaign, holder=lambda: OWN)
    seed = watch.snapshot.variants[0].id
    for step in range(1, 7):
        archive.finish_variant(archive.start_step(campaign, step, seed, {}).id, "invalid", reason="no")
    watch.refresh()
    assert watch.snapshot.variants == tuple(archive.variants(campaign))


def test_the_session_counts_only_where_the_writer_is_its_own(archive: Archive) -> None:
    campaign = beginning(archive)
    holder: list[Mapping[str, Any] | None] = [OWN]
    watch = CampaignWatch(archive, campaign, holder=lambda: holder[0])
    assert (watch.snapshot.session, watch.snapshot.pid) == ("running", 42)
    holder[0] = None
    assert watch.refresh()
    assert (watch.snapshot.session, watch.snapshot.pid, watch.snapshot.activities) == ("interrupted", 0, ())
    assert "hyperagent resume new" in plain([report.head(watch.snapshot, 100)])
    holder[0] = {"pid": 43, "started": 1e12}  # took the lock long after this campaign began: it runs another one
    watch.refresh()
    assert watch.snapshot.session == "interrupted"
    archive.set_campaign_state(campaign, "stopped", "by hand")
    watch.refresh()
    assert watch.snapshot.session == "ended"


def test_a_killed_session_is_noticed_at_once(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from hyperagent.archive import open_archive\n"
        "a = open_archive(pathlib.Path(sys.argv[1]), write=True, create=True)\n"
        "from hyperagent.config import Config, to_json\n"
        "c = a.create_campaign('dies', 1, to_json(Config())).id\n"
        "a.append_event(c, 'session_started', {'workers': 1}); a.start_step(c, 0, None, {})\n"
        "print('ready', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "a")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"
        archive = open_archive(tmp_path / "a")
        watch = CampaignWatch(archive, archive.campaign("dies").id)
        assert (watch.snapshot.session, watch.snapshot.pid) == ("running", writer.pid)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        assert watch.refresh()
        assert watch.snapshot.session == "interrupted"
        archive.close()


def test_the_caps_are_those_of_the_session_and_time_ends_with_it(archive: Archive) -> None:
    campaign = beginning(archive)
    times = iter((1e12, 1e12))
    watch = CampaignWatch(archive, campaign, holder=lambda: OWN, clock=lambda: next(times))
    assert (watch.snapshot.progress.caps.tokens, watch.snapshot.progress.target) == (500, 4)
    assert watch.snapshot.progress.seconds > 1e11
    archive.set_campaign_state(campaign, "finished")
    archive.append_event(campaign, "test_read", {"variant": watch.snapshot.variants[0].id})
    watch.refresh()
    assert watch.snapshot.progress.seconds < 60


def test_results_of_the_hidden_test_are_not_shown(archive: Archive) -> None:
    campaign = archive.campaign("tiny").id
    watch = CampaignWatch(archive, campaign, holder=lambda: None)
    variant = watch.snapshot.variants[1]
    found = archive.start_evaluation(variant.id, "math_grading", "test", ("secret",), 0, "context", INFO)
    archive.add_outcome(found.id, Outcome("secret", "agent_error", 0.0, error="boom"))
    archive.finish_evaluation(found.id, "finished", 0.125)
    watch.refresh()
    for each in (watch, CampaignWatch(archive, campaign, holder=lambda: None)):
        lines = [*report.happenings(each.snapshot, 100, 99), *report.failures(each.snapshot, 100, 99)]
        lines += report.closeup(each.closeup(variant.id), 100)
        assert "secret" not in plain(lines)
        assert "0.125" not in plain(lines)


def test_a_close_look_names_what_was_won_and_lost(archive: Archive) -> None:
    watch = CampaignWatch(archive, archive.campaign("tiny").id)
    found = watch.closeup(watch.snapshot.variants[1].id)
    assert (found.won, found.lost, found.shared) == (TASKS[8:16], (), 20)
    assert found.children == (3,)
    assert "answer = 2" in found.diff
    text = plain([*report.closeup(found, 80), *report.diff(found.diff, 80)])
    assert "8 tasks won, 0 lost of 20" in text
    assert not set(text) & set("\x1b\x07\u202e")


# -- the verb --------------------------------------------------------------------------------------


def test_in_a_pipe_it_says_how_things_stand(home: Path, invoke: Callable[..., Any], fake: Any) -> None:
    fake.CampaignWatch = assembly.CampaignWatch
    done = invoke("watch", "tiny")
    assert (done.exit_code, done.stderr) == (0, "")
    for part in ("tiny", "finished", "best 0.80", "seed 0.40", "variants", "no worker"):
        assert part in done.stdout
    assert not set(done.stdout) & set("\x1b\x07\u202e")


def test_json_is_one_object_and_safe(home: Path, invoke: Callable[..., Any], fake: Any) -> None:
    fake.CampaignWatch = assembly.CampaignWatch
    done = invoke("watch", "--json")
    found = json.loads(done.stdout)
    assert (found["session"], found["best"]["step"], found["attempts"]) == ("ended", 1, 3)
    assert found["forecast"] == {"tokens": 0.0, "cost": 0.0}
    assert done.stdout.isascii()


def test_an_unknown_campaign_is_an_error_with_near_names(home: Path, invoke: Callable[..., Any], fake: Any) -> None:
    fake.CampaignWatch = assembly.CampaignWatch
    done = invoke("watch", "tinny")
    assert done.exit_code == NotFoundError.exit_code
    assert "tiny" in done.stderr
