"""Outcomes of an equal program under equal conditions: linked, not paid again (``search.reuse_evaluations``)."""

from __future__ import annotations

from dataclasses import replace

from hyperagent.protocols import Archive
from hyperagent.types import Evaluation, Spend, Variant

EVALUATION_REUSED = "evaluation_reused"


def take_over(archive: Archive, variant: Variant, evaluation: Evaluation) -> None:
    """Fill a running evaluation with the outcomes that the archive has of the same tree in the same context.

    The copies cost nothing and took no time; the journal says whose they are (``evaluation_reused``, its ``origin`` is
    the variant whose model calls were recorded). Cut off half-way, the next call goes on. The
    evaluation still has to be finished, by whatever rule ends it.
    """
    if evaluation.state != "running":
        return
    known = archive.find_evaluation(variant.tree, evaluation.benchmark, evaluation.split, evaluation.context)
    if known is None or known.state != "finished" or known.variant == variant.id:
        return
    source = archive.variant(known.variant)
    done = {outcome.task for outcome in archive.outcomes(evaluation.id)}
    if not done:
        payload = {"variant": variant.id, "evaluation": evaluation.id, "origin": origin_of(archive, source, known).id}
        archive.append_event(variant.campaign, EVALUATION_REUSED, payload)
    elif not _reused(archive, variant, evaluation):
        return  # its own tasks have begun to run: outcomes of two origins are not mixed
    for outcome in archive.outcomes(known.id):
        if outcome.task not in done:
            archive.add_outcome(evaluation.id, replace(outcome, spend=Spend(), seconds=0.0))


def origin_of(archive: Archive, variant: Variant, evaluation: Evaluation) -> Variant:
    """The variant that ran an evaluation's tasks: its own, unless the journal says that they were taken over."""
    origin = _reused(archive, variant, evaluation)
    return archive.variant(origin) if origin else variant


def _reused(archive: Archive, variant: Variant, evaluation: Evaluation) -> str:
    for event in archive.events_of(variant.campaign, EVALUATION_REUSED):
        if event.payload["evaluation"] == evaluation.id:
            return str(event.payload["origin"])
    return ""
