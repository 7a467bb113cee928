"""What a person must know before believing a campaign's scores."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hyperagent.assembly.reports import scorecards
from hyperagent.assembly.results import Results
from hyperagent.errors import HyperagentError
from hyperagent.protocols import Archive
from hyperagent.report.text import clean
from hyperagent.types import Campaign, Json, Variant

FEWEST_TASKS = 10
"""Below that, equal answers to all tasks may be right."""


def findings(
    archive: Archive, campaign: Campaign, variants: Sequence[Variant], results: Results, best: Variant | None
) -> list[Json]:
    """Lines of ``level`` (``warn`` or ``note``), ``text`` and ``steps`` concerned (the first ones)."""
    found = [
        *_sandboxes(results),
        *_outcomes(results),
        *_constant(archive, campaign, variants, results),
        *_controls(archive, best),
        *_hidden(archive, campaign),
    ]
    return [{"level": level, "text": clean(text, 500), "steps": steps[:20]} for level, text, steps in found]


Found = Iterator[tuple[str, str, list[int]]]


def _sandboxes(results: Results) -> Found:
    warnings = {text: 0 for one in results.evaluations for text in one.sandbox.warnings}
    for one in results.evaluations:
        for text in one.sandbox.warnings:
            warnings[text] += 1
    for text, count in warnings.items():
        yield "warn", f"the sandbox of {count} evaluations: {text}", []
    kinds = sorted({f"{one.sandbox.backend} ({one.sandbox.isolation})" for one in results.evaluations})
    if kinds:
        yield "note", f"isolation of the evaluations: {', '.join(kinds)}", []
    images = {one.sandbox.image for one in results.evaluations if one.split != "test"}
    if len(images) > 1:
        yield "warn", f"the evaluations ran in {len(images)} different sandbox images", []


def _outcomes(results: Results) -> Found:
    for place, one in enumerate(results.sets):
        ran = sum(results.counts.get((place, status), 0) for status in ("scored", "agent_error", "lost"))
        errors, lost = results.counts.get((place, "agent_error"), 0), results.counts.get((place, "lost"), 0)
        where = f"{one.benchmark} {one.split}"
        if errors:
            yield "note", f"{where}: {errors:,} of {ran:,} runs ended without an answer that counts, scored 0", []
        if lost:
            yield "warn", f"{where}: {lost:,} of {ran:,} runs were lost through no fault of a program, not scored", []


def _constant(archive: Archive, campaign: Campaign, variants: Sequence[Variant], results: Results) -> Found:
    answers = archive.campaign_answers(campaign.id)
    steps = {one.id: one.step for one in variants}
    same = {
        steps[one.variant]
        for one in results.evaluations
        if one.split == "validation" and answers.get(one.id, (0, 0))[0] >= FEWEST_TASKS and answers[one.id][1] == 1
    }
    if same:
        yield "warn", f"{len(same)} variants gave every validation task of a benchmark the same answer", sorted(same)


def _controls(archive: Archive, best: Variant | None) -> Found:
    if best is None:
        return
    try:
        cards = scorecards(archive, best, "validation")
    except (HyperagentError, KeyError) as error:  # an archive may be read where the benchmark's data is not
        why = error.message if isinstance(error, HyperagentError) else f"no benchmark or task {error}"
        yield "note", f"no controls beside the best score: {why}", []
        return
    for name, card in cards.items():
        for text in card.warnings:
            yield "warn", f"best variant on {name}: {text}", [best.step]
        rivals = {label: one.interval for label, one in card.measures.items() if one.kind == "control"}
        if rivals:
            told = ", ".join(f"{label} {one.estimate:.2f}" for label, one in rivals.items())
            yield "note", f"what cannot solve tasks scores on {name} validation: {told}", []


def _hidden(archive: Archive, campaign: Campaign) -> Found:
    read = archive.event_counts(campaign.id).get("test_read", 0)
    yield (
        "note",
        f"the hidden test was read {read} times; search scores favour the winner, the hidden test does not"
        if read
        else "the hidden test has not been read: ask it with `hyperagent test`; search scores favour the winner",
        [],
    )
