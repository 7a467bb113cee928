"""``report`` and ``ui`` as a person calls them."""

from __future__ import annotations

import functools
import json
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from hyperagent import assembly
from hyperagent.cli import app
from hyperagent.config import BenchmarkConfig, Config, to_json


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("home")
    archive = assembly.open_archive(path, write=True, create=True)
    packs = (BenchmarkConfig(name="math_grading", source="elsewhere"),)
    campaign = archive.create_campaign("tiny", 1, to_json(Config(benchmarks=packs)))
    seed = archive.start_step(campaign.id, 0, None, {})
    archive.commit_program(seed.id, {"task_agent.py": b"answer = 1\n"}, "seed")
    archive.finish_variant(seed.id, "evaluated", score=0.5)
    archive.close()
    return path


def test_report_writes_one_file_and_replaces_none(home: Path, tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    words = ["report", "tiny", "-o", str(file), "--archive", str(home)]
    found = CliRunner().invoke(app, words)
    assert (found.exit_code, found.stdout) == (0, f"{file}: {_size(file)}, 1 variants\n")
    text = file.read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>")
    assert "http://" not in text.replace("http://www.w3.org/2000/svg", "")
    assert [one.name for one in tmp_path.iterdir()] == ["page.html"]  # nothing half-written beside it
    again = CliRunner().invoke(app, words)
    assert again.exit_code == 2
    assert "--force" in again.stderr
    forced = CliRunner().invoke(app, [*words, "--force", "--json"])
    told = json.loads(forced.stdout)
    assert (told["campaign"], told["variants"], told["bytes"]) == ("tiny", 1, file.stat().st_size)


def _size(file: Path) -> str:
    return f"{file.stat().st_size / 1000:.0f} kB"


def test_report_where_nothing_can_be_written(home: Path, tmp_path: Path) -> None:
    found = CliRunner().invoke(app, ["report", "-o", str(tmp_path / "no" / "page.html"), "--archive", str(home)])
    assert found.exit_code == 3
    assert "cannot be written" in found.stderr


def test_ui_serves_until_it_is_ended(home: Path) -> None:
    command = [sys.executable, "-m", "hyperagent", "ui", "--archive", str(home)]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    # Whoever runs these tests in the background has made them ignore Ctrl-C.
    heard = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    with subprocess.Popen(command, preexec_fn=heard, **pipes) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            with urllib.request.urlopen(url, timeout=30) as reply:
                assert '"campaigns":[' in reply.read().decode()
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 130
        finally:
            process.kill()
