"""Scores read back out of an archive, and the hidden test, which is read only when asked for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from hyperagent.assembly.wiring import Wiring, load_benchmarks, stored_config
from hyperagent.errors import UsageError
from hyperagent.protocols import Archive, Observer
from hyperagent.types import Evaluation, Interval, PairedTest, Scorecard, Split, Variant

if TYPE_CHECKING:
    from hyperagent.evaluation.regressions import Regression

Scores = Mapping[str, tuple[list[str], list[float]]]


def best(archive: Archive, campaign: str) -> Variant | None:
    """The fully evaluated variant with the highest validation score; the earliest of equals."""
    scored = [v for v in archive.variants(campaign) if v.status == "evaluated"]
    return max(scored, key=lambda v: (v.score or 0.0, -v.step), default=None)


def scores(archive: Archive, variant: Variant, split: Split) -> Scores:
    """Benchmark -> (task ids, scores in [0, 1]), both in task order; empty where nothing ran."""
    found: dict[str, tuple[list[str], list[float]]] = {}
    for evaluation in archive.evaluations(variant.id):
        if evaluation.split == split:
            outcomes = [o for o in archive.outcomes(evaluation.id) if o.status != "lost"]
            found[evaluation.benchmark] = ([o.task for o in outcomes], [o.score for o in outcomes])
    return found


def interval(archive: Archive, variant: Variant, split: Split = "validation") -> Interval | None:
    """Mean score over all tasks of a split that ran, with its 95% interval; a raced one's is what is certain."""
    return intervals(archive, variant.campaign, [variant], split).get(variant.id)


def intervals(
    archive: Archive, campaign: str, variants: Sequence[Variant] | None = None, split: Split = "validation"
) -> dict[str, Interval]:
    """Variant id -> :func:`interval`, for those that ran; in one query, but for campaigns that raced.

    Args:
        campaign: Its id.
        variants: Those wanted, of that campaign; None = all.
    """
    wanted = None if variants is None else [variant.id for variant in variants]
    found = {name: _interval(counts) for name, counts in archive.score_counts(campaign, split, wanted).items()}
    search = archive.campaign(campaign).config.get("search", {})
    if split == "validation" and search.get("racing"):
        for name in found:
            if (certain := _raced(archive, name)) is not None:
                found[name] = certain
    return found


def _raced(archive: Archive, variant: str) -> Interval | None:
    """What is certain of a variant whose race was called off; None where none was."""
    from hyperagent.evaluation.eprocess import raced_interval

    started = [e for e in archive.evaluations(variant) if e.split == "validation"]
    if all(e.state != "raced" for e in started):
        return None
    ran = [[outcome.score for outcome in archive.outcomes(e.id)] for e in started]
    return raced_interval([score for one in ran for score in one], sum(len(e.tasks) for e in started))


def _interval(counts: Mapping[float, int]) -> Interval:
    from hyperagent.evaluation.proportions import wilson

    if counts.keys() <= {0.0, 1.0}:
        return wilson(counts.get(1.0, 0), sum(counts.values()))
    from hyperagent.evaluation.statistics import mean_interval

    return mean_interval([score for score, tasks in counts.items() for _ in range(tasks)])


def paired(archive: Archive, a: Variant, b: Variant, split: Split) -> PairedTest:
    """Exact McNemar of ``b`` against ``a`` over the tasks that both ran.

    Raises:
        UsageError: They share no task of that split.
    """
    from hyperagent.evaluation.proportions import mcnemar

    left, right = scores(archive, a, split), scores(archive, b, split)
    pairs: list[tuple[float, float]] = []
    for name in left.keys() & right.keys():
        other = dict(zip(*right[name], strict=True))
        pairs += [(value, other[task]) for task, value in zip(*left[name], strict=True) if task in other]
    if not pairs:
        raise UsageError(
            f"variants {a.id} and {b.id} share no {split} task",
            hint="evaluate both on the same benchmark first" if split != "test" else "`hyperagent test` both first",
        )
    return mcnemar([x for x, _ in pairs], [y for _, y in pairs])


def scorecards(archive: Archive, variant: Variant, split: Split) -> Mapping[str, Scorecard]:
    """Benchmark -> all metrics of its pack, and what cannot solve tasks scores on the same ones."""
    config = stored_config(archive.campaign(variant.campaign))
    packs = {pack.name: pack for _, pack in load_benchmarks(config, None)}
    found = {}
    for evaluation in archive.evaluations(variant.id):
        if evaluation.split == split:
            tasks = {task.id: task for task in packs[evaluation.benchmark].tasks(split)}
            outcomes = archive.outcomes(evaluation.id)
            found[evaluation.benchmark] = packs[evaluation.benchmark].scorecard(
                [tasks[o.task] for o in outcomes], outcomes
            )
    return found


def evaluate_test(
    variants: Sequence[Variant], archive: Archive, observer: Observer, limit: int | None = None
) -> Mapping[str, list[Evaluation]]:
    """Evaluate variants on the hidden test split; what ran before is not run again. Every reading is journalled.

    Args:
        limit: Tasks per benchmark instead of the config's ``test``.

    Returns:
        Variant id -> its test evaluations, one per benchmark.
    """
    from hyperagent.engine.budget import FreeMeter
    from hyperagent.engine.evaluate import Evaluator

    found: dict[str, list[Evaluation]] = {}
    for campaign in dict.fromkeys(variant.campaign for variant in variants):
        config = stored_config(archive.campaign(campaign))
        if limit is not None:
            config = replace(config, benchmarks=tuple(replace(b, test=limit) for b in config.benchmarks))
        with Wiring(config, archive, observer) as wiring:
            evaluator = Evaluator(wiring.parts, FreeMeter(), threading.Event())
            for variant in (v for v in variants if v.campaign == campaign):
                if not variant.commit:
                    raise UsageError(f"variant {variant.id} ({variant.status}) has no program to test")
                archive.append_event(campaign, "test_read", {"variant": variant.id, "limit": limit})
                evaluator.split(variant, "test", _every_quarter(observer, variant))
                found[variant.id] = [e for e in archive.evaluations(variant.id) if e.split == "test"]
    return found


def _every_quarter(observer: Observer, variant: Variant) -> Callable[[str], None]:
    """Passes on ``"test 30/120"`` lines at each quarter only."""

    def report(text: str) -> None:
        done, _, total = text.removeprefix("test ").partition("/")
        if int(done) in {int(total) * quarter // 4 for quarter in range(5)}:
            observer.message(f"hidden test of step {variant.step}: {done}/{total} tasks")

    return report


def campaign_regressions(archive: Archive, campaign: str) -> list[Regression]:
    """Edits of a campaign after which their lineage got worse on validation, the largest loss first."""
    from hyperagent.evaluation.regressions import regressions

    variants = archive.variants(campaign)
    found = {}
    for variant in variants:
        if variant.score is not None:
            tables = scores(archive, variant, "validation")
            found[variant.id] = {
                (name, task): value for name, pair in tables.items() for task, value in zip(*pair, strict=True)
            }
    return regressions(variants, found)
