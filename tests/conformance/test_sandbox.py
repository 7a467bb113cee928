"""One suite for every sandbox backend: what a program does harms its own run and nothing else."""

from __future__ import annotations

import json
import os
import socket
import socketserver
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "sandbox"))

from programs import META_AGENT, meta, program, task

from hyperagent.errors import SandboxLost
from hyperagent.protocols import Sandbox, Session
from hyperagent.sandbox import BubblewrapSandbox, DockerSandbox, ProcessSandbox, bubblewrap_status, docker_status
from hyperagent.sandbox.limits import Limiter, counts_per_namespace
from hyperagent.types import JobSpec, Limits, RunRequest, RunResult

SMALL = Limits(memory_mb=128, processes=32, tmpfs_mb=32, output_bytes=1_000_000)


@pytest.fixture(
    scope="module",
    params=[pytest.param("docker", marks=pytest.mark.docker), "bubblewrap", "bubblewrap-rlimits", "process"],
)
def backend(request: pytest.FixtureRequest) -> Sandbox:
    sandbox: Sandbox
    if request.param == "docker":
        answers, reason, _ = docker_status()
        if not answers:
            pytest.skip(reason)
        sandbox = DockerSandbox("conformance")
    elif request.param.startswith("bubblewrap"):
        works, reason, _ = bubblewrap_status()
        if not works:
            pytest.skip(reason)
        limiter = Limiter(None, counts_per_namespace()) if request.param == "bubblewrap-rlimits" else None
        sandbox = BubblewrapSandbox("conformance", limiter)
    else:
        sandbox = ProcessSandbox("conformance")
    sandbox.prepare()
    return sandbox


@pytest.fixture
def session(backend: Sandbox) -> Iterator[Session]:
    with backend.session(JobSpec("conformance/1", program(), limits=SMALL)) as opened:
        yield opened


def still_works(session: Session) -> None:
    result = session.run(task("answer = 'fine'"))
    assert (result.status, result.value) == ("ok", "fine"), result


# -- answers


def test_prediction_transcript_and_output_come_back(session: Session) -> None:
    code = "open(agent.chat, 'w').write('a talk'); print('printed'); answer = {'response': [1, 2.5, None, 'ü']}"
    result = session.run(task(code))
    assert result.status == "ok", result
    assert result.value == {"response": [1, 2.5, None, "ü"]}
    assert (result.transcript, result.stdout) == ("a talk", "printed\n")
    assert result.peak_mb > 1
    assert 0 < result.seconds < 20


@pytest.mark.parametrize(
    ("code", "status", "word"),
    [
        ("raise ValueError('its own fault')", "error", "its own fault"),
        ("import os; os._exit(0)", "error", "without an answer"),
        ("import sys; sys.exit(0)", "error", "SystemExit"),
        ("answer = object()", "error", "not JSON serializable"),
        ("answer = float('nan')", "error", "JSON"),
        ("answer = '\\ud800'", "error", "surrogates"),
        ("answer = []\nfor _ in range(100000): answer = [answer]", "error", "RecursionError"),
        ("answer = 'x' * 3_000_000", "output", "more than it may"),
        ("import os\nwhile True: os.write(1, b'x' * 65536)", "output", "more than it may"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "killed", "signal 11"),
        ("raise MemoryError", "memory", "memory"),
        ("import ctypes; ctypes.string_at(0)", "killed", "signal 11"),
    ],
)
def test_a_bad_end_is_named_and_the_next_run_works(session: Session, code: str, status: str, word: str) -> None:
    result = session.run(task(code))
    assert result.status == status, result
    assert word in result.error
    assert result.value is None
    still_works(session)


def test_a_moderate_flood_is_dropped_but_for_its_tail(session: Session) -> None:
    result = session.run(task("print('x' * 500_000); print('the end'); answer = 1"))
    assert (result.status, result.value) == ("ok", 1)
    assert result.stdout.endswith("the end\n")
    assert len(result.stdout) <= 65_536


@pytest.mark.parametrize("code", ["while True: pass", "import time, signal\nsignal.signal(15, 1)\ntime.sleep(60)"])
def test_a_loop_ends_as_timeout(session: Session, code: str) -> None:
    result = session.run(task(code, seconds=0.5))
    assert result.status == "timeout", result
    still_works(session)


def test_a_memory_bomb_harms_only_itself(session: Session) -> None:
    result = session.run(task("hoard = []\nwhile True: hoard.append(bytearray(b'x') * (1 << 22))"))
    assert result.status in ("memory", "killed"), result
    still_works(session)


DAEMON = """
import os, signal, time, sys
r, w = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        for number in range(1, 32):
            try: signal.signal(number, signal.SIG_IGN)
            except OSError: pass
        os.write(w, str(os.getpid()).encode())
        while True: time.sleep(1)
    os._exit(0)
answer = int(os.read(r, 20))
"""


def test_a_daemon_is_gone_before_the_next_run(session: Session) -> None:
    first = session.run(task(DAEMON))
    assert first.status == "ok", first
    second = session.run(task(f"import os; answer = os.path.exists('/proc/{first.value}')"))
    assert second.value is False


def test_a_run_that_times_out_takes_its_daemon_along(session: Session) -> None:
    code = DAEMON + "\nopen(agent.chat, 'w').write(str(answer))\nwhile True: pass"
    first = session.run(task(code, seconds=1))
    assert first.status == "timeout"
    assert first.transcript.isdigit()
    second = session.run(task(f"import os; answer = os.path.exists('/proc/{first.transcript}')"))
    assert second.value is False


def test_runs_share_no_files_and_cannot_change_the_program(session: Session) -> None:
    code = """
import os, pathlib
pathlib.Path(os.environ['TMPDIR'], 'left').write_text('x')
pathlib.Path('task_agent.py').write_text('raise SystemExit')
pathlib.Path('new.py').write_text('')
pathlib.Path(os.environ['HOME'], '..', 'beside').write_text('x')
answer = 1
"""
    assert session.run(task(code)).value == 1
    look = "import os; answer = [os.listdir(os.environ['TMPDIR']), sorted(os.listdir('.')), os.listdir('..')]"
    mine, program_files, base = session.run(task(look)).value
    assert mine == []
    assert program_files == ["meta_agent.py", "program_edit.py", "task_agent.py"]
    assert sorted(base) == ["program", "run"]


def test_a_hostile_folder_is_wiped(session: Session) -> None:
    code = """
import os
for _ in range(1500):
    os.mkdir('d'); os.chdir('d')
os.chdir(os.environ['TMPDIR'])
os.makedirs('closed/in'); os.chmod('closed', 0)
os.symlink('/', 'root'); os.mkfifo('fifo')
answer = 1
"""
    assert session.run(task(code)).value == 1
    still_works(session)


def test_runs_are_alike(session: Session) -> None:
    """Hash order and the default random generator are fixed, or a replay could not give the same bytes."""
    code = "import random, tempfile, os; answer = [random.random(), list({'a', 'b', 'c', 'd'}), os.getcwd()]"
    assert session.run(task(code)).value == session.run(task(code)).value


# -- meta and check


def run_meta(backend: Sandbox, edit: str, limits: Limits = SMALL) -> RunResult:
    spec = JobSpec("conformance/meta", program(edit), {"results.json": b"[0, 1]", "deep/a.txt": b"A"}, limits=limits)
    with backend.session(spec) as session:
        return session.run(meta())


def test_meta_returns_the_edited_tree(backend: Sandbox) -> None:
    edit = """
import json, os
def edit(repo, evidence, left):
    assert json.load(open(os.path.join(evidence, 'results.json'))) == [0, 1]
    assert open(os.path.join(evidence, 'deep', 'a.txt')).read() == 'A'
    os.makedirs(os.path.join(repo, 'tools/.git')); os.makedirs(os.path.join(repo, 'tools/__pycache__'))
    open(os.path.join(repo, 'tools', 'new.py'), 'w').write('X = 1')
    open(os.path.join(repo, 'tools', '.git', 'config'), 'w').write('evil')
    open(os.path.join(repo, 'tools', '__pycache__', 'new.pyc'), 'w').write('cache')
    os.remove(os.path.join(repo, 'task_agent.py'))
    return {'summary': f'{left} left'}
"""
    result = run_meta(backend, edit)
    assert result.status == "ok", result
    assert result.value == {"summary": "3 left"}
    assert result.tree == {
        "meta_agent.py": META_AGENT,
        "program_edit.py": edit.encode(),
        "tools/new.py": b"X = 1",
    }


def test_meta_links_and_special_files_are_left_out(backend: Sandbox) -> None:
    edit = """
import os
def edit(repo, evidence, left):
    os.chdir(repo)
    os.symlink('/etc/passwd', 'link'); os.symlink('/etc', 'folder'); os.mkfifo('fifo')
    os.unlink('task_agent.py'); os.symlink('/etc/hostname', 'task_agent.py')
    import socket; s = socket.socket(socket.AF_UNIX); s.bind('socket')
"""
    result = run_meta(backend, edit)
    assert result.status == "ok", result
    assert set(result.tree or ()) == {"meta_agent.py", "program_edit.py"}


@pytest.mark.parametrize(
    "body",
    [
        "f = open('huge', 'wb'); f.truncate(1 << 30)",
        "open('big', 'wb').write(b'x' * 2_000_000)",
        "[open(f'f{n}', 'w').close() for n in range(600)]",
        "open('bad\\nname', 'w').close()",
    ],
)
def test_meta_trees_that_are_too_large_or_badly_named_are_refused(backend: Sandbox, body: str) -> None:
    result = run_meta(backend, f"import os\ndef edit(repo, evidence, left):\n    os.chdir(repo)\n    {body}\n")
    assert result.status == "output", result
    assert result.tree is None
    assert result.error


def test_a_failed_meta_run_returns_no_tree(backend: Sandbox) -> None:
    result = run_meta(backend, "def edit(repo, evidence, left):\n    raise KeyError('lost my way')\n")
    assert (result.status, result.tree) == ("error", None)
    assert "lost my way" in result.error


def test_check_names_the_modules(session: Session) -> None:
    result = session.run(RunRequest("check", {}, 20))
    assert result.value == {"modules": ["meta_agent.py", "program_edit.py", "task_agent.py"]}, result


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"tool.py": b"def broken(:\n"}, "SyntaxError"),
        ({"task_agent.py": b"class TaskAgent: pass\n"}, "is not a module:Class with a forward"),
        ({"task_agent.py": b"import numpy_is_not_here\n"}, "numpy_is_not_here"),
        ({"program.toml": b'[entry]\ntask = "elsewhere:Agent"\n'}, "elsewhere"),
        ({"program.toml": b"[entry\n"}, "TOML"),
    ],
)
def test_check_finds_what_is_wrong(backend: Sandbox, change: dict[str, bytes], word: str) -> None:
    with backend.session(JobSpec("conformance/check", {**program(), **change})) as session:
        result = session.run(RunRequest("check", {}, 20))
    assert result.status == "error"
    assert word in result.error


def test_program_toml_names_the_entry_points(backend: Sandbox) -> None:
    files = dict(program())
    files["agents/mine.py"] = files.pop("task_agent.py").replace(b"TaskAgent", b"Mine")
    files["program.toml"] = b'[entry]\ntask = "agents.mine:Mine"\n'
    with backend.session(JobSpec("conformance/toml", files)) as session:
        assert session.run(RunRequest("check", {}, 20)).status == "ok"
        assert session.run(task("answer = 7")).value == 7


# -- environment and model


def test_no_key_of_the_host_reaches_a_program(backend: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    with backend.session(JobSpec("conformance/env", program(), environment={"EXTRA": "yes"})) as session:
        code = "import os; answer = [dict(os.environ), open('/proc/self/environ').read()]"
        environment, at_start = session.run(task(code)).value
    assert "sk-secret" not in json.dumps([environment, at_start])
    assert environment["EXTRA"] == "yes"
    assert set(environment) == {
        "PATH", "HOME", "TMPDIR", "LANG", "PYTHONHASHSEED", "PYTHONDONTWRITEBYTECODE", "EXTRA"
    }  # fmt: skip


class _Door(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


class _Answer(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        asked = self.rfile.read(int(self.headers["Content-Length"]))
        reply = json.dumps(
            {"path": self.path, "asked": json.loads(asked), "key": self.headers["Authorization"]}
        ).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    def address_string(self) -> str:
        return "unix"

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Path]:
    """A directory with a tiny HTTP server on ``model.sock``."""
    with _Door(str(tmp_path / "model.sock"), _Answer) as server:
        os.chmod(tmp_path / "model.sock", 0o666)
        os.chmod(tmp_path, 0o755)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield tmp_path
        server.shutdown()
        thread.join()


ASK = """
import json, os, urllib.request
url = os.environ['OPENAI_BASE_URL'] + '/chat/completions'
def ask(n):
    headers = {'Authorization': 'Bearer ' + os.environ['OPENAI_API_KEY']}
    request = urllib.request.Request(url, json.dumps({'n': n, 'pad': 'x' * 200_000}).encode(), headers)
    reply = json.load(urllib.request.urlopen(request))
    return [reply['path'], reply['asked']['n'], len(reply['asked']['pad']), reply['key']]
answer = [ask(n) for n in range(5)]
"""


def test_the_model_is_reached_through_the_base_url(backend: Sandbox, door: Path) -> None:
    with backend.session(JobSpec("conformance/model", program(), model_directory=door)) as session:
        for _ in range(2):
            result = session.run(task(ASK))
            assert result.status == "ok", result
            assert result.value == [["/v1/chat/completions", n, 200_000, "Bearer placeholder"] for n in range(5)]


def test_two_sessions_do_not_see_each_other(backend: Sandbox) -> None:
    with (
        backend.session(JobSpec("conformance/a", program())) as first,
        backend.session(JobSpec("conformance/b", program())) as second,
    ):
        code = "import os, pathlib; pathlib.Path(os.environ['TMPDIR'], 'mine').write_text('x'); answer = 1"
        assert first.run(task(code)).value == 1
        assert second.run(task("import os; answer = os.listdir(os.environ['TMPDIR'])")).value == []


def test_a_session_outlives_a_killed_run_only_if_it_says_so(session: Session) -> None:
    """A program that kills its session's fork server: this run and all later ones of the session are ``killed``."""
    code = "import os, signal; os.kill(os.getppid(), signal.SIGKILL)\nwhile True: pass"
    assert session.run(task(code)).status == "killed"
    assert session.run(task("answer = 1")).status == "killed"


def test_an_abort_from_another_thread_ends_a_run_at_once_and_is_nobodys_fault(backend: Sandbox, tmp_path: Path) -> None:
    os.chmod(tmp_path, 0o755)
    started: list[bytes] = []

    def abort_when_it_calls(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        started.append(connection.recv(4))
        backend.abort()
        connection.close()

    code = "import os, urllib.request; urllib.request.urlopen(os.environ['OPENAI_BASE_URL'] + '/models', timeout=15)"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "model.sock"))
        os.chmod(tmp_path / "model.sock", 0o666)
        listener.listen()
        thread = threading.Thread(target=abort_when_it_calls, args=(listener,))
        thread.start()
        spec = JobSpec("conformance/abort", program(), model_directory=tmp_path)
        with backend.session(spec) as session, pytest.raises(SandboxLost, match="aborted"):
            session.run(task(code + "\nwhile True: pass"))
        thread.join()
    assert started == [b"GET "]
    with backend.session(JobSpec("conformance/after", program())) as session:
        still_works(session)
