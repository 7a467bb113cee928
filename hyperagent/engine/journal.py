"""What the engine reads back out of a campaign's journal: elapsed time and the evidence a mutation was given."""

from __future__ import annotations

import json

from hyperagent.protocols import Archive
from hyperagent.types import ProgramTree, Variant

SESSION_STARTED = "session_started"
MUTATION_STARTED = "mutation_started"


def elapsed(archive: Archive, campaign: str) -> float:
    """Wall-clock seconds of all sessions of a campaign, each from its start to its end.

    A session that was killed counts up to the last thing it wrote: nothing else of it is known. What came after the end
    of one, a reading of the hidden test or the wait for a resume, does not count.
    """
    return sum(end - start.created for start, end in archive.sessions(campaign, SESSION_STARTED))


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
