"""Starting an engine, with a stand-in for dockerd: the real one is never started, stopped or replaced by a test."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

LIBRARY = Path(__file__).parent.parent.parent / "scripts" / "lib"
STAND_IN = """#!{python}
import http.server, os, socketserver, sys
print("stand-in for dockerd", sys.argv[1:], flush=True)
if not {needs!r} <= set(sys.argv[1:]):
    sys.exit("this kernel refuses")

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b'{{"Version": "99.1"}}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def address_string(self):
        return "a socket"

with socketserver.UnixStreamServer({socket!r}, Handler) as server:
    open({pid!r}, "w").write(str(os.getpid()))
    server.serve_forever()
"""


@pytest.fixture
def start(tmp_path):
    """Calls start_dockerd with a stand-in that runs only with the options it ``needs``; stops it afterwards."""
    pid_file = tmp_path / "pid"

    def call(needs: set[str]) -> subprocess.CompletedProcess[str]:
        socket = str(tmp_path / "engine.sock")
        engine = tmp_path / "dockerd"
        engine.write_text(STAND_IN.format(python=sys.executable, needs=needs, socket=socket, pid=str(pid_file)))
        engine.chmod(0o755)
        script = f"""
            set -euo pipefail
            source '{LIBRARY}/common.sh'; source '{LIBRARY}/docker.sh'
            DOCKER_RUN='{tmp_path}'
            start_dockerd && docker_version
        """
        environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "DOCKER_HOST": f"unix://{socket}"}
        environment["TMPDIR"] = str(tmp_path)
        return subprocess.run(
            ["bash", "-c", script], env=os.environ | environment, capture_output=True, text=True, timeout=120
        )

    yield call
    if pid_file.exists():
        os.kill(int(pid_file.read_text()), signal.SIGKILL)


@pytest.mark.parametrize(
    ("needs", "said"),
    [
        (set(), "docker engine started,"),
        ({"--storage-driver=vfs"}, "docker engine started with --storage-driver=vfs,"),
        ({"--iptables=false"}, "docker engine started with --iptables=false --bridge=none,"),
    ],
)
def test_it_tries_less_until_an_engine_answers(start, needs, said):
    done = start(needs)
    assert (done.returncode, done.stdout.strip()) == (0, "99.1"), done.stderr
    assert said in done.stderr


def test_an_engine_that_never_starts_shows_its_log(start):
    done = start({"--something-else"})
    assert done.returncode == 1
    assert done.stderr.count("this kernel refuses") == 4
    assert done.stdout == ""


def test_a_stale_pid_file_is_removed_and_a_true_one_stays(start, tmp_path):
    stale, true = tmp_path / "docker.pid", tmp_path / "docker" / "containerd" / "containerd.pid"
    true.parent.mkdir(parents=True)
    stale.write_text(str(os.getpid()))  # alive, but no dockerd
    name = tmp_path / "containerd"
    name.symlink_to("/bin/sleep")
    with subprocess.Popen([name, "100"]) as alive:
        true.write_text(str(alive.pid))
        done = start(set())
        alive.kill()
    assert done.returncode == 0, done.stderr
    assert not stale.exists()
    assert true.exists()
