"""What ``benchmark validate`` tries on a loaded data set: worthless answers, and what gives labels away."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

from hyperagent.errors import HyperagentError
from hyperagent.evaluation.grading import shortened
from hyperagent.evaluation.manifest import Manifest, Source, load_module
from hyperagent.evaluation.pack import Pack
from hyperagent.evaluation.splits import SPLITS
from hyperagent.types import Grade, Json, Outcome, Task

State = Literal["ok", "warn", "fail", "skip"]
Finding = tuple[State, str]
Grading = Callable[[Pack, Sequence[tuple[Task, Json]]], Sequence[Grade | None]]
"""Grades pairs of a task and a prediction; None = it could not be tried."""

SHORT = 24
"""Hidden texts up to this many characters may stand in an input by chance, or because a label is a word."""
EXAMINED = 3
"""Reference answers tried through an examiner: each may take as long as a training run."""
CHILD_SECONDS = 120.0

GARBAGE: tuple[Json, ...] = (
    "",
    " \n",
    "no answer that anybody would give",
    "\x00\x1b[2J\u202e",
    "\ud800",
    "9" * 5000,
    "((((" * 5000,
    True,
    -987_654_321,
    10**400,
    1e308,
    float("nan"),
    [],
    [[[[[[]]]]]],
    {},
    {"response": None},
    {"response": {"response": "x"}},
    {"response": [], "confidence": "high"},
    {"response": "x", "confidence": 2, "citations": 7},
    {"response": "x", "files": {"../../x": 1}},
    {"files": []},
)
"""What no grader may stumble over, nor give a point for."""
_FAILURES = ("the pack's grader failed", "the examination ended", "the examination gave")

_CHILD = """
import hashlib, importlib.util, json, sys
path, count = sys.argv[1], int(sys.argv[2])
spec = importlib.util.spec_from_file_location("pack_generator", path)
module = sys.modules["pack_generator"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
made = [module.generate(int(seed), count) for seed in sys.argv[3:]]
digests = [hashlib.sha256(json.dumps(one, sort_keys=True).encode()).hexdigest() for one in made]
print(json.dumps({"count": len(made[0]), "digests": digests,
                  "groups": [{str(record["group"]): record["split"] for record in one} for one in made]}))
"""


def blame(error: Exception, folder: Path) -> str:
    """Where in the pack's own files an error came from, and what it was, in one line."""
    if isinstance(error, HyperagentError):
        return error.message
    inside = [
        frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename).is_relative_to(folder)
    ]
    where = f"{Path(inside[-1].filename).relative_to(folder)}:{inside[-1].lineno}: " if inside else ""
    return f"{where}{type(error).__name__}: {shortened(str(error), 200)}"


def all_tasks(pack: Pack) -> list[Task]:
    return [task for split in SPLITS for task in pack.tasks(split)]


def sample(pack: Pack, each: int) -> list[Task]:
    """The first tasks of every split."""
    return [task for split in SPLITS for task in pack.tasks(split, each)]


def on_host(pack: Pack, pairs: Sequence[tuple[Task, Json]]) -> list[Grade | None]:
    """Grades without a sandbox: what needs an examiner is None."""
    if pack.examiner is None:
        return [pack.grade(task, prediction) for task, prediction in pairs]
    asked = [pack.examine(task, prediction) for task, prediction in pairs]
    return [one if isinstance(one, Grade) else None for one in asked]


def is_label(task: Task, prediction: Json) -> bool:
    """Whether a piece of garbage happens to be the answer."""
    return bool(task.hidden.get("label") == prediction)


def worthless(pack: Pack, pairs: Sequence[tuple[Task, Json]], grading: Grading) -> Finding:
    """None of these answers may score anything, and the pack's code should not fail over one."""
    grades = list(zip(pairs, grading(pack, pairs), strict=True))
    tried = [(pair, grade) for pair, grade in grades if grade is not None]
    for (task, prediction), grade in tried:
        if grade.score > 0:
            return "fail", f"task {task.id} scores {grade.score:g} for {shortened(prediction)}"
    for (task, prediction), grade in tried:
        if grade.detail.startswith(_FAILURES):
            return "warn", f"task {task.id}, answer {shortened(prediction)}: {grade.detail}; counts as invalid"
    left = len(grades) - len(tried)
    note = f"; {left} more need the examiner's sandbox" if left else ""
    return ("ok" if tried else "skip"), f"{len(tried)} answers score 0{note}"


def reference(pack: Pack, grading: Grading, *, examined: bool) -> Finding:
    """Right answers score 1: labels, or what the grader's ``reference(input, hidden)`` gives."""
    own = None
    if pack.manifest.grader.endswith(".py"):
        own = getattr(load_module(pack.manifest, pack.manifest.grader), "reference", None)
        if own is None and not pack.labels:
            return "skip", f"{pack.manifest.grader} has no reference(input, hidden) that gives a right answer"
    if pack.examiner is not None and not examined:
        return "skip", "right answers need the examiner's sandbox"
    tasks = sample(pack, 1)[:EXAMINED] if pack.examiner else all_tasks(pack)
    pairs = [(task, own(task.input, task.hidden) if own else task.hidden["label"]) for task in tasks]
    for (task, prediction), grade in zip(pairs, grading(pack, pairs), strict=True):
        if grade is None or grade.score != 1:
            found = "was not graded" if grade is None else f"scores {grade.score:g} ({shortened(grade.detail)})"
            return "fail", f"task {task.id}: the right answer {shortened(prediction)} {found}"
    return "ok", f"{len(pairs)} right answers score 1"


def controls(pack: Pack) -> Finding:
    """What cannot solve tasks scores on validation: beside it a score must be read."""
    tasks = pack.tasks("validation") or pack.tasks("test")
    card = pack.scorecard(tasks, [Outcome(task.id, "agent_error", 0.0) for task in tasks])
    # What depends on a program's answers says nothing here.
    measures = {name: one for name, one in card.measures.items() if not name.startswith("shuffled")}
    found = [f"{name} {one.interval.estimate:.3f}" for name, one in measures.items() if one.kind == "control"]
    return "ok", ", ".join(found) or "none for open answers"


def verbatim(tasks: Sequence[Task]) -> list[tuple[str, str]]:
    """``(task, hidden member)`` where a hidden text of more than ``SHORT`` characters stands in what a program sees."""
    found = []
    for task in tasks:
        shown = "\n".join(text for _, text in _texts({"input": dict(task.input), "files": dict(task.files or {})}))
        for member, text in _texts(dict(task.hidden)):
            if len(text) > SHORT and text in shown:
                found.append((task.id, member))
                break
    return found


def _texts(value: Json, name: str = "") -> Iterator[tuple[str, str]]:
    """Every text within a JSON value, keys of objects included, with the top member that it stands in."""
    if isinstance(value, str):
        yield name, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield name or key, key
            yield from _texts(item, name or key)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item, name)


def duplicates(tasks: Sequence[Task]) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Pairs of tasks that show a program the same: those in two splits, and those within one."""
    seen: dict[str, Task] = {}
    across: list[tuple[str, str]] = []
    within: list[tuple[str, str]] = []
    for task in tasks:
        content = json.dumps([dict(task.input), dict(task.files or {})], sort_keys=True)
        first = seen.setdefault(hashlib.sha256(content.encode()).hexdigest(), task)
        if first is not task:
            (within if first.split == task.split else across).append((first.id, task.id))
    return across, within


def generator(manifest: Manifest, source: Source) -> Finding:
    """Equal seeds give equal records, in every process; other seeds give other groups, or keep them in their split."""
    count = sum(source.splits.values())
    made = []
    # The order of a set differs between processes: a common cause of silent chance.
    for hash_seed, seeds in (("1", "001"), ("2", "0")):
        command = [sys.executable, "-c", _CHILD, str(manifest.path / source.generator), str(count), *seeds]
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=CHILD_SECONDS,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            check=False,
        )
        if done.returncode:
            return "fail", f"{source.generator} ended with: {(done.stderr.strip().splitlines() or ['?'])[-1][:200]}"
        made.append(json.loads(done.stdout.splitlines()[-1]))
    digests = {*made[0]["digests"][:2], *made[1]["digests"]}
    if len(digests) > 1:
        return "fail", "the same random seed gives different records (order of a set? time? global random state?)"
    if made[0]["digests"][2] in digests:
        return "fail", "random seeds 0 and 1 give the same records"
    if made[0]["count"] != count:
        return "fail", f"{count} records were asked for, {made[0]['count']} came"
    first, second = made[0]["groups"][1:]
    shared = sorted(first.keys() & second.keys())
    moved = [group for group in shared if first[group] != second[group]]
    if moved:
        return "fail", f"{len(moved)} groups are in another split with another random seed, e.g. {shortened(moved[0])}"
    if shared:
        return "warn", f"random seeds 0 and 1 share {len(shared)} groups, e.g. {shortened(shared[0])}"
    return "ok", "equal seeds give equal records, other seeds other groups"
