"""Measures how well models rewrite programs, format by format, and prints Markdown: ``scripts/bench mutators``.

Real parents: the seed and evolved variants of a finished ``math_grading`` archive, of which a copy is worked on. Every
model gets the same parents with the same random seeds in every format, so that each sample is a pair with the control
``random/uniform``. Each sample is kept in ``OUT/samples.jsonl``; a run that was cut off goes on there.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import statistics
import sys
import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench_facts import machine, table

from hyperagent.assembly.wiring import Wiring, load_program, open_archive, stored_config
from hyperagent.config import Config
from hyperagent.engine.budget import FreeMeter
from hyperagent.engine.evaluate import Evaluator, TaskRunner
from hyperagent.engine.evidence import EvidenceBuilder
from hyperagent.engine.parts import Parts
from hyperagent.engine.trial import STEPS, Trial, try_edit
from hyperagent.errors import EvaluationsLost, ModelLost, SandboxLost, UsageError
from hyperagent.evaluation.statistics import mcnemar, paired_bootstrap, wilson
from hyperagent.protocols import Archive
from hyperagent.types import ProgramTree, Variant

CONTROL = "random/uniform"
FIRST = "random/first"
MODELS = (CONTROL, FIRST, "local/smollm2-135m", "local/qwen2.5-coder-1.5b")
FORMATS = ("menu", "constrained", "rewrite")
PARENTS = 10
Row = dict[str, Any]

EXPLAINED = """`parses`, `applies`, `compiles`, `changes`: samples in which one of the model's two replies (the second
after it was told what was wrong with the first) is what was asked for; fits the program; leaves a program that loads
and answers; changes its code, and an answer where train tasks tell. Where no reply works, the seed's meta agent makes
a random typed edit: `improves` counts programs, whoever's edit it is, that solve more of the {tasks} validation tasks
than their parent, with Wilson's 95% interval; `own` those of them that the model asked for. `gain`: mean difference of
the share of tasks solved, with its 95% bootstrap interval over samples. `p`: samples better only with the model :
only with `random/uniform`, and the exact McNemar test (the same parent, the same random seed). The control draws from
the same schema; a rewrite has none, there it makes a random typed edit. `random/first` is no model either: it takes
number 1 of the menu, the edit that measured best on train tasks. `seconds`: median of a proposal."""


@dataclass(frozen=True)
class Parent:
    """``program``: today's seed with the variant's task agent; ``solved``: its scores on the validation tasks."""

    name: str
    program: ProgramTree
    evidence: ProgramTree
    solved: Sequence[float]


class Bench:
    """The work on one copy of an archive."""

    def __init__(self, parts: Parts, tasks: int) -> None:
        self._parts, self._limit = parts, tasks
        self._pack = parts.benchmarks[0][1]
        self._tasks = self._pack.tasks("validation", tasks)
        self._solved: dict[bytes, list[float]] = {}

    def parents(self, variants: Sequence[Variant]) -> Iterator[Parent]:
        evaluator = Evaluator(self._parts, FreeMeter(), threading.Event())
        builder = EvidenceBuilder(self._parts, evaluator)
        seed = load_program("seed", Path())
        for variant in variants:
            agent = self._parts.archive.read_tree(variant.commit)["task_agent.py"]
            program = {**seed, "task_agent.py": agent}
            campaign = self._parts.archive.campaign(variant.campaign).name
            print(f"parent {campaign}/{variant.step}", file=sys.stderr, flush=True)
            evidence = builder.build(variant, 1, 0)
            yield Parent(f"{campaign}/{variant.step}", program, evidence, self.solved(program))

    def solved(self, program: ProgramTree) -> list[float]:
        """Scores of a program's task agent on the validation tasks; equal task agents are run once."""
        agent = program["task_agent.py"]
        if agent not in self._solved:
            runner = TaskRunner(self._parts, FreeMeter(), "evaluate", threading.Event())
            job = f"mutators/{hashlib.sha256(agent).hexdigest()[:12]}/validation"
            variant = Variant("mutators", "mutators", 0, 0, None, "pending")
            found = runner.run(job, variant, program, self._pack, self._tasks)
            self._solved[agent] = [outcome.score for outcome, _ in found]
        return self._solved[agent]

    def sample(self, parent: Parent, model: str, editing: str, number: int) -> Row:
        """One proposal and what it is worth."""
        models = replace(self._parts.config.models, mutation=model, model=model)
        parts = replace(self._parts, config=replace(self._parts.config, models=models))
        trial: Trial = try_edit(parts, FreeMeter(), parent.program, parent.evidence, editing, number)
        after = parent.solved if trial.tree is None else self.solved(trial.tree)
        return {
            "model": model,
            "editing": editing,
            "sample": number,
            "parent": parent.name,
            "first": trial.first,
            "reached": trial.reached,
            "own": trial.own,
            "before": sum(parent.solved),
            "after": sum(after),
            "tasks": len(after),
            "seconds": round(trial.seconds, 1),
            "summary": trial.summary,
            "problem": trial.problem,
        }


def chosen(archive: Archive) -> list[Variant]:
    """The seed and evolved variants with results on train tasks, task agents all different, spread over campaigns."""
    found: dict[bytes, Variant] = {}
    campaigns = [list(archive.variants(campaign.id)) for campaign in archive.campaigns()]
    for position in range(max(map(len, campaigns), default=0)):
        for variants in campaigns:
            if position < len(variants) and variants[position].status == "evaluated":
                variant = variants[position]
                if any(one.split == "train" and one.state == "finished" for one in archive.evaluations(variant.id)):
                    found.setdefault(archive.read_tree(variant.commit)["task_agent.py"], variant)
    return list(found.values())[:PARENTS]


@contextmanager
def wired(archive: Path, out: Path) -> Iterator[Parts]:
    """The parts of the archive's first campaign, over a copy that is made once."""
    copy = out / "archive"
    if not copy.is_dir():
        shutil.copytree(archive, copy)
    opened = open_archive(copy, write=True)
    try:
        config: Config = stored_config(opened.campaigns()[0])
        with Wiring(config, opened, None) as wiring:
            yield wiring.parts
    finally:
        opened.close()


def run(arguments: argparse.Namespace, path: Path) -> None:
    """Make the samples that are not there yet, one of every kind before the next of any."""
    done = {(row["model"], row["editing"], row["sample"]) for row in rows_of(path)}
    with wired(arguments.archive, arguments.out) as parts, path.open("a") as file:
        bench = Bench(parts, arguments.tasks)
        variants = chosen(parts.archive)
        if not variants:
            raise UsageError(f"{arguments.archive} holds no evaluated variant")
        known = list(bench.parents(variants[: arguments.parents]))
        for number in range(1, arguments.samples + 1):
            for model, editing in [(m, f) for m in arguments.models for f in arguments.formats]:
                if (model, editing, number) in done or (model == FIRST and editing != "menu"):
                    continue
                try:
                    row = bench.sample(known[number % len(known)], model, editing, number)
                except (ModelLost, SandboxLost, EvaluationsLost) as error:
                    print(f"lost: {model} {editing} {number}: {error.message}", file=sys.stderr, flush=True)
                    continue
                file.write(json.dumps(row) + "\n")
                file.flush()
                print(f"{number} {model} {editing}: {row['reached']}", file=sys.stderr, flush=True)


def rows_of(path: Path) -> list[Row]:
    """Samples kept so far; a line that was cut off is left out."""
    found = []
    for line in path.read_text().splitlines() if path.is_file() else ():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


def show(rows: Sequence[Row]) -> Iterator[str]:
    """The table, model by model."""
    groups: dict[tuple[str, str], dict[int, Row]] = defaultdict(dict)
    for row in rows:
        groups[row["model"], row["editing"]][row["sample"]] = row
    lines = []
    for (model, editing), found in sorted(groups.items(), key=lambda item: FORMATS.index(item[0][1])):
        reached = [STEPS.index(row["reached"]) for row in found.values()]
        n = len(found)
        shares = [f"{100 * sum(step >= least for step in reached) / n:.0f}" for least in range(1, len(STEPS))]
        better = [row["after"] > row["before"] for row in found.values()]
        own = sum(one and row["own"] for one, row in zip(better, found.values(), strict=True))
        gains = [(row["after"] - row["before"]) / row["tasks"] for row in found.values()]
        gain = paired_bootstrap([0.0] * n, gains)
        interval = wilson(sum(better), n)
        lines.append(
            [
                f"`{model}`",
                editing,
                n,
                *shares,
                f"{100 * interval.estimate:.0f} [{100 * interval.low:.0f} to {100 * interval.high:.0f}]",
                own,
                f"{100 * gain.estimate:+.1f} [{100 * gain.low:+.1f} to {100 * gain.high:+.1f}]",
                against(found, groups.get((CONTROL, editing), {})) if model != CONTROL else "",
                f"{statistics.median(row['seconds'] for row in found.values()):.0f}",
            ]
        )
    head = ["model", "format", "n", "parses %", "applies %", "compiles %", "changes %", "improves %", "own"]
    yield table([*head, "gain, points", "p", "seconds"], lines)


def against(found: dict[int, Row], control: dict[int, Row]) -> str:
    """``wins:losses, p`` on the samples that both have."""
    both = sorted(set(found) & set(control))
    scores = [[float(side[i]["after"] > side[i]["before"]) for i in both] for side in (control, found)]
    test = mcnemar(*scores)
    return f"{test.wins}:{test.losses}, {test.p_value:.2g}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="scripts/bench mutators", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--archive", type=Path, required=True, help="a finished math_grading archive; only read")
    parser.add_argument(
        "--out", type=Path, default=Path("mutators"), help="samples and the archive's copy (%(default)s)"
    )
    parser.add_argument("--samples", type=int, default=20, help="per model and format (%(default)s)")
    parser.add_argument("--tasks", type=int, default=60, help="validation tasks of every program (%(default)s)")
    parser.add_argument("--parents", type=int, default=PARENTS, help="parents, taken in turn (%(default)s)")
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    parser.add_argument("--formats", nargs="+", default=list(FORMATS), choices=FORMATS)
    parser.add_argument("--show", action="store_true", help="print what is there, make nothing")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    path = arguments.out / "samples.jsonl"
    if not arguments.show:
        run(arguments, path)
    rows = rows_of(path)
    print(f"{EXPLAINED.format(tasks=arguments.tasks)}\n\n{machine()}.\n")
    print("\n".join(show(rows)) if rows else "no samples")


if __name__ == "__main__":
    main()
