"""What the engine reads back out of a campaign's journal: elapsed time and the evidence a mutation was given."""

from __future__ import annotations

import json

from hyperagent.protocols import Archive
from hyperagent.types import ProgramTree, Variant

SESSION_STARTED = "session_started"
MUTATION_STARTED = "mutation_started"


def elapsed(archive: Archive, campaign: str) -> float:
    """Wall-clock seconds of all sessions of a campaign, each from its start to its last journalled event.

    A session that was killed counts up to the last thing it wrote: nothing else of it is known.
    """
    starts = archive.events_of(campaign, SESSION_STARTED)
    ends = [archive.last_event(campaign, after.sequence) for after in starts[1:]]
    ends += [archive.last_event(campaign)] if starts else []
    return sum(end.created - start.created for start, end in zip(starts, ends, strict=True) if end is not None)


def record_mutation(
    archive: Archive, variant: Variant, evidence: ProgramTree, iterations_left: int, model: str = ""
) -> None:
    """Journal exactly what a mutation is given, so that a resume and a replay give it the same again.

    The evidence is stored under its hash; ``model`` is the one that is asked.
    """
    data = json.dumps({path: content.decode() for path, content in evidence.items()}, sort_keys=True).encode()
    payload = {"variant": variant.id, "evidence": archive.put_blob(data), "iterations_left": iterations_left}
    payload |= {"model": model} if model else {}
    archive.append_event(variant.campaign, MUTATION_STARTED, payload, durable=False)  # no call has been paid yet


def recorded_mutation(archive: Archive, variant: Variant) -> tuple[ProgramTree, int] | None:
    """Evidence files and iterations left as journalled, or None where the mutation never began."""
    for event in archive.events_of(variant.campaign, MUTATION_STARTED):
        if event.payload["variant"] == variant.id:
            files = json.loads(archive.get_blob(event.payload["evidence"]))
            return {path: text.encode() for path, text in files.items()}, int(event.payload["iterations_left"])
    return None
