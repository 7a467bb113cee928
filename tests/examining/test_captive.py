from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

EXAMINING = Path(__file__).parent.parent.parent / "hyperagent" / "examining"
sys.path.insert(0, str(EXAMINING))
import captive as captive_module  # noqa: E402 - it stands flat in an examiner, not in a package
from captive import Captive, CaptiveGarbage, CaptiveGone, CaptiveTimeout  # noqa: E402

Start = Callable[..., Captive]
ECHO = "import plain\nplain.serve(lambda message: message)\n"


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a captive with the given script beside ``plain.py``."""
    opened: list[Captive] = []

    def make(script: str = ECHO, memory_mb: int = 0, most_bytes: int = 1 << 20, **environment: str) -> Captive:
        folder = tmp_path / str(len(opened))
        folder.mkdir()
        shutil.copy(EXAMINING / "plain.py", tmp_path)
        (tmp_path / f"script{len(opened)}.py").write_text(script)
        path = str(tmp_path / f"script{len(opened)}.py")
        made = Captive(
            path, ["a"], folder=str(folder), environment=environment, memory_mb=memory_mb, most_bytes=most_bytes
        )
        opened.append(made)
        return made

    yield make
    for one in opened:
        one.close()
    for option, value in ((4, 1), (36, 0)):  # dumpable and no subreaper again: this process has other tests to run
        captive_module._LIBC.prctl(option, value, 0, 0, 0)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_questions_and_answers(start: Start) -> None:
    with start() as captive:
        for message in (None, [1, (2.5, {"a"})], b"x" * 500_000):
            assert captive.ask(message, 20) == message


def test_it_sees_its_folder_and_nothing_of_the_environment(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_THE_EXAMINER", "1")
    seen = "import os, sys\nFDS = [n for n in range(3, 64) if os.path.exists(f'/proc/self/fd/{n}')]\n"
    script = f"{seen}import plain\nplain.serve(lambda m: [os.getcwd(), sorted(os.environ), sys.argv[1:], len(FDS)])\n"
    folder, names, arguments, descriptors = start(script, OWN="2").ask(None, 20)
    assert Path(folder).name == "0"
    assert "SECRET_OF_THE_EXAMINER" not in names
    assert {"OWN", "PYTHONHASHSEED"} <= set(names)
    assert arguments == ["a"]
    assert descriptors == 1


def test_what_it_prints_goes_nowhere(start: Start, capfd: pytest.CaptureFixture[str]) -> None:
    script = "import plain, os\nos.write(1, b'x' * 500000); os.write(2, b'y')\nplain.serve(lambda m: print(m) or m)\n"
    assert start(script).ask("said", 20) == "said"
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("script", "how"),
    [
        ("import os\nos._exit(7)", "exited with code 7"),
        ("import os\nos.kill(os.getpid(), 9)", "died of signal 9"),
        ("import plain\nplain.serve(lambda m: 1 / 0)", "exited with code 1"),
        ("syntax error", "exited with code 1"),
        ("import os, time\nos.closerange(3, 99)\ntime.sleep(99)", "closed its channel"),
    ],
)
def test_its_end_is_told(start: Start, script: str, how: str) -> None:
    captive = start(script)
    with pytest.raises(CaptiveGone, match=how):
        captive.ask(1, 20)
    with pytest.raises(CaptiveGone, match="dead already"):
        captive.ask(1, 20)


def test_silence(start: Start) -> None:
    captive = start("import plain\nplain.serve(lambda m: m if m else exec('while True: pass'))\n")
    assert captive.ask(1, 20) == 1
    with pytest.raises(CaptiveTimeout):
        captive.ask(0, 0.1)
    assert not alive(captive._process.pid)


@pytest.mark.parametrize(
    "data", ["b'junk' * 99", "b'\\x02\\0\\0\\0NN'", "b'\\xff\\xff\\xff\\x7f'", "b'\\x01\\0\\0\\0?'", "b'\\0\\0\\0\\0'"]
)
def test_junk_on_the_channel(start: Start, data: str) -> None:
    captive = start(f"import os\nos.write(int(os.environ['CAPTIVE_CHANNEL']), {data})\nwhile True: pass")
    with pytest.raises(CaptiveGarbage):
        captive.ask(1, 20)
    assert not alive(captive._process.pid)


def test_replies_are_bounded(start: Start) -> None:
    with pytest.raises(CaptiveGarbage, match="at most 1000"):
        start(most_bytes=1000).ask(b"x" * 2000, 20)


def test_memory_is_bounded(start: Start) -> None:
    script = "import plain\nplain.serve(lambda size: len(bytearray(size)))\n"
    assert start(script, memory_mb=300).ask(10 << 20, 20) == 10 << 20
    with pytest.raises(CaptiveGone):
        start(script, memory_mb=300).ask(400 << 20, 20)


def test_no_trace_of_it_is_left(start: Start) -> None:
    """Not of a daemon either that left its session and its parent."""
    script = """
import os, plain, time
read, write = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.write(write, str(os.getpid()).encode())
        time.sleep(999)
    os._exit(0)
os.wait()
daemon = int(os.read(read, 99))
plain.serve(lambda m: [os.getpid(), daemon])
"""
    bystander = start()
    with start(script) as captive:
        pids = captive.ask(None, 20)
        assert all(map(alive, pids))
    assert not any(map(alive, pids))
    assert bystander.ask(5, 20) == 5


def test_what_was_there_before_is_spared(start: Start) -> None:
    with subprocess.Popen(["sleep", "99"], start_new_session=True) as before:
        start().close()
        assert alive(before.pid)
        before.kill()


def test_the_examiner_cannot_be_dumped_once_a_captive_exists(start: Start) -> None:
    start()
    assert captive_module._LIBC.prctl(3, 0, 0, 0, 0) == 0  # PR_GET_DUMPABLE
    assert os.stat("/proc/self/environ").st_uid == 0
