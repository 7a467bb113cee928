"""The scripts a newcomer types first: they parse, explain themselves, and refuse with one clear message."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
QUICKSTART = ROOT / "scripts" / "quickstart"
BASH_FILES = ["scripts/quickstart", "scripts/test", ".ci/run", "scripts/lib/common.sh", "scripts/lib/docker.sh"]


def call(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in command],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
    )


def errors_in(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("error: ")]


@pytest.mark.parametrize("name", BASH_FILES)
def test_it_is_valid_bash(name):
    done = call("bash", "-n", ROOT / name)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", BASH_FILES[:3])
def test_it_can_be_started(name):
    assert os.access(ROOT / name, os.X_OK)


def test_help_names_every_option():
    done = call(QUICKSTART, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    for option in ("--install-docker", "--seed", "--variants", "--archive", "--small", "--sandbox NAME", "--json"):
        assert option in done.stdout


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--sed", "1"], "unknown option --sed"),
        (["--seed"], "--seed needs a value"),
        (["--seed", "one"], "--seed takes a whole number"),
        (["--variants", "-3"], "--variants takes a whole number"),
        (["--sandbox", "none"], "--sandbox takes docker, bubblewrap or process"),
    ],
)
def test_wrong_usage_is_one_message(arguments, complaint):
    done = call(QUICKSTART, *arguments)
    assert done.returncode == 2
    (message,) = errors_in(done.stderr)
    assert complaint in message
    assert "hint: " in done.stderr


def test_a_dead_engine_is_one_message_that_offers_the_fix(tmp_path):
    arguments = ["--sandbox", "docker", "--archive", tmp_path / "archive"]
    done = call(QUICKSTART, *arguments, DOCKER_HOST=f"unix://{tmp_path}/dead.sock")
    assert done.returncode == 3
    (message,) = errors_in(done.stderr)
    assert f"no Docker engine answers at unix://{tmp_path}/dead.sock" in message
    assert "--install-docker" in done.stderr
    assert not (tmp_path / "archive").exists()


@pytest.mark.parametrize("script", [".ci/run", "scripts/quickstart --install-docker"])
def test_a_chosen_engine_that_is_dead_is_never_replaced_by_another(script, tmp_path):
    name, *arguments = script.split()
    done = call(ROOT / name, *arguments, DOCKER_HOST=f"unix://{tmp_path}/dead.sock")
    assert done.returncode == 3
    (message,) = errors_in(done.stderr)
    assert f"DOCKER_HOST=unix://{tmp_path}/dead.sock" in message


@pytest.mark.parametrize("missing", ["git", "python"])
def test_a_bare_machine_is_told_what_to_install(missing, tmp_path):
    """A PATH with little more than what the scripts themselves call."""
    tools = {"bash", "dirname", "id", "cat", "env", "git", "python3"} - {missing, f"{missing}3"}
    for tool in tools:
        place = next(Path(folder, tool) for folder in os.environ["PATH"].split(":") if Path(folder, tool).exists())
        (tmp_path / tool).symlink_to(place)
    done = call(QUICKSTART, PATH=str(tmp_path), PYTHON="")
    assert done.returncode == 3
    (message,) = errors_in(done.stderr)
    assert missing in message.lower()
    assert "apt-get install" in done.stderr
