"""Programs that try to get out of a Docker sandbox, look around in it, or bring the machine down."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "sandbox"))

from programs import program, task

from hyperagent.protocols import Session
from hyperagent.sandbox import DockerSandbox
from hyperagent.types import JobSpec, Limits

pytestmark = pytest.mark.docker
SMALL = Limits(memory_mb=128, processes=32, tmpfs_mb=32, output_bytes=1_000_000)


@pytest.fixture(scope="module")
def sandbox() -> DockerSandbox:
    made = DockerSandbox("containment")
    made.prepare()
    return made


@pytest.fixture
def session(sandbox: DockerSandbox) -> Iterator[Session]:
    with sandbox.session(JobSpec("containment/1", program(), limits=SMALL)) as opened:
        yield opened


def attempt(session: Session, code: str) -> object:
    """Run code that sets ``answer``; exceptions of the attempt are its answer."""
    body = "\n".join("    " + line for line in code.strip().splitlines())
    result = session.run(task(f"try:\n{body}\nexcept Exception as error:\n    answer = type(error).__name__\n"))
    assert result.status == "ok", result
    return result.value


@pytest.mark.parametrize("address", ["169.254.169.254", "172.17.0.1", "1.1.1.1"])
def test_no_network(session: Session, address: str) -> None:
    code = f"import socket; socket.create_connection(({address!r}, 80), 2); answer = 'through'"
    assert attempt(session, code) == "OSError"


def test_no_names_and_only_loopback(session: Session) -> None:
    assert attempt(session, "import socket; answer = socket.gethostbyname('example.org')") == "gaierror"
    assert attempt(session, "import os; answer = os.listdir('/sys/class/net')") == ["lo"]


def test_no_key_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    sandbox = DockerSandbox("containment")
    sandbox.prepare()
    code = """
import glob, os
found = []
for path in glob.glob('/proc/*/environ') + glob.glob('/proc/*/cmdline') + ['/etc/passwd', '/etc/hosts']:
    try: text = open(path, 'rb').read()
    except OSError: continue
    if b'sk-secret' in text: found.append(path)
answer = found + [value for value in os.environ.values() if 'sk-' in value]
"""
    with sandbox.session(JobSpec("containment/key", program(), limits=SMALL)) as session:
        assert attempt(session, code) == []


def test_no_host_files_no_socket_no_devices(session: Session, tmp_path: Path) -> None:
    (tmp_path / "label").write_text("the hidden label")
    here = Path(__file__).resolve()
    paths = [str(tmp_path / "label"), str(here), "/var/run/docker.sock", "/run/docker.sock", "/dev/kvm", "/dev/sda"]
    assert attempt(session, f"import os; answer = [path for path in {paths!r} if os.path.exists(path)]") == []
    owned = """
import os
answer = [name for name in ('/', '/etc', '/opt/hyperagent', '/usr/bin', '/run/model') if os.access(name, os.W_OK)]
"""
    assert attempt(session, owned) == []


def test_nobody_without_any_capability(session: Session) -> None:
    code = "import os; lines = open('/proc/self/status').read().splitlines()\n" + (
        "answer = [os.getuid(), os.getgid()] + [line.split()[1] for line in lines "
        "if line.startswith(('CapPrm', 'CapEff', 'CapBnd', 'NoNewPrivs', 'Seccomp:'))]"
    )
    none = "0" * 16
    assert attempt(session, code) == [65534, 65534, none, none, none, "1", "2"]


SYSCALLS = {
    "unshare": "libc.unshare(0x10000000)",
    "mount": "libc.mount(b'none', b'/tmp', b'tmpfs', 0, None)",
    "ptrace": "libc.ptrace(0, 0, 0, 0)",
    "keyctl": "libc.syscall(250, 0, -1, 0)",
    "bpf": "libc.syscall(321, 0, 0, 0)",
    "io_uring_setup": "libc.syscall(425, 1, 0)",
    "kexec_load": "libc.syscall(246, 0, 0, 0, 0)",
    "userfaultfd": "libc.syscall(323, 0)",
    "perf_event_open": "libc.syscall(298, 0, 0, 0, 0, 0)",
    "pidfd_getfd": "libc.syscall(438, 0, 0, 0)",
    "process_vm_readv": "libc.syscall(310, 1, 0, 0, 0, 0, 0)",
    "clone_newuser": "libc.syscall(56, 0x10000000 | 17, 0, 0, 0, 0)",
    "open_by_handle_at": "libc.syscall(304, 0, 0, 0)",
    "af_vsock": "libc.socket(40, 1, 0)",
    "af_alg": "libc.socket(38, 5, 0)",
    "af_packet": "libc.socket(17, 3, 0)",
    "af_netlink": "libc.socket(16, 3, 0)",
}


@pytest.mark.skipif(sys.platform != "linux", reason="system call numbers of Linux")
def test_dangerous_system_calls_are_refused(session: Session) -> None:
    calls = "\n".join(
        f"ctypes.set_errno(0); answer[{name!r}] = [{call}, ctypes.get_errno()]" for name, call in SYSCALLS.items()
    )
    answer = attempt(session, "import ctypes; libc = ctypes.CDLL(None, use_errno=True); answer = {}\n" + calls)
    assert answer == {name: [-1, 1] for name in SYSCALLS}


def test_what_programs_need_works(session: Session) -> None:
    code = """
import concurrent.futures, multiprocessing, os, sqlite3, ssl, subprocess, tempfile, threading, hashlib, zlib, lzma, bz2
with concurrent.futures.ThreadPoolExecutor(4) as pool: total = sum(pool.map(lambda n: n * n, range(10)))
os.chdir(tempfile.mkdtemp())
run = lambda *words: subprocess.run(words, capture_output=True, text=True, check=True).stdout
run('git', 'init', '-q', '.'); open('a.py', 'w').write('x = 1\\n'); run('git', 'add', '.')
run('git', '-c', 'user.name=n', '-c', 'user.email=e@e', 'commit', '-qm', 'one'); open('a.py', 'w').write('x = 2\\n')
with multiprocessing.Pool(2) as workers: squares = workers.map(abs, [-1, -2])
python = run('python3', '-c', 'import json, decimal; print(6 * 7)').strip()
bash = run('bash', '-c', 'ls | sort | grep py | sed s/py/PY/ | head -1').strip()
one = sqlite3.connect(':memory:').execute('select 1').fetchone()[0]
answer = [total, run('git', 'diff', '--stat').count('a.py'), squares, python, bash, one]
"""
    assert session.run(task(code)).value == [285, 1, [1, 2], "42", "a.PY", 1], session.run(task(code))


def test_a_fork_bomb_ends_with_its_run(session: Session) -> None:
    code = "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass\n"
    assert session.run(task(code, seconds=2)).status in ("timeout", "killed", "error")
    after = session.run(task("import os; answer = sum(name.isdigit() for name in os.listdir('/proc'))"))
    assert after.status == "ok", after
    assert after.value <= 4  # init, runner, fork server, this one


def test_a_thread_bomb_is_bounded(session: Session) -> None:
    code = """
import threading
answer = 0
try:
    while answer < 1000:
        threading.Thread(target=threading.Event().wait, daemon=True).start(); answer += 1
except RuntimeError: pass
"""
    value = session.run(task(code)).value
    assert 0 < value < SMALL.processes
    assert session.run(task("answer = 1")).value == 1


def test_filling_the_disk_is_bounded_and_cleared(session: Session) -> None:
    fill = """
import errno, os
answer = 0
try:
    with open(os.path.join(os.environ['TMPDIR'], 'fill'), 'wb', buffering=0) as file:
        while answer < 1 << 30: answer += file.write(bytes(1 << 20))
except OSError as error: assert error.errno == errno.ENOSPC
"""
    for _ in range(2):
        result = session.run(task(fill))
        assert result.status == "ok", result
        assert 16 << 20 < result.value <= SMALL.tmpfs_mb << 20


def test_shared_memory_carries_nothing_from_run_to_run(session: Session) -> None:
    assert attempt(session, "open('/dev/shm/note', 'w').write('for later'); answer = 1") == 1
    assert attempt(session, "import os; answer = os.listdir('/dev/shm')") == []


def test_the_runner_is_closed_to_its_children(session: Session) -> None:
    """Neither the runner's nor the fork server's memory or descriptors can be opened from a run."""
    code = """
import os
def parent(pid): return int(open(f'/proc/{pid}/stat').read().rpartition(')')[2].split()[1])
server = os.getppid(); runner = parent(server); answer = []
for pid in (server, runner):
    for name in ('mem', 'environ', 'maps', 'fd/0', 'fd/3', 'root'):
        try: os.open(f'/proc/{pid}/{name}', os.O_RDONLY); answer.append([pid, name])
        except PermissionError: pass
"""
    assert attempt(session, code) == []


def test_earlier_inputs_are_not_in_memory(session: Session) -> None:
    marker = "needle-" + "7" * 12
    assert session.run(task(f"answer = len('{marker}')")).value == len(marker)
    code = """
import re
needle, found = re.compile(b'needle-7{12}'), 0  # a pattern, so that the search does not find itself
with open('/proc/self/mem', 'rb', 0) as memory:
    for line in open('/proc/self/maps'):
        span, mode = line.split()[:2]
        if 'rw' not in mode: continue
        low, high = (int(end, 16) for end in span.split('-'))
        try: memory.seek(low); found += len(needle.findall(memory.read(high - low)))
        except (OSError, ValueError, OverflowError): continue
answer = found
"""
    assert attempt(session, code) == 0


def test_forging_frames_and_results_gains_nothing(session: Session) -> None:
    code = """
import os
for pid in [1, os.getppid(), *map(int, filter(str.isdigit, os.listdir('/proc')))][:40]:
    for fd in range(12):
        try: handle = os.open(f'/proc/{pid}/fd/{fd}', os.O_WRONLY | os.O_NONBLOCK)
        except OSError: continue
        os.write(handle, b'\\0' * 64)
answer = 'honest'
"""
    result = session.run(task(code))
    assert result.status in ("ok", "error"), result  # an error where it spoiled its own answer
