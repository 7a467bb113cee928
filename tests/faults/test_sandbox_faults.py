"""Infrastructure that fails: dead engines, killed drivers, containers ended from outside. Never the program's fault."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "sandbox"))

from programs import program, task

from hyperagent.errors import SandboxLost, SandboxUnavailable
from hyperagent.sandbox import DockerSandbox, ProcessSandbox, docker_status, reaper
from hyperagent.sandbox.docker import Engine
from hyperagent.types import JobSpec

ROOT = Path(__file__).parents[2]
DRIVER = """
import sys
sys.path.insert(0, {tests!r})
from programs import program
from hyperagent.sandbox import {backend}
from hyperagent.types import JobSpec
sandbox = {backend}("faults-driver")
sandbox.prepare()
with sandbox.session(JobSpec("driver/1", program())):
    print("open", flush=True)
    sys.stdin.read()
"""


def start_driver(backend: str) -> subprocess.Popen[str]:
    """A process of its own with one open session."""
    code = DRIVER.format(tests=str(ROOT / "tests" / "sandbox"), backend=backend)
    driver = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert driver.stdout is not None
    assert driver.stdout.readline() == "open\n"
    return driver


def end(driver: subprocess.Popen[str], how: signal.Signals | None) -> None:
    if how:
        driver.send_signal(how)
    driver.communicate(timeout=30)


def containers(owner: str) -> list[str]:
    return [container for container, _ in Engine().list(f"{reaper.OWNER}={owner}")]


@pytest.mark.docker
def test_leftovers_of_a_killed_driver_are_reaped_and_live_ones_are_not() -> None:
    live, doomed = start_driver("DockerSandbox"), start_driver("DockerSandbox")
    try:
        assert len(containers("faults-driver")) == 2
        end(doomed, signal.SIGKILL)
        other = DockerSandbox("faults-other")
        other.prepare()
        assert len(containers("faults-driver")) == 2, "another owner's leftovers are not ours"
        DockerSandbox("faults-driver").prepare()
        assert len(containers("faults-driver")) == 1
        assert DockerSandbox("faults-driver").reap() == 0
    finally:
        end(live, None)
    assert containers("faults-driver") == []


def test_the_process_backend_reaps_folders_of_dead_drivers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    driver = start_driver("ProcessSandbox")
    assert ProcessSandbox("faults-driver").reap() == 0
    end(driver, signal.SIGKILL)
    assert ProcessSandbox("faults-other").reap() == 0
    assert ProcessSandbox("faults-driver").reap() == 1
    assert not list(tmp_path.glob("hyperagent-process-*"))


@pytest.mark.docker
def test_a_container_killed_from_outside_is_lost_not_the_programs_fault() -> None:
    sandbox = DockerSandbox("faults-outside")
    sandbox.prepare()
    with sandbox.session(JobSpec("outside/1", program())) as session:
        (container,) = containers("faults-outside")
        Engine()._client.kill(container)
        with pytest.raises(SandboxLost, match="from outside"):
            session.run(task("answer = 1"))
    assert containers("faults-outside") == []


@pytest.mark.docker
def test_a_container_removed_from_outside_is_lost() -> None:
    sandbox = DockerSandbox("faults-removed")
    sandbox.prepare()
    with sandbox.session(JobSpec("removed/1", program())) as session:
        Engine().remove(*containers("faults-removed"))
        with pytest.raises(SandboxLost):
            session.run(task("answer = 1"))


@pytest.mark.docker
def test_an_exception_in_the_session_removes_the_container() -> None:
    sandbox = DockerSandbox("faults-raise")
    sandbox.prepare()
    with pytest.raises(KeyError), sandbox.session(JobSpec("raise/1", program())):
        raise KeyError
    assert containers("faults-raise") == []


@pytest.mark.docker
def test_a_missing_image_is_named() -> None:
    with pytest.raises(SandboxUnavailable, match="no image hyperagent-missing:never"):
        DockerSandbox("faults", image="hyperagent-missing:never").prepare()


@pytest.mark.docker
def test_an_engine_that_dies_under_a_session_is_lost(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    sandbox = DockerSandbox("faults-dead")
    sandbox.prepare()
    with sandbox.session(JobSpec("dead/1", program())) as session:
        (container,) = containers("faults-dead")
        monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/gone.sock")
        sandbox._engine._local.__dict__.clear()  # what a dead daemon's connection amounts to
        session._transport._socket.shutdown(socket.SHUT_RDWR)  # type: ignore[attr-defined]
        with pytest.raises(SandboxLost, match="engine failed"):
            session.run(task("answer = 1"))
    monkeypatch.delenv("DOCKER_HOST")
    assert containers("faults-dead") == [container]
    Engine().remove(container)


def test_a_missing_socket_is_told_from_a_missing_installation(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    monkeypatch.setattr(shutil, "which", lambda name, **_: None)
    assert docker_status()[:2] == (False, "Docker is not installed")
    monkeypatch.setattr(shutil, "which", lambda name, **_: f"/usr/bin/{name}")
    answers, reason, hint = docker_status()
    assert not answers
    assert "not running" in reason
    assert "start it" in hint


def test_a_dead_engine_is_unavailable_with_a_hint(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "dead.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))  # bound, and never listened on again: what a killed daemon leaves behind
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    with pytest.raises(SandboxUnavailable, match="dead") as caught:
        DockerSandbox("faults").prepare()
    assert "restart" in caught.value.hint
    with pytest.raises(SandboxLost):
        DockerSandbox("faults").reap()


def test_no_permission_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "closed.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may always, so the answer is given here
    answers, reason, hint = docker_status()
    assert not answers
    assert "permission" in reason
    assert "group" in hint
