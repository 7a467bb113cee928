"""What somebody who watches a running campaign asks again and again: small questions, answered from indexes."""

from __future__ import annotations

import json
from collections.abc import Sequence

from hyperagent.archive import records
from hyperagent.archive.schema import Database
from hyperagent.types import EvaluationProgress, Event

_PULSE = """
    SELECT (SELECT coalesce(max(sequence), 0) FROM event) AS events,
        (SELECT coalesce(max(id), 0) FROM model_call) AS calls
"""
_NEWEST = """
    SELECT * FROM event WHERE campaign = :campaign AND kind <> 'outcome_added' ORDER BY sequence DESC LIMIT :most
"""
_STARTS = "SELECT * FROM event WHERE campaign = :campaign AND kind = :kind ORDER BY sequence"
_END = """
    SELECT created FROM event WHERE campaign = :campaign AND sequence >= :first AND sequence < :next
        AND kind = 'campaign_state' AND payload NOT LIKE :running ORDER BY sequence DESC LIMIT 1
"""
_LAST = """
    SELECT created FROM event WHERE campaign = :campaign AND sequence >= :first AND sequence < :next
        AND kind <> 'campaign_state' ORDER BY sequence DESC LIMIT 1
"""
_PROGRESS = """
    SELECT e.id, e.variant, e.benchmark, e.split, e.state, e.screen, e.tasks, e.score,
        (SELECT count(*) FROM outcome o WHERE o.evaluation = e.id) AS done
    FROM evaluation e WHERE e.variant = :variant ORDER BY e.id
"""
_NO_SEQUENCE = 2**62


class PulseReads:
    """The methods of :class:`hyperagent.protocols.Archive` that ``watch`` polls."""

    _database: Database

    def pulse(self) -> tuple[int, int]:
        """Numbers of the newest event and the newest model call of the whole archive; two look-ups in an index."""
        with self._database.read() as rows:
            (found,) = rows.query(_PULSE)
        return int(found["events"]), int(found["calls"])

    def newest_events(self, campaign: str, most: int) -> Sequence[Event]:
        """The last ``most`` events of a campaign (its id), oldest first; those of single tasks are left out."""
        with self._database.read() as rows:
            found = rows.query(_NEWEST, campaign=campaign, most=most)
        return [records.event(row) for row in reversed(found)]

    def sessions(self, campaign: str, kind: str) -> Sequence[tuple[Event, float]]:
        """The campaign's sessions: the event of that kind with which each began, and when it ended (Unix seconds).

        What is journalled after the end (a reading of the hidden test) is no part of it. A session that was killed, or
        still runs, ends with the last thing it wrote.

        Args:
            campaign: Its id.
            kind: The kind of event that begins a session.
        """
        with self._database.read() as rows:
            starts = [records.event(row) for row in rows.query(_STARTS, campaign=campaign, kind=kind)]
            found = []
            for number, start in enumerate(starts):
                after = starts[number + 1].sequence if number + 1 < len(starts) else _NO_SEQUENCE
                within = {"campaign": campaign, "first": start.sequence, "next": after}
                last = rows.query(_END, running='%"state":"running"%', **within) or rows.query(_LAST, **within)
                found.append((start, float(last[0]["created"])))
        return found

    def evaluation_progress(self, variant: str) -> Sequence[EvaluationProgress]:
        """How far the evaluations of a variant (its id) are, in the order of their start; no outcome is read."""
        with self._database.read() as rows:
            found = rows.query(_PROGRESS, variant=variant)
        return [EvaluationProgress(**{**row, "tasks": len(json.loads(row["tasks"]))}) for row in found]
