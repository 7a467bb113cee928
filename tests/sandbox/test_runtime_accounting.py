"""What a run is allowed and what it is charged, on the process backend: the runtime is the same in every sandbox."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from programs import program, task

from hyperagent.protocols import Session
from hyperagent.sandbox import ProcessSandbox
from hyperagent.sandbox.process import ProcessTransport
from hyperagent.sandbox.session import warm_up
from hyperagent.types import JobSpec, Limits


@pytest.fixture(scope="module")
def sandbox() -> ProcessSandbox:
    made = ProcessSandbox("accounting")
    made.prepare()
    return made


@pytest.fixture
def session(sandbox: ProcessSandbox) -> Iterator[Session]:
    with sandbox.session(JobSpec("accounting/1", program())) as opened:
        yield opened


@pytest.mark.parametrize(("seconds", "cpus", "allowed"), [(2.5, 1.0, 4), (2.5, 0.5, 4), (2.5, 2.0, 6)])
def test_processor_time_is_limited_by_the_clock_times_the_cores(
    sandbox: ProcessSandbox, seconds: float, cpus: float, allowed: int
) -> None:
    code = "import resource; answer = resource.getrlimit(resource.RLIMIT_CPU)"
    with sandbox.session(JobSpec("accounting/cpu", program(), limits=Limits(cpus=cpus))) as session:
        assert session.run(task(code, seconds)).value == [allowed, allowed + 1]


def test_a_run_over_its_processor_time_is_a_timeout(session: Session) -> None:
    result = session.run(task("import os, signal; os.kill(os.getpid(), signal.SIGXCPU)"))
    assert (result.status, "processor time" in result.error) == ("timeout", True), result
    assert session.run(task("answer = 1")).value == 1


ORPHAN = """
import os, signal
r, w = os.pipe()
if os.fork() == 0:
    if os.fork() == 0:
        hoard = bytearray(b'x') * (96 << 20)
        os.write(w, b'!')
        while True: signal.pause()
    os._exit(0)
os.wait()
answer = os.read(r, 1).decode()
"""


def test_the_memory_of_a_process_that_slipped_away_is_charged(session: Session) -> None:
    result = session.run(task(ORPHAN))
    assert (result.status, result.value) == ("ok", "!"), result
    assert result.peak_mb > 96
    assert session.run(task("answer = 1")).peak_mb < 96, "to its own run only"


def test_a_runner_can_be_warmed_up_before_its_job_is_known(tmp_path: Path) -> None:
    with ProcessTransport(tmp_path) as transport:
        for _ in range(2):
            warm_up(transport)
