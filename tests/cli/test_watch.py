"""``watch``: what is read of a campaign from outside while it runs, and the screen that shows it."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import re
import signal
import subprocess
import sys
import termios
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from hyperagent import assembly
from hyperagent.archive import open_archive
from hyperagent.assembly import CampaignWatch
from hyperagent.cli.screen import FILTERS, Lineage, Page, Pane, WatchApp
from hyperagent.config import Config, load_config, to_json
from hyperagent.errors import NotFoundError, PrerequisiteError
from hyperagent.protocols import Archive
from hyperagent.report import watching as report
from hyperagent.report.tree import plain
from hyperagent.types import Outcome, Progress, SandboxInfo
from tests.cli.conftest import HOSTILE, TASKS

CONFIG = Path(__file__).parents[2] / "benchmarks" / "planted" / "planted.toml"
INFO = SandboxInfo("process", "none")
OWN: Mapping[str, Any] = {"pid": 42, "started": 0.0}


@pytest.fixture
def archive(home: Path) -> Iterator[Archive]:
    """With the campaign ``tiny`` of the command line's tests."""
    opened = open_archive(home, write=True)
    yield opened
    opened.close()


def beginning(archive: Archive, name: str = "new") -> str:
    """A campaign whose seed program is under way, with two workers."""
    campaign = archive.create_campaign(name, 1, to_json(Config())).id
    archive.append_event(campaign, "session_started", {"workers": 2, "caps": {"variants": 4, "tokens": 500}})
    archive.start_step(campaign, 0, None, {})
    return campaign


def evaluated(archive: Archive, variant: str, right: int, total: int = 4, summary: str = "") -> None:
    """Commit a program, run its tasks, and give it its final score."""
    archive.commit_program(variant, {"a.py": variant.encode()}, "program")
    names = tuple(f"t{number}" for number in range(total))
    found = archive.start_evaluation(variant, "bench", "validation", names, 2, "context", INFO)
    for number, name in enumerate(names):
        archive.add_outcome(found.id, Outcome(name, "scored", float(number < right)))
    archive.finish_evaluation(found.id, "finished", right / total)
    archive.finish_variant(variant, "evaluated", score=right / total, summary=summary)


def doing(watch: CampaignWatch) -> list[tuple[int, str]]:
    watch.refresh()
    return [(found.step, found.doing) for found in watch.snapshot.activities]


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


# -- the screen ------------------------------------------------------------------------------------


def on_screen(
    watch: CampaignWatch, steps: Callable[[WatchApp, Any], Awaitable[None]], size: tuple[int, int] = (80, 24)
) -> None:
    """Run a test's steps against the app without a terminal."""

    async def run() -> None:
        app = WatchApp(watch, every=0)
        async with app.run_test(size=size) as pilot:
            # The foot is the last to come: it asks every widget for its keys.
            for _ in range(500):
                await pilot.pause()
                if "Variant" in text_of(app):
                    break
            await steps(app, pilot)

    asyncio.run(run())


async def looked(app: WatchApp, pilot: Any) -> None:
    """One more look at the archive, shown."""
    app.look()
    await app.workers.wait_for_complete()
    await pilot.pause()


def text_of(app: WatchApp) -> str:
    """What stands on the screen, as a person reads it."""
    lines = app.screen._compositor.render_strips()
    return "\n".join(strip.text.rstrip() for strip in lines)


@pytest.mark.parametrize("size", [(80, 24), (60, 20), (200, 60)])
def test_everything_has_its_place_at_every_size(archive: Archive, size: tuple[int, int]) -> None:
    watch = CampaignWatch(archive, archive.campaign("tiny").id, holder=lambda: None)

    async def steps(app: WatchApp, pilot: Any) -> None:
        text = text_of(app)
        for part in ("tiny", "best 0.80", "seed 0.40", "budget", "workers", "score by step", "lineage", "★ 1 0.80"):
            assert part in text
        assert "events" in text
        assert "q Quit" in text or size[0] < 80

    on_screen(watch, steps, size)


def test_the_tree_grows_while_the_campaign_is_written(archive: Archive) -> None:
    campaign = beginning(archive)
    watch = CampaignWatch(archive, campaign, holder=lambda: OWN)

    async def steps(app: WatchApp, pilot: Any) -> None:
        assert "… 0" in text_of(app)
        seed = app.snapshot.variants[0]
        evaluated(archive, seed.id, 1)
        child = archive.start_step(campaign, 1, seed.id, {})
        await looked(app, pilot)
        assert "★ 0 0.25" in text_of(app)
        assert "… 1" in text_of(app)
        assert "evidence of 0" in text_of(app)
        evaluated(archive, child.id, 3, summary=HOSTILE)
        await looked(app, pilot)
        text = text_of(app)
        assert "★ 1 0.75" in text
        assert "● 0 0.25 seed program" in text
        assert "▲0.50" in text
        assert "step 1: evaluated 0.750" in text

    on_screen(watch, steps)


def test_hostile_words_are_text_and_nothing_else(archive: Archive) -> None:
    campaign = beginning(archive)
    evil = "[red]x[/red] [link=http://a.invalid]y \x1b[31m\x1b]0;t\x07 \u202egnp [/]" + "w" * 100_000
    seed = archive.variants(campaign)[0]
    evaluated(archive, seed.id, 2, summary=evil)
    bad = archive.start_step(campaign, 1, seed.id, {})
    archive.finish_variant(bad.id, "invalid", reason=evil)
    watch = CampaignWatch(archive, campaign, holder=lambda: OWN)

    async def steps(app: WatchApp, pilot: Any) -> None:
        await pilot.press("e")
        for text in (text_of(app), app.export_screenshot()):
            assert not set(text) & set("\x1b\x07\u202e")
        assert "[red]x[/red]" in text_of(app)
        assert "invalid: [red]x[/red] [link=http://a.invalid]y" in text_of(app)
        await pilot.press("enter")
        await app.workers.wait_for_complete()
        await pilot.pause()
        assert isinstance(app.screen, Page)
        assert "says" in text_of(app)
        assert "[red]x[/red]" in text_of(app)

    on_screen(watch, steps)


def test_keys_open_a_variant_its_diff_filters_pause_and_help(archive: Archive) -> None:
    watch = CampaignWatch(archive, archive.campaign("tiny").id, holder=lambda: None)

    async def steps(app: WatchApp, pilot: Any) -> None:
        await pilot.press("enter")  # the cursor stands on the best
        await app.workers.wait_for_complete()
        await pilot.pause()
        assert "8 tasks won, 0 lost of 20" in text_of(app)
        await pilot.press("d")
        await pilot.pause()
        assert "+answer = 2" in text_of(app)
        await pilot.press("escape")
        await pilot.press("question_mark")
        await pilot.pause()
        assert "only read" in text_of(app)
        await pilot.press("escape")
        shown = []
        for _ in FILTERS:
            await pilot.press("f")
            await pilot.pause()
            shown.append(sorted(app.query_one(Lineage)._placed))
        steps_of = {variant.id: variant.step for variant in app.snapshot.variants}
        assert [sorted(steps_of[one] for one in each) for each in shown] == [
            [0, 1, 3],
            [0, 1],
            [0, 2],
            [],
            [0, 1, 2, 3],
        ]
        await pilot.press("p")
        archive.start_step(app.snapshot.progress.campaign.id, 4, app.snapshot.variants[0].id, {})
        await looked(app, pilot)
        assert "PAUSED" in text_of(app)
        assert len(app.snapshot.variants) == 4
        await pilot.press("p")
        await looked(app, pilot)
        assert len(app.query_one(Lineage)._placed) == 5
        await pilot.press("q")

    on_screen(watch, steps)


def test_an_archive_that_goes_away_is_said_and_looked_for_again(archive: Archive) -> None:
    watch = CampaignWatch(archive, archive.campaign("tiny").id, holder=lambda: None)
    database = archive.path / "archive.db"

    async def steps(app: WatchApp, pilot: Any) -> None:
        real = watch.refresh

        def fails() -> bool:
            raise PrerequisiteError(f"the database {database} cannot be used")

        watch.refresh = fails  # type: ignore[method-assign]
        await looked(app, pilot)
        assert "cannot read the archive" in text_of(app)
        watch.refresh = real  # type: ignore[method-assign]
        await looked(app, pilot)
        assert "cannot read" not in text_of(app)

    on_screen(watch, steps)


class Gate:
    """An observer that holds the campaign once two variants are done, until it is let go."""

    def __init__(self) -> None:
        self.reached, self.go = threading.Event(), threading.Event()

    def progress(self, progress: Progress) -> None:
        if progress.done == 2 and progress.in_flight and not self.reached.is_set():
            self.reached.set()
            assert self.go.wait(60)

    def message(self, text: str) -> None: ...


def test_a_campaign_is_watched_from_its_middle_to_its_end(tmp_path: Path) -> None:
    gate = Gate()
    config = load_config(CONFIG, environment={}, settings=["budget.variants=4"])
    writer = assembly.open_archive(tmp_path / "a", write=True, create=True)
    session = assembly.new_campaign(config, writer, gate)
    running = threading.Thread(target=session.run)
    running.start()
    reader = open_archive(tmp_path / "a")
    try:
        assert gate.reached.wait(60)

        async def steps(app: WatchApp, pilot: Any) -> None:
            assert app.snapshot.session == "running"
            assert "2/4" in text_of(app)
            gate.go.set()
            await asyncio.to_thread(running.join)
            await looked(app, pilot)
            text = text_of(app)
            assert "4/4" in text
            assert "finished" in text
            assert "campaign finished" in text
            assert "ended" in plain(app.query_one("#workers", Pane)._draw(40, 9))

        on_screen(CampaignWatch(reader, reader.campaign("planted").id), steps, (100, 40))
    finally:
        gate.go.set()
        running.join()
        reader.close()
        session.close()
        writer.close()


def test_a_terminal_is_left_as_it_was_and_without_colours_where_none_are_wanted(home: Path) -> None:
    ours, theirs = pty.openpty()
    before = termios.tcgetattr(theirs)
    command = [sys.executable, "-m", "hyperagent", "watch", "tiny", "--archive", str(home)]
    environment = {**os.environ, "TERM": "xterm-256color", "NO_COLOR": "1", "COLUMNS": "80", "LINES": "24"}
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment) as watching:
        shown = ""
        while "lineage" not in shown:
            shown += os.read(ours, 65536).decode()
        watching.send_signal(signal.SIGTERM)
        while "\x1b[?1049l" not in shown:  # back from the alternate screen
            shown += os.read(ours, 65536).decode()
        assert watching.wait(30) == 143
    assert termios.tcgetattr(theirs) == before
    os.close(theirs)
    os.close(ours)
    assert re.findall(r"\x1b\[[\d;]*\b[34]8;[\d;]*m", shown) == []
