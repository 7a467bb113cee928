"""Make an archive of any size through the real store, without models or sandboxes: to measure and to look at.

    scripts/make_archive.py DIR --variants 5000 --tasks 20

Lineage, scores, edits and calls are drawn from a random seed; nothing in it was ever run.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hyperagent.archive import open_archive
from hyperagent.config import Config, to_json
from hyperagent.protocols import Archive
from hyperagent.types import CallKey, Campaign, ModelCall, Outcome, Purpose, SandboxInfo, Spend, Variant, VariantStatus

BENCHMARK = "math_grading"
SCREEN = 0.25
"""Share of the tasks that a screened-out variant ran."""
_FATES: Sequence[tuple[VariantStatus, float]] = (
    ("evaluated", 0.76),
    ("screened_out", 0.08),
    ("no_effect", 0.07),
    ("duplicate", 0.05),
    ("invalid", 0.04),
)
_IDEAS = ("checks the last line", "votes over three answers", "compares final numbers", "asks for a reason first")


def make_campaign(archive: Archive, name: str, variants: int, tasks: int, seed: int = 1) -> Campaign:
    """A finished campaign of ``variants`` steps beside the seed program, each scored on ``tasks`` validation tasks."""
    chance = random.Random(seed)
    stored = {**to_json(Config()), "program_files": archive.put_blob(b"{}")}
    campaign = archive.create_campaign(name, seed, stored)
    names = [f"task-{number:04}" for number in range(tasks)]
    skill: dict[str, float] = {}
    parents: list[Variant] = []
    for step in range(variants + 1):
        parent = _parent(parents, chance)
        variant = archive.start_step(campaign.id, step, parent.id if parent else None, {})
        level = 0.3 if parent is None else min(0.95, max(0.05, skill[parent.id] + chance.gauss(0.0, 0.03)))
        fate = "evaluated" if parent is None else chance.choices(*zip(*_FATES, strict=True))[0]
        idea = chance.choice(_IDEAS)
        if parent is not None:
            _call(archive, variant, "mutate", "mutate", "mutate")
            blob = archive.put_blob(f"step {step}: {idea}".encode())
            archive.describe_mutation(variant.id, summary=idea, seconds=chance.uniform(1, 9), transcript_blob=blob)
        if fate not in ("evaluated", "screened_out"):
            reason = parent.id if fate == "duplicate" and parent else "only README.md changed"
            archive.finish_variant(variant.id, fate, reason=reason)
            continue
        archive.commit_program(variant.id, _program(step, idea), idea)
        score = _evaluate(archive, variant, names, level, fate == "screened_out", chance)
        finished = archive.finish_variant(variant.id, fate, score=score)
        skill[variant.id] = level
        parents.append(finished)
    return archive.set_campaign_state(campaign.id, "finished")


def _parent(parents: Sequence[Variant], chance: random.Random) -> Variant | None:
    """Mostly one of the best of a few, so that the lineage is neither a star nor a chain."""
    if not parents:
        return None
    few = [parents[chance.randrange(len(parents))] for _ in range(4)]
    return max(few, key=lambda variant: variant.score or 0.0)


def _program(step: int, idea: str) -> dict[str, bytes]:
    task_agent = (
        f'"""{idea}"""\n\n\nclass TaskAgent:\n    def forward(self, inputs):\n        return {step % 97}, ""\n\n\n'
        f"def helper_{step % 7}(text):\n    return text[:{step}]\n"
    )
    return {"task_agent.py": task_agent.encode(), "README.md": b"A program.\n"}


def _evaluate(
    archive: Archive, variant: Variant, names: Sequence[str], level: float, screened: bool, chance: random.Random
) -> float:
    screen = max(1, round(SCREEN * len(names)))
    info = SandboxInfo("docker", "runc")
    evaluation = archive.start_evaluation(variant.id, BENCHMARK, "validation", names, screen, "context", info)
    ran = names[:screen] if screened else names
    right = 0
    for name in ran:
        won = chance.random() < level
        right += won
        _call(archive, variant, f"{BENCHMARK}/validation", name, "evaluate")
        spend = Spend(calls=1, prompt_tokens=220, completion_tokens=2)
        archive.add_outcome(
            evaluation.id, Outcome(name, "scored", float(won), json.dumps("yes" if won else "no"), spend=spend)
        )
    archive.finish_evaluation(evaluation.id, "screened_out" if screened else "finished", right / len(ran))
    return right / len(ran) * (len(ran) / len(names))


def _call(archive: Archive, variant: Variant, job: str, task: str, purpose: Purpose) -> None:
    key = CallKey(f"{variant.campaign}/{variant.step}/{job}", task, 0)
    call = ModelCall(key, variant.campaign, variant.id, purpose, "scripted/made", "", "reserved", 220, 2, 0.0)
    archive.reserve_call(call)
    archive.settle_call(replace(call, state="settled", seconds=0.1), b"", b"")


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--variants", type=int, default=100)
    parser.add_argument("--tasks", type=int, default=20)
    parser.add_argument("--name", default="made")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(words)
    archive = open_archive(options.directory, write=True, create=True)
    try:
        make_campaign(archive, options.name, options.variants, options.tasks, options.seed)
    finally:
        archive.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
