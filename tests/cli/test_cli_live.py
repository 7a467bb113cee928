"""Progress of a running campaign, on a terminal and anywhere else."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from dataclasses import replace

import pytest

from hyperagent.cli.campaigns import exit_code
from hyperagent.cli.live import PlainObserver, panel, summary
from hyperagent.types import Campaign, CampaignResult, Caps, Interval, Progress, Spend, Variant

CAMPAIGN = Campaign("c" * 12, "tiny\x1b[2J", "running", 1, {}, 0.0)
BEST = Variant("b" * 12, CAMPAIGN.id, 3, 1, "a" * 12, "evaluated", score=0.58)
NOW = Progress(
    campaign=CAMPAIGN,
    done=4,
    target=16,
    attempts=6,
    in_flight=((7, "screen 4/10"), (8, "mutating\x1b[31m")),
    best=BEST,
    best_interval=Interval(0.58, 0.48, 0.67, 100),
    seed_interval=Interval(0.42, 0.33, 0.52, 100),
    spend=Spend(10, 0, 1000, 234, 0.5),
    caps=Caps(16, 3600.0, 5000, 2.0),
    seconds=83.0,
    eta=250.0,
)


def test_the_panel_shows_all_of_it() -> None:
    text = "\n".join(panel(NOW))
    for part in (
        "4/16",
        "6 attempts",
        "step 7    screen 4/10",
        "0.42",
        "step 3",
        "1,234 of 5,000",
        "ETA 4m 10s",
    ):
        assert part in text
    assert "$0.50 of $2.00" in text
    assert "1m 23s of 1h 00m" in text
    assert "\x1b" not in text


def test_a_beginning_has_no_best_and_no_eta() -> None:
    start = replace(NOW, done=0, target=0, best=None, best_interval=None, seed_interval=None, eta=None, in_flight=())
    assert "best" not in summary(start)
    assert "ETA" not in "\n".join(panel(start))


def test_plain_lines_only_where_something_changed(capsys: pytest.CaptureFixture[str]) -> None:
    observer = PlainObserver()
    for progress in (NOW, replace(NOW, seconds=84.0), replace(NOW, done=5, seconds=90.0)):
        observer.progress(progress)
    observer.message("a\x1b[2Jb\nc")
    said = capsys.readouterr()
    assert said.out == ""
    lines = said.err.splitlines()
    assert [line[:9] for line in lines] == ["[0:01:23]", "[0:01:30]", "ab c"]


def test_a_long_silence_is_broken_by_what_is_going_on(capsys: pytest.CaptureFixture[str]) -> None:
    observer = PlainObserver()
    for seconds in (83.0, 90.0, 102.9, 103.0, 104.0):
        observer.progress(replace(NOW, seconds=seconds))
    lines = capsys.readouterr().err.splitlines()
    assert [line[:9] for line in lines] == ["[0:01:23]", "[0:01:43]"]
    assert "step 7 screen 4/10; step 8 mutating" in lines[1]
    assert "\x1b" not in lines[1]


def test_a_reached_number_of_variants_is_no_reached_budget() -> None:
    finished = CampaignResult(replace(CAMPAIGN, state="finished"), 16)
    capped = CampaignResult(replace(CAMPAIGN, state="budget_reached"), 3)
    assert [exit_code(finished, 0), exit_code(finished, signal.SIGINT), exit_code(capped, 0)] == [0, 0, 4]


LIVE = """
import sys
sys.path.insert(0, sys.argv[1])
from test_cli_live import NOW
from hyperagent.cli.live import LiveObserver, watcher
with watcher(plain=False) as observer:
    assert isinstance(observer, LiveObserver)
    observer.progress(NOW)
    observer.message("hello [bold]there[/bold]")
    print("data")
"""


def test_the_live_display_leaves_stdout_to_the_data() -> None:
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    process = subprocess.Popen(
        [sys.executable, "-c", LIVE, os.path.dirname(__file__)], stdout=subprocess.PIPE, stderr=theirs, env=environment
    )
    os.close(theirs)
    out, _ = process.communicate(timeout=60)
    shown = os.read(ours, 65536).decode()
    os.close(ours)
    assert (process.returncode, out) == (0, b"data\n"), shown
    assert "4/16  6 attempts" in shown
    assert "hello [bold]there[/bold]" in shown


def test_sigterm_ends_any_command_with_143() -> None:
    code = (
        "import os, signal\nfrom hyperagent.cli.boundary import install_signals\n"
        "install_signals()\nos.kill(os.getpid(), signal.SIGTERM)\nsignal.pause()"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 143
