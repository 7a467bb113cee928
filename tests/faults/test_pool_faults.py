"""The pool on a real engine: containers that die while they wait, drivers that die, doors that open for one job."""

from __future__ import annotations

import http.server
import json
import os
import shutil
import signal
import socketserver
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "sandbox"))

from programs import program, task

from hyperagent.errors import SandboxUnavailable
from hyperagent.sandbox import DockerSandbox, policy, probe, reaper
from hyperagent.sandbox.container import DockerTransport
from hyperagent.sandbox.docker import Engine
from hyperagent.sandbox.doors import DOORS
from hyperagent.types import JobSpec, Json, Limits, RunRequest

pytestmark = pytest.mark.docker
ROOT = Path(__file__).parents[2]
OWNER = "pool-faults"
HOSTNAME = "answer = open('/proc/sys/kernel/hostname').read()"
DRIVER = """
import sys
sys.path.insert(0, {tests!r})
from programs import program
from hyperagent.sandbox import DockerSandbox
from hyperagent.types import JobSpec
sandbox = DockerSandbox("pool-driver", pool=2)
sandbox.prepare()
with sandbox.session(JobSpec("driver/1", program())):
    while not sandbox._pool.ready():
        pass
    print("open", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def sandbox() -> Iterator[DockerSandbox]:
    made = DockerSandbox(OWNER, pool=2)
    made.prepare()
    answer(made, "answer = 'there is a demand now'")
    yield made
    made.reap()
    assert containers(OWNER) == [], "reap() empties the pool"
    assert doors(OWNER) == []


def containers(owner: str, job: str = "") -> list[str]:
    found = Engine().list(f"{reaper.OWNER}={owner}")
    return [container for container, labels in found if job in ("", labels[reaper.JOB])]


def doors(owner: str) -> list[Path]:
    markers = Path(tempfile.gettempdir()).glob(f"{DOORS}*/driver")
    return [marker for marker in markers if marker.read_text().startswith(owner + "\n")]


def wait_for_one(sandbox: DockerSandbox) -> str:
    """Until a container waits in the pool; returns the id of the one that will be taken next."""
    deadline = time.monotonic() + 60
    while not sandbox._pool.ready():
        assert time.monotonic() < deadline, "the pool stays empty"
        threading.Event().wait(0.01)
    (shelf,) = sandbox._pool._shelves.values()
    return shelf.ready[0]._container


def answer(sandbox: DockerSandbox, code: str, models: Path | None = None) -> Json:
    with sandbox.session(JobSpec("pool/1", program(), model_directory=models)) as session:
        result = session.run(task(code))
    assert result.status == "ok", result
    return result.value


def test_every_job_gets_a_container_of_its_own(sandbox: DockerSandbox) -> None:
    seen = []
    for _ in range(4):
        waiting = wait_for_one(sandbox)
        seen.append(answer(sandbox, HOSTNAME))
        assert waiting.startswith(str(seen[-1]).strip()), "the one that waited was used"
    assert len(set(seen)) == 4


@pytest.mark.parametrize("how", ["killed", "removed", "its runner killed"])
def test_a_container_that_dies_while_it_waits_costs_no_job(sandbox: DockerSandbox, how: str) -> None:
    waiting = wait_for_one(sandbox)
    if how == "killed":
        Engine()._client.kill(waiting)
    elif how == "removed":
        Engine().remove(waiting)
    else:
        os.kill(Engine()._client.inspect_container(waiting)["State"]["Pid"], signal.SIGKILL)
    assert not waiting.startswith(str(answer(sandbox, HOSTNAME)).strip())


def test_a_container_that_does_not_answer_when_it_is_opened_costs_no_job(
    sandbox: DockerSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = wait_for_one(sandbox)
    receive = DockerTransport.receive

    def deaf(self: DockerTransport, size: int, deadline: float) -> bytes:
        if self._container == waiting:
            raise TimeoutError
        return receive(self, size, deadline)

    monkeypatch.setattr(DockerTransport, "receive", deaf)
    assert not waiting.startswith(str(answer(sandbox, HOSTNAME)).strip())


def test_leftovers_of_a_killed_driver_with_a_pool_are_reaped() -> None:
    code = DRIVER.format(tests=str(ROOT / "tests" / "sandbox"))
    driver = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert driver.stdout is not None
    assert driver.stdout.readline() == "open\n"
    assert len(containers("pool-driver")) >= 2
    assert len(doors("pool-driver")) == 1
    next_start = DockerSandbox("pool-driver", pool=2)
    assert next_start.reap() == 0, "what a living driver has is not left over"
    driver.send_signal(signal.SIGKILL)
    driver.communicate(timeout=30)
    assert next_start.reap() >= 3
    assert containers("pool-driver") == []
    assert doors("pool-driver") == []


# -- model sockets


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


@contextmanager
def model_door(folder: Path, name: str) -> Iterator[Path]:
    """A directory whose ``model.sock`` answers every request with a name."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(name).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def address_string(self) -> str:
            return "unix"

        def log_message(self, *_: object) -> None:
            """Quiet."""

    folder.mkdir(mode=0o755)
    with _Server(str(folder / "model.sock"), Handler) as server:
        os.chmod(folder / "model.sock", 0o666)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield folder
        finally:
            server.shutdown()
            thread.join()


ASK = """
import json, os, urllib.request
answer = [json.load(urllib.request.urlopen(os.environ['OPENAI_BASE_URL'] + '/models')), os.listdir('/run/model')]
answer.append(open('/proc/sys/kernel/hostname').read().strip())
"""
WITHOUT = "import os; answer = ['OPENAI_BASE_URL' in os.environ, os.listdir('/run/model')]"


def test_a_pooled_container_reaches_its_own_jobs_model_only(sandbox: DockerSandbox, tmp_path: Path) -> None:
    with model_door(tmp_path / "1", "first") as first, model_door(tmp_path / "2", "second") as second:
        for models, name in ((first, "first"), (second, "second")):
            waiting = wait_for_one(sandbox)
            assert answer(sandbox, ASK, models) == [name, ["model.sock"], waiting[:12]]
        wait_for_one(sandbox)
        assert answer(sandbox, WITHOUT) == [False, []]


def test_a_model_on_another_file_system_is_reached_without_the_pool(sandbox: DockerSandbox, tmp_path: Path) -> None:
    other = Path("/dev/shm")
    if not os.access(other, os.W_OK) or other.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("no second file system to write to")
    waiting = wait_for_one(sandbox)
    with (
        tempfile.TemporaryDirectory(dir=other) as folder,
        model_door(Path(folder) / "models", "far") as models,
    ):
        Path(folder).chmod(0o755)
        reply, names, hostname = cast(list[Json], answer(sandbox, ASK, models))
    assert (reply, names) == ("far", ["model.sock"])
    assert hostname != waiting[:12]


# -- probe and runtime


def test_the_probe_names_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    hardened = policy.host_options

    def loose(limits: Limits, runtime: str = "") -> dict[str, Json]:
        options = {**hardened(limits, runtime), "read_only": False, "cap_drop": [], "cap_add": ["SYS_ADMIN"]}
        return {**options, "security_opt": ["seccomp=unconfined"]}

    sandbox = DockerSandbox(OWNER)
    sandbox.prepare()
    monkeypatch.setattr(policy, "host_options", loose)
    monkeypatch.setattr(policy, "USER", "0:0")
    with pytest.raises(SandboxUnavailable) as caught:
        probe.check(sandbox)
    for words in (
        "as root",
        "have capabilities (CapEff",
        "no-new-privileges",
        "/ is not read-only",
        "no seccomp profile",
        "unshare is not refused",
        "io_uring_setup is not refused",
        "ptrace of another process is not refused",
        "keyctl is not refused",
        "bpf is not refused",
        "mount is not refused",
    ):
        assert words in caught.value.message, words


def test_the_probe_finds_a_route() -> None:
    sandbox = DockerSandbox(OWNER)
    sandbox.prepare()
    code = (policy.runtime_directory() / "probe.py").read_text().replace("192.0.2.1", "127.0.0.1")
    inputs: dict[str, Json] = {"seccomp": True, "read_only": ["/"]}
    with sandbox.session(JobSpec("probe/1", {"task_agent.py": code.encode()})) as session:
        found = session.run(RunRequest("task", {"inputs": inputs}, 30))
    assert found.value == ["there is a network: 127.0.0.1 has a route"]


def test_the_probe_finds_a_runner_that_lets_itself_be_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    """As under a gVisor that knows no undumpable processes."""
    sandbox = DockerSandbox(OWNER)
    sandbox.prepare()
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)  # the sandbox's user has to enter
        runtime = Path(shutil.copytree(policy.runtime_directory(), Path(name) / "runtime"))
        code = (runtime / "serve.py").read_text()
        (runtime / "serve.py").write_text(code.replace("guard.set_dumpable(False)", "guard.set_dumpable(True)"))
        monkeypatch.setattr(policy, "runtime_directory", lambda: runtime)
        with pytest.raises(SandboxUnavailable, match="can open the descriptors of process 1,"):
            probe.check(sandbox)


def test_the_probe_runs_once_per_image_and_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []
    monkeypatch.setattr(probe, "_passed", set())
    monkeypatch.setattr(probe, "check", lambda sandbox, runtime: ran.append(runtime))
    for _ in range(2):
        DockerSandbox(OWNER).prepare()
    assert ran == [""]


def test_a_runtime_the_engine_does_not_know_is_named() -> None:
    with pytest.raises(SandboxUnavailable, match=r"no runtime runsc-missing, it has .*runc") as caught:
        DockerSandbox(OWNER, runtime="runsc-missing").prepare()
    assert "sandbox.runtime" in caught.value.hint


def test_the_engines_own_runtime_may_be_named() -> None:
    sandbox = DockerSandbox(OWNER, runtime="runc")
    sandbox.prepare()
    assert sandbox.info.isolation == "container/runc"
    assert answer(sandbox, "answer = 1") == 1


def test_sessions_leave_no_descriptor_open(sandbox: DockerSandbox) -> None:
    def open_now() -> int:
        sandbox.reap()
        return len(os.listdir("/proc/self/fd"))

    before = open_now()
    for _ in range(3):
        answer(sandbox, "answer = 1")
    assert open_now() == before
