"""Reference solutions and empty answers of all coding sets through the real path: scripts/coding_references.py [LIMIT]

A program that knows the solutions (they stand in its own files) writes each into its workspace, in a sandbox. The file
is copied out and graded in a second sandbox. Prints Markdown. Needs HYPERAGENT_BENCHMARK_DATA and a Docker engine.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from hyperagent import assembly
from hyperagent.assembly.benching import NO_MODEL, BenchmarkRunner
from hyperagent.config import BenchmarkConfig, Config, ModelsConfig
from hyperagent.evaluation.pack import load_pack
from hyperagent.types import Json, Progress, Split, Task

WORKERS = 2
SETS: Mapping[str, tuple[Split, ...]] = {
    "humaneval": ("test",),
    "humaneval_plus": ("test",),
    "mbpp": ("train", "validation", "test"),
    "exercism": ("train", "validation", "test"),
}

AGENT = b"""
import hashlib, json, pathlib

HERE = pathlib.Path(__file__).parent


class TaskAgent:
    def __init__(self, model, chat_history_file):
        pass

    def forward(self, inputs):
        workspace = pathlib.Path(inputs.pop("workspace"))
        key = hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()
        known = json.loads((HERE / "known.json").read_text())[key]
        if known.startswith(" "):  # the rest of a function whose beginning the task gives
            return known, ""
        (workspace / "solution.py").write_text(known)
        return None, ""


class MetaAgent(TaskAgent):
    pass
"""


class Silent:
    def progress(self, progress: Progress) -> None: ...

    def message(self, text: str) -> None:
        print(text, file=sys.stderr)


def reference(task: Task) -> str:
    """The data's own solution; where it has none (Exercism), a table of the cases."""
    known = task.hidden.get("reference")
    return str(known) if known else looked_up(task.hidden["cases"])


def looked_up(cases: Json) -> str:
    table: dict[str, list[Json]] = {}
    for case in cases:
        table.setdefault(case["call"], []).append([case["args"], case["expected"], case["raises"]])
    lines = [f"TABLE = {table!r}"]
    for name in table:
        lines += [
            f"def {name}(*given):",
            f"    for arguments, expected, raises in TABLE[{name!r}]:",
            "        if arguments == list(given):",
            "            if raises:",
            "                raise ValueError('as the case says')",
            "            return expected",
        ]
    return "\n".join(lines) + "\n"


def write_program(folder: Path, tasks: list[Task], *, empty: bool) -> None:
    known = {}
    for task in tasks:
        key = hashlib.sha256(json.dumps(dict(task.input), sort_keys=True).encode()).hexdigest()
        known[key] = "" if empty else reference(task)
    folder.mkdir()
    (folder / "program.toml").write_text("")
    (folder / "task_agent.py").write_bytes(AGENT)
    (folder / "meta_agent.py").write_text("from task_agent import MetaAgent\n")
    (folder / "known.json").write_text(json.dumps(known))


def run(source: str, split: Split, limit: int, place: Path, *, empty: bool) -> tuple[int, int, float]:
    """Tasks, tasks solved, seconds."""
    pack = load_pack("coding", source)
    program = place / f"{source}-{split}-{'empty' if empty else 'reference'}"
    write_program(program, list(pack.tasks(split, limit)), empty=empty)
    config = Config(
        name=program.name,
        program=str(program),
        models=ModelsConfig(model=NO_MODEL),
        benchmarks=(BenchmarkConfig("coding", source),),
    )
    archive = assembly.open_archive(place / "archive", write=True, create=True)
    began = time.monotonic()
    try:
        runner = BenchmarkRunner(
            config, archive, Silent(), split=split, limit=limit, workers=WORKERS, controls=False, report=lambda *_: None
        )
        try:
            found = runner.run()
        finally:
            runner.close()
        (evaluation,) = archive.evaluations(found.variant.id)
        outcomes = archive.outcomes(evaluation.id)
    finally:
        archive.close()
    for outcome in outcomes:
        if (outcome.score == 1) == empty:
            print(f"{'solved' if empty else 'not solved'}: {outcome.task}: {outcome.error[:300]}", file=sys.stderr)
    return len(outcomes), sum(outcome.score == 1 for outcome in outcomes), time.monotonic() - began


def main() -> None:
    limit = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    print("| set | answers | tasks | solved | seconds |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        for empty in (False, True):
            whole = 0.0
            for source, splits in SETS.items():
                rows = [run(source, split, limit, Path(name), empty=empty) for split in splits]
                tasks, solved, seconds = (sum(column) for column in zip(*rows, strict=True))
                whole += seconds
                kind = "empty" if empty else "references"
                print(f"| {source} | {kind} | {tasks} | {solved} | {seconds:.0f} |", flush=True)
            print(f"| **together** | | | | **{whole:.0f}** |", flush=True)


if __name__ == "__main__":
    main()
