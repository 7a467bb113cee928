"""Measures what racing saves and what it costs, and prints Markdown: ``scripts/bench racing [--archive DIR]``.

Nothing is run: scores of tasks are read from the campaigns of an archive (variants that were evaluated on every
validation task), or drawn. Each resampling draws the tasks again with replacement, gives every variant an order of its
own, and races the variants in the order in which they were made, each against the best so far. The full evaluation of
the same tasks says what should have been chosen: the highest score, the earliest of equals.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from bench_facts import machine, table
from numpy.typing import NDArray

from hyperagent.archive import open_archive
from hyperagent.evaluation.eprocess import log_capital

Floats = NDArray[np.float64]
CHUNK = 100
"""Resamplings raced at once; bounds the memory."""


@dataclass(frozen=True)
class Matrix:
    """``scores``: shape (variants, tasks), in the order they were made; ``parents``: row of each one's parent."""

    name: str
    scores: Floats
    parents: Sequence[int]


@dataclass(frozen=True)
class Found:
    """Shares over resamplings, in [0, 1].

    ``used``: task evaluations over those of a full evaluation. ``same``: the same variant was chosen. ``lost``: the
    variant that a full evaluation chooses was called off. ``regret``: mean score lost by the choice.
    """

    used: float
    same: float
    lost: float
    regret: float


def race_all(scores: Floats, parents: Sequence[int], alpha: float, generator: np.random.Generator) -> Found:
    """Race every variant of every resampling; ``scores`` has shape (resamplings, variants, tasks)."""
    count, variants, tasks = scores.shape
    best, chosen = scores[:, 0].sum(axis=1), np.zeros(count, dtype=int)
    ran = np.zeros(scores.shape, dtype=bool)
    ran[:, 0] = True
    sums, times = scores[:, 0].copy(), np.ones((count, tasks))
    for number in range(1, variants):
        means = sums / times  # the seed ran every task
        parent = parents[number]
        inherited = np.where(ran[:, parent], scores[:, parent], means)
        order = generator.permuted(np.tile(np.arange(tasks), (count, 1)), axis=1)
        own, *guesses = (np.take_along_axis(one, order, axis=1) for one in (scores[:, number], inherited, means))
        over = log_capital(own, np.stack(guesses, axis=1), best + 1) >= -math.log(alpha)
        stopped = np.where(over.any(axis=1), over.argmax(axis=1) + 1, tasks)
        ran[:, number] = np.argsort(order, axis=1) < stopped[:, None]
        sums += scores[:, number] * ran[:, number]
        times += ran[:, number]
        total = scores[:, number].sum(axis=1)
        wins = ~over.any(axis=1) & (total > best)
        best, chosen = np.where(wins, total, best), np.where(wins, number, chosen)
    rows, totals = np.arange(count), scores.sum(axis=2)
    wanted = totals.argmax(axis=1)
    lost = ~ran[rows, wanted].all(axis=1)
    regret = (totals.max(axis=1) - totals[rows, chosen]).mean() / tasks
    return Found(float(ran.mean()), float((chosen == wanted).mean()), float(lost.mean()), float(regret))


def resampled(matrix: Matrix, alpha: float, count: int, seed: int) -> Found:
    """Mean over resamplings of the matrix's tasks."""
    generator = np.random.default_rng(seed)
    tasks = matrix.scores.shape[1]
    found = []
    for start in range(0, count, CHUNK):
        drawn = generator.integers(0, tasks, (min(CHUNK, count - start), tasks))
        found.append(race_all(matrix.scores[:, drawn].transpose(1, 0, 2), matrix.parents, alpha, generator))
    return average(found)


def simulated(variants: int, tasks: int, alpha: float, count: int, seed: int) -> Found:
    """Mean over drawn campaigns: tasks are easy or hard (Beta(1, 1)), programs differ, children resemble parents.

    The logit of a variant's chance at a task is the task's, plus its own strength, which is its parent's plus a normal
    step (sd 0.3) that hurts on average (mean -0.1): most edits do. A child keeps each of its parent's outcomes with a
    chance of 0.6. Parents are drawn from the better half. A campaign of which the best and the second are equal has no
    true best beyond the earlier one.
    """
    generator = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        ease = np.log(1 / generator.beta(1, 1, tasks).clip(0.02, 0.98) - 1)
        strength, parents = np.zeros(variants), [0] * variants
        scores = np.zeros((1, variants, tasks))
        for number in range(variants):
            half = np.argsort(-strength[:number], kind="stable")[: max(1, number // 2)]
            parents[number] = int(generator.choice(half)) if number else 0
            strength[number] = strength[parents[number]] + (generator.normal(-0.1, 0.3) if number else -0.5)
            fresh = generator.random(tasks) < 1 / (1 + np.exp(-ease - strength[number]))
            kept = generator.random(tasks) < (0.6 if number else 0.0)
            scores[0, number] = np.where(kept, scores[0, parents[number]], fresh)
        found.append(race_all(scores, parents, alpha, generator))
    return average(found)


def average(found: Sequence[Found]) -> Found:
    names = ("used", "same", "lost", "regret")
    return Found(*(float(np.mean([getattr(one, name) for one in found])) for name in names))


def matrices(path: Path) -> list[Matrix]:
    """One per campaign with at least ten variants that ran every validation task, and all of them one after another."""
    found = []
    with open_archive(path) as archive:
        for campaign in sorted(archive.campaigns(), key=lambda one: one.created):
            rows: list[list[float]] = []
            tasks: tuple[str, ...] = ()
            place: dict[str, int] = {}
            parents: list[int] = []
            for variant in archive.variants(campaign.id):
                full = [e for e in archive.evaluations(variant.id) if e.split == "validation" and e.state == "finished"]
                if len(full) != 1 or variant.status != "evaluated":
                    continue
                tasks = tasks or tuple(sorted(full[0].tasks))
                scores = {outcome.task: outcome.score for outcome in archive.outcomes(full[0].id)}
                place[variant.id] = len(rows)
                parents.append(place.get(variant.parent or "", 0))
                rows.append([scores[task] for task in tasks])
            if len(rows) >= 10:
                found.append((tasks, Matrix(campaign.name, np.array(rows), parents)))
    alike = [matrix for tasks, matrix in found if tasks == found[0][0]]
    return [matrix for _, matrix in found] + ([joined(alike)] if len(alike) > 1 else [])


def joined(parts: Sequence[Matrix]) -> Matrix:
    """Campaigns over the same tasks as one long campaign; the seed program stands in it once."""
    scores, parents = [parts[0].scores], list(parts[0].parents)
    for part in parts[1:]:
        before = len(parents) - 1
        scores.append(part.scores[1:])
        parents += [parent + before if parent else 0 for parent in part.parents[1:]]
    return Matrix("all, one after another", np.concatenate(scores), parents)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--archive", type=Path, help="read the outcomes of its campaigns")
    parser.add_argument("--alpha", type=float, nargs="+", default=[0.05, 0.1])
    parser.add_argument("--resamplings", type=int, default=1000)
    parser.add_argument("--campaigns", type=int, default=200, help="drawn ones")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    started = time.process_time()
    rows = []
    for alpha in options.alpha:
        for matrix in matrices(options.archive) if options.archive else ():
            found = resampled(matrix, alpha, options.resamplings, options.seed)
            rows.append(row(matrix.name, *matrix.scores.shape, alpha, found))
        for variants, tasks in ((50, 100), (100, 200)):
            rows.append(
                row("drawn", variants, tasks, alpha, simulated(variants, tasks, alpha, options.campaigns, options.seed))
            )
    print(machine())
    print()
    headers = (
        "campaign",
        "variants",
        "tasks",
        "alpha",
        "evaluations saved",
        "same choice",
        "best called off",
        "regret",
    )
    print(table(headers, rows))
    spent = time.process_time() - started
    print(f"\n{options.resamplings:,} resamplings, {options.campaigns} drawn campaigns, {spent:.0f} s of processor")


def row(name: str, variants: int, tasks: int, alpha: float, found: Found) -> tuple[str, ...]:
    shares = (f"{share:.1%}" for share in (1 - found.used, found.same, found.lost))
    return (name, str(variants), str(tasks), f"{alpha:g}", *shares, f"{found.regret:.5f}")


if __name__ == "__main__":
    main()
