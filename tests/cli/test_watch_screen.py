"""``watch``: the screen that shows what is read."""

from __future__ import annotations

import asyncio
import os
import pty
import re
import signal
import subprocess
import sys
import termios
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hyperagent import assembly
from hyperagent.archive import open_archive
from hyperagent.assembly import CampaignWatch
from hyperagent.cli.screen import FILTERS, Lineage, Page, Pane, WatchApp
from hyperagent.config import load_config
from hyperagent.errors import PrerequisiteError
from hyperagent.protocols import Archive
from hyperagent.report.tree import plain
from hyperagent.types import Progress
from tests.cli.conftest import HOSTILE
from tests.cli.watched import CONFIG, OWN, beginning, evaluated


@pytest.fixture
def archive(home: Path) -> Iterator[Archive]:
    """With the campaign ``tiny`` of the command line's tests."""
    opened = open_archive(home, write=True)
    yield opened
    opened.close()


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
