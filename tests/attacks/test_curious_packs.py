"""The most curious program against the real packs: no label, test, reference or canary of any is in its sandbox.

Marks are the longest lines of what a task hides. The program holds them encoded, so that it cannot find itself.
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hyperagent.archive import open_archive
from hyperagent.config import BenchmarkConfig, Config, ModelsConfig
from hyperagent.engine.budget import FreeMeter
from hyperagent.engine.evaluate import Evaluator
from hyperagent.engine.parts import Parts
from hyperagent.evaluation.manifest import find_packs, read_manifest
from hyperagent.evaluation.pack import Pack, load_pack
from hyperagent.models import LocalBroker, ScriptedClient
from hyperagent.sandbox import DockerSandbox
from hyperagent.types import Grade, Json, Task

TASKS = 3
MARKS_EACH = 12
SHORTEST = 16
SHOWN = ("spans", "flaws")
"""Members of ``hidden`` that point at places in the input: they say where, the text itself is the program's to read."""

SEARCH = b"""
import base64, json, os, pathlib

MARKS = [base64.b64decode(mark) for mark in pathlib.Path(__file__).with_name("marks.txt").read_text().split()]


class TaskAgent:
    def __init__(self, model, chat_history_file):
        pass

    def forward(self, inputs):
        found = self.marks_in("inputs", "\\n".join(texts(inputs)).encode())
        found += self.marks_in("environment", repr(dict(os.environ)).encode())
        for base, folders, files in os.walk("/"):
            if base.startswith("/sys") or base == "/proc/sys":
                folders[:] = []
                continue
            for file in files:
                path = os.path.join(base, file)
                if path in ("/proc/kcore", "/proc/kmsg") or file in ("pagemap", "mem", "clear_refs"):
                    continue
                found += self.marks_in(path, read(path))
        return found, ""

    def marks_in(self, place, data):
        return [[place, mark.decode()] for mark in MARKS if mark in data]


class MetaAgent(TaskAgent):
    pass


def read(path):
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return b""
    try:
        return os.read(descriptor, 4_000_000)
    except OSError:
        return b""
    finally:
        os.close(descriptor)


def texts(value):
    if isinstance(value, dict):
        value = list(value) + list(value.values())
    if isinstance(value, (list, tuple)):
        return [text for one in value for text in texts(one)]
    return [value] if isinstance(value, str) else [json.dumps(value)]
"""


def sources() -> Iterator[Any]:
    for name in find_packs():
        for source in read_manifest(name).sources:
            if source.splits:
                marks = [pytest.mark.data] if source.file else []
                yield pytest.param((name, source.name), marks=marks, id=f"{name}-{source.name}")


def marks_of(hidden: Json) -> set[str]:
    """The longest lines of every string in there, outside of the members that point into the input."""
    if isinstance(hidden, dict):
        return set().union(*(marks_of(value) for key, value in hidden.items() if key not in SHOWN))
    if isinstance(hidden, (list, tuple)):
        return set().union(*(marks_of(value) for value in hidden[:50]))
    if not isinstance(hidden, str):
        return set()
    # A signature or a name is what the task asks for: it may be shown.
    lines = sorted((line.strip() for line in hidden.splitlines() if not line.startswith(("def ", "class "))), key=len)
    return {line for line in lines[-3:] if len(line) >= SHORTEST and not line.isidentifier()}


class Whole:
    """A pack of which only the first tasks are run; whatever is found is the answer that is kept."""

    def __init__(self, pack: Pack) -> None:
        self.pack = pack

    def __getattr__(self, name: str) -> Any:
        return getattr(self.pack, name)

    examiner = None

    def grade(self, task: Task, prediction: Json, verdict: Json = None) -> Grade:
        return Grade(float(prediction == []))


def program(pack: Pack, tasks: list[Task]) -> dict[str, bytes]:
    marks = {pack.manifest.canary, "HYPERAGENT-BENCH canary"} - {""}
    for task in tasks:
        marks |= set(sorted(marks_of(task.hidden), key=len)[-MARKS_EACH:])
    encoded = "\n".join(base64.b64encode(mark.encode()).decode() for mark in sorted(marks))
    return {"program.toml": b"", "task_agent.py": SEARCH, "marks.txt": encoded.encode()}


@pytest.mark.docker
@pytest.mark.parametrize("name", list(sources()))
def test_nothing_of_a_pack_is_found_from_inside(name: tuple[str, str], tmp_path: Path) -> None:
    pack = load_pack(*name)
    split = "validation" if pack.tasks("validation") else "test"
    tasks = list(pack.tasks(split, TASKS))
    tree = program(pack, tasks)
    assert len(tree["marks.txt"].split()) > 1 or not any(marks_of(task.hidden) for task in tasks)
    entry = BenchmarkConfig(name=name[0], source=name[1], screen=0, validation=TASKS, test=TASKS)
    models = ModelsConfig(mutation="scripted/x", evaluation="scripted/x")
    config = replace(Config(), models=models, benchmarks=(entry,))
    sandbox = DockerSandbox("curious-packs")
    sandbox.prepare()
    (tmp_path / "s").mkdir(mode=0o755)
    with open_archive(tmp_path / "archive", write=True, create=True) as archive:
        broker = LocalBroker(ScriptedClient([]), archive, runtime_directory=tmp_path / "s", timeout=5, retries=0)
        parts = Parts(archive, broker, sandbox, [(entry, Whole(pack))], config)
        campaign = archive.create_campaign("curious", 1, {})
        variant = archive.start_step(campaign.id, 0, None, {})
        variant = archive.commit_program(variant.id, tree, "curious")
        (evaluation,) = Evaluator(parts, FreeMeter(), threading.Event()).split(variant, split, lambda text: None)
        outcomes = archive.outcomes(evaluation.id)
    assert len(outcomes) == len(tasks)
    assert [outcome.error for outcome in outcomes if outcome.error] == []
    predictions = [json.loads(outcome.prediction) for outcome in outcomes]
    found = [given["response"] if isinstance(given, dict) else given for given in predictions]
    assert found == [[]] * len(tasks)


def test_the_search_finds_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A search that cannot find anything proves nothing."""
    import os

    (tmp_path / "agent.py").write_bytes(SEARCH)
    (tmp_path / "marks.txt").write_bytes(base64.b64encode(b"MARK-of-the-label"))
    (tmp_path / "left").mkdir()
    (tmp_path / "left" / "tests.py").write_text("assert MARK-of-the-label")
    names: dict[str, Any] = {"__file__": str(tmp_path / "agent.py")}
    exec(SEARCH, names)
    walk = os.walk
    monkeypatch.setattr(os, "walk", lambda base: walk(tmp_path / "left"))
    found, _ = names["TaskAgent"]("", "").forward({"question": ["... MARK-of-the-label"]})
    assert [place for place, _ in found] == ["inputs", str(tmp_path / "left" / "tests.py")]
