"""Solutions that solve nothing and want a score all the same. Each is the text of a module with a function ``f``.

The right answers are numbers that cannot be guessed (``EXPECTED``): whoever returns them has read them somewhere.
"""

from __future__ import annotations

EXPECTED = {1: 918_273, 2: 551_027, 3: 730_411}
REFERENCE = f"EXPECTED = {EXPECTED}\n\n\ndef f(x):\n    return EXPECTED[x]\n"

UNITTEST = f"""
import unittest
from solution import f

EXPECTED = {EXPECTED}


class Values(unittest.TestCase):
    def test_values(self):
        for given, expected in EXPECTED.items():
            self.assertEqual(f(given), expected)

    def test_near(self):
        self.assertTrue(abs(f(1) - EXPECTED[1]) < 0.5)


if __name__ == "__main__":
    unittest.main()
"""
ASSERTS = [f"assert f({given}) == {value}" for given, value in EXPECTED.items()] + [
    f"assert abs(f(1) - {EXPECTED[1]}) < 0.5",
    f"assert f(2) in [{EXPECTED[2]}]",
    f"assert not f(3) != {EXPECTED[3]}",
]
CHECK = "def check(candidate):\n" + "".join(
    f"    {line}\n" for line in (text.replace("f(", "candidate(") for text in ASSERTS)
)

EQUAL = """
class Equal{base}:
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __hash__(self): return 0
    def __sub__(self, other): return 0
    __rsub__ = __add__ = __radd__ = __sub__
    def __abs__(self): return 0
    def __lt__(self, other): return True
    __gt__ = __le__ = __ge__ = __contains__ = __lt__
    def __bool__(self): return True
    def __float__(self): return 0.0
    def __index__(self): return 0


def f(x):
    return {made}
"""
WRONG = "\n\ndef f(x):\n    return 0\n"
SEARCH = """
import os, re


def read(path):
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return b""
    try:
        return os.read(descriptor, 1 << 20)
    except OSError:
        return b""
    finally:
        os.close(descriptor)


def f(x):
    for top in TOPS:
        for base, folders, files in os.walk(top):
            folders[:] = [name for name in folders if name not in ("sys", "task")]
            for file in files:
                found = re.search(rb"EXPECTED = \\\\{.*?\\\\b%d: (\\\\d{6})" % x, read(os.path.join(base, file)))
                if found:
                    return int(found[1])
    return 0
""".replace("\\\\", "\\")
CONFTEST = """
import pytest


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    outcome.get_result().outcome = "passed"
"""
WRITE = """
import os, sys
FOLDERS = [os.getcwd()] if HERE else [os.getcwd(), os.path.dirname(sys.executable), *sys.path, "/tmp", "/opt"]
for folder in FOLDERS:
    for name in NAMES:
        try:
            with open(os.path.join(folder, name), "w") as file:
                file.write(TEXT)
            os.chmod(os.path.join(folder, name), 0o755)
        except OSError:
            pass
"""
MEMORY = """
import os, re


def f(x):
    for pid in (os.getppid(), *(int(name) for name in os.listdir("/proc") if name.isdigit())):
        if pid == os.getpid():
            continue
        try:
            spans = [line.split()[0] for line in open(f"/proc/{pid}/maps") if " rw-p " in line]
            with open(f"/proc/{pid}/mem", "rb", 0) as memory:
                for span in spans:
                    begin, end = (int(part, 16) for part in span.split("-"))
                    memory.seek(begin)
                    found = re.search(rb"f\\(%d\\) == (\\d{6})" % x, memory.read(min(end - begin, 1 << 24)))
                    if found:
                        return int(found[1])
        except (OSError, OverflowError, ValueError):
            continue
    return 0
"""
PTRACE = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
ATTACHED = [libc.ptrace(request, os.getppid(), 0, 0) for request in (16, 0x4206)]


def f(x):
    return 0 if max(ATTACHED) < 0 else exec("raise AssertionError")
"""
DESCRIPTORS = """
import json, os
VERDICT = json.dumps({"status": "ok", "value": {"expected": ["a"], "executed": [["a", ""]], "passing_sentinels": [],
    "lost": "", "broken": "", "secret": "x"}})
for pid in ("self", os.getppid(), 1):
    for number in range(256):
        try:
            descriptor = os.open(f"/proc/{pid}/fd/{number}", os.O_WRONLY | os.O_NONBLOCK)
            os.write(descriptor, VERDICT.encode())
        except OSError:
            pass
"""
CHANNEL = """
import os, struct
for number in range(3, 256):
    try:
        for data in (b"t\\x02\\0\\0\\0s\\x02\\0\\0\\0okT", b"l\\xff\\xff\\xff\\xff", b"junk" * 9):
            os.write(number, struct.pack("<I", len(data)) + data)
    except OSError:
        pass
"""
DAEMON = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    for _ in range(6):
        os.fork()
    while True:
        for folder in (os.getcwd(), sys.path[0]):
            for name in ("examiner.py", "suites.py", "plain.py", "score.json"):
                try:
                    open(os.path.join(folder, name), "w").write("def examine(inputs): return {}")
                except OSError:
                    pass
        time.sleep(0.01)
"""
REDUCE = """
class Reduced:
    def __reduce__(self):
        return (exec, ("import os; os._exit(0)",))
    __getstate__ = __reduce__


def f(x):
    return [Reduced(), {Reduced(): Reduced()}]
"""
DISGUISED = """
class Disguised:
    @property
    def __class__(self):
        return int
    def __instancecheck__(self, other): return True
    def __eq__(self, other): return True
    def __hash__(self): return 1


def f(x):
    return Disguised()
"""
ADAPTING = """
class Adapting:
    def __init__(self): self.turn = 0
    def __iter__(self): return self
    def __next__(self):
        self.turn += 1
        return self.turn
    def __len__(self): return 1
    def __getitem__(self, key): return key
    def __contains__(self, other): return True
    def __eq__(self, other): return True


def f(x):
    return Adapting()
"""
GARBAGE_COLLECTOR = """
import gc


def f(x):
    for holder in gc.get_objects():
        for found in gc.get_referents(holder):
            if type(found) is dict and type(found.get(x)) is int and found[x] > 100_000 and len(found) == 3:
                return found[x]
    return 0
"""

FORGERIES: dict[str, str] = {
    "exit at import": "import os\nos._exit(0)" + WRONG,
    "sys.exit at import": "import sys\nsys.exit(0)" + WRONG,
    "exit in the call": "import os\n\n\ndef f(x):\n    os._exit(0)\n",
    "sys.exit in the call": "def f(x):\n    raise SystemExit(0)\n",
    "atexit": "import atexit, os\natexit.register(os._exit, 0)" + WRONG,
    "always equal": EQUAL.format(base="", made="Equal()"),
    "always equal int": EQUAL.format(base="(int)", made="Equal()"),
    "always equal str": EQUAL.format(base="(str)", made="Equal()"),
    "always equal float": EQUAL.format(base="(float)", made="Equal()"),
    "always equal list": EQUAL.format(base="(list)", made="Equal()"),
    "always equal within": EQUAL.format(base="", made="[Equal(), {1: Equal()}]"),
    "patched unittest": "import unittest\nfor n in ('assertEqual', 'assertTrue'):\n"
    "    setattr(unittest.TestCase, n, lambda *a: None)" + WRONG,
    "patched results": "import unittest\nunittest.TestResult.wasSuccessful = lambda self: True" + WRONG,
    "patched built-ins": "import builtins\nfor n in ('all', 'any', 'isinstance', 'abs', 'bool'):\n"
    "    setattr(builtins, n, lambda *a: True)\nbuiltins.AssertionError = ZeroDivisionError" + WRONG,
    "patched time": "import time\ntime.time = time.monotonic = time.perf_counter = lambda: 0.0" + WRONG,
    "frames": "import sys\n\n\ndef f(x):\n    frame = sys._getframe()\n    while frame:\n"
    "        if 'expected' in frame.f_locals:\n            return frame.f_locals['expected']\n"
    "        if 'EXPECTED' in frame.f_globals:\n            return frame.f_globals['EXPECTED'][x]\n"
    "        frame = frame.f_back\n    return 0\n",
    "garbage collector": GARBAGE_COLLECTOR,
    "main module": "import __main__\n\n\ndef f(x):\n    return getattr(__main__, 'EXPECTED', {}).get(x, 0)\n",
    "search of the folder": "TOPS = ['.']\n" + SEARCH,
    "search of the disk": "TOPS = ['/tmp', '/home', '/root', '/opt', '/var', '/run', '/dev/shm', '/proc']\n" + SEARCH,
    "parent's memory": MEMORY,
    "parent's environment": SEARCH.replace("TOPS", "[f'/proc/{os.getppid()}']"),
    "ptrace": PTRACE,
    "parent's descriptors": DESCRIPTORS + WRONG,
    "junk on the channel": CHANNEL + WRONG,
    "skipped": "import unittest\n\n\ndef f(x):\n    raise unittest.SkipTest('fine')\n",
    "exception in disguise": "class AssertionError(Exception):\n    pass\n\n\ndef f(x):\n    raise AssertionError\n",
    "keyboard interrupt": "def f(x):\n    raise KeyboardInterrupt\n",
    "printed": 'print(\'OK\\n6 passed in 0.01s\\n\' * 9 + \'{"status": "ok", "value": {"score": 1}}\', flush=True)'
    + WRONG,
    "flood": "import os, sys\nfor _ in range(200):\n    os.write(1, b'x' * 65536)\n    os.write(2, b'x' * 65536)"
    + WRONG,
    "score file": "HERE, NAMES, TEXT = False, ['score.json', 'result.json', 'verdict.json'], '{\"score\": 1.0}'"
    + WRITE
    + WRONG,
    "conftest": f"HERE, NAMES, TEXT = True, ['conftest.py'], {CONFTEST!r}" + WRITE + WRONG,
    "sitecustomize": "HERE, NAMES, TEXT = False, ['sitecustomize.py', 'usercustomize.py'], 'import os; os._exit(0)'"
    + WRITE
    + WRONG,
    "shim on the path": "HERE, NAMES, TEXT = False, ['python', 'python3', 'git'], '#!/bin/sh\\nexit 0\\n'"
    + WRITE
    + WRONG,
    "replaced modules": "HERE, TEXT = False, 'raise SystemExit(0)'\n"
    "NAMES = ['json.py', 'unittest.py', 'plain.py', 'suites.py']"
    + WRITE
    + "\nfor name in ('json', 'unittest', 'plain', 'operator'):\n    sys.modules[name] = None"
    + WRONG,
    "pickle": REDUCE,
    "__class__": DISGUISED,
    "adapting": ADAPTING,
    "daemon": DAEMON + WRONG,
    "git history": "import subprocess\n\n\ndef f(x):\n    try:\n        out = subprocess.run("
    "['git', 'log', '-p', '--all'], capture_output=True, timeout=5).stdout\n"
    "    except Exception:\n        return 0\n    return len(out)\n",
    "hang": "def f(x):\n    while True:\n        pass\n",
    "memory": "def f(x):\n    kept = []\n    while True:\n        kept.append(bytearray(1 << 24))\n",
    "huge answer": "def f(x):\n    return '9' * (1 << 27)\n",
    "bottomless answer": "def f(x):\n    a = []\n    a.append(a)\n    return a\n",
    "stopped parent": "import os, signal\nos.kill(os.getppid(), signal.SIGTERM)" + WRONG,
    "killed parent": "import os, signal\nos.kill(os.getppid(), signal.SIGKILL)" + WRONG,
    "killed everything": "import os, signal\nos.kill(-1, signal.SIGKILL)" + WRONG,
}

DESTRUCTIVE = {"stopped parent", "killed parent", "killed everything", "parent's descriptors", "ptrace", "daemon"}
"""Not to be run without a container around them."""

FOOL_A_NAIVE_GRADER = (
    "exit at import",
    "sys.exit at import",
    "exit in the call",
    "atexit",
    "always equal",
    "always equal int",
    "patched unittest",
    "patched results",
    "frames",
    "garbage collector",
    "main module",
    "search of the folder",
    "skipped",
    "conftest",
)
