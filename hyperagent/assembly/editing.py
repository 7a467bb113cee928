"""``model test``: in which format can a model edit programs? A few edits of the seed program, each in a sandbox."""

from __future__ import annotations

import json
import statistics
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from hyperagent.assembly.wiring import Wiring, load_program, open_archive, resolve_models
from hyperagent.config import BenchmarkConfig, Config, LimitsConfig, ModelsConfig
from hyperagent.protocols import Benchmark
from hyperagent.types import Json, ProgramTree, Task

if TYPE_CHECKING:
    from hyperagent.engine.trial import Trial

FORMATS = ("tools", "rewrite", "constrained", "menu")
"""The freest first."""
FOLLOWED = 2 / 3
"""Share of trials in which the model's own edit must change the program for a format to be recommended."""
TASKS = 24
"""Train tasks in the evidence of a trial."""
CALLS = 8
"""Model calls of one trial; only the tool loop makes more than two."""
REPLY_TOKENS = 600
"""Longest reply of a trial: a small model without a grammar may not find an end."""


@dataclass(frozen=True)
class FormatRow:
    """Trials of one format; counts of those whose best reply came that far.

    Attributes:
        at_once: Trials whose first reply changed the program, without repair.
        seconds: Median wall clock of a trial.
        problem: What was wrong with the last reply that did not work (hostile text).
    """

    editing: str
    trials: int
    parses: int
    applies: int
    compiles: int
    changes: int
    at_once: int
    seconds: float
    problem: str


@dataclass(frozen=True)
class EditingTest:
    """``recommended`` is a value for ``models.editing``; empty where the model followed no format."""

    model: str
    sandbox: str
    rows: Sequence[FormatRow]
    recommended: str


def test_editing(model: str, api_base: str, trials: int, report: Callable[[str], None]) -> EditingTest:
    """Let a model edit the seed program a few times in every format.

    The evidence is made up: generated tasks of ``math_grading``, replies that waver between the labels. Nothing is
    kept.

    Args:
        trials: Edits per format, at least 1.
        report: Told what is being done.

    Raises:
        ModelLost, ModelUnavailable: The model does not answer.
        SandboxUnavailable: There is no sandbox here.
    """
    from hyperagent.engine.budget import FreeMeter
    from hyperagent.engine.trial import try_edit

    config = Config(
        models=ModelsConfig(model=model, api_base=api_base, max_tokens=REPLY_TOKENS),
        benchmarks=(BenchmarkConfig("math_grading", "generated"),),
        limits=LimitsConfig(mutation_calls=CALLS),
    )
    config = resolve_models(replace(config, models=replace(config.models, evaluation=model)), None)
    program, rows = load_program("seed", Path()), []
    with tempfile.TemporaryDirectory(prefix="ha-") as folder:
        archive = open_archive(Path(folder) / "archive", write=True, create=True)
        try:
            with Wiring(config, archive, None) as wiring:
                parts = wiring.parts
                evidence = made_up_evidence(parts.benchmarks[0][1])
                for editing in FORMATS:
                    found = []
                    for number in range(1, trials + 1):
                        report(f"{editing}: {number} of {trials}")
                        found.append(try_edit(parts, FreeMeter(), program, evidence, editing, number))
                    rows.append(_row(editing, found))
                sandbox = parts.sandbox.info.backend
        finally:
            archive.close()
    return EditingTest(config.models.mutation, sandbox, rows, recommended(rows))


def recommended(rows: Sequence[FormatRow]) -> str:
    """The freest format that the model followed in two of three trials: the freer, the more an edit can say."""
    return next((row.editing for row in rows if row.trials and row.changes / row.trials >= FOLLOWED), "")


def _row(editing: str, trials: Sequence[Trial]) -> FormatRow:
    from hyperagent.engine.trial import STEPS

    reached = [STEPS.index(trial.reached) for trial in trials]
    parses, applies, compiles, changes = (sum(step >= least for step in reached) for least in range(1, len(STEPS)))
    at_once = sum(trial.first == STEPS[-1] for trial in trials)
    problems = [trial.problem for trial in trials if trial.problem] or [""]
    seconds = statistics.median(trial.seconds for trial in trials)
    return FormatRow(editing, len(trials), parses, applies, compiles, changes, at_once, seconds, problems[-1])


def made_up_evidence(benchmark: Benchmark) -> ProgramTree:
    """An evidence folder without a run: train tasks, and replies as a small model makes them."""
    lines = [_line(benchmark, task, i) for i, task in enumerate(benchmark.tasks("train", TASKS))]
    summary: dict[str, Json] = {"iterations_left": 1, "ancestors": [], "attempts": []}
    return {"summary.json": json.dumps(summary).encode(), "train.jsonl": "".join(lines).encode()}


def _line(benchmark: Benchmark, task: Task, index: int) -> str:
    labels = [str(label) for label in task.input.get("answers", ["yes", "no"])]
    reply = f"The answer is {labels[index % 3 % len(labels)]}" if index % 2 else labels[0].capitalize()
    row = {
        "id": task.id,
        "benchmark": benchmark.name,
        "input": dict(task.input),
        "prediction": reply,
        "score": benchmark.grade(task, reply).score,
        "status": "scored",
        "error": "",
        "transcript": f"--- user ---\n{task.input.get('instructions', '')}\n--- assistant ---\n{reply}\n",
        **benchmark.feedback(task),
    }
    return json.dumps(row, sort_keys=True) + "\n"
