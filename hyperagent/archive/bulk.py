"""A whole campaign in a few statements: what a page about thousands of variants is made from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from hyperagent.archive import records
from hyperagent.archive.lineage import Lineage
from hyperagent.archive.schema import Database
from hyperagent.types import Evaluation, TaskResult

_RESULTS = """
    SELECT o.evaluation, o.task, o.status, o.score, substr(o.error, 1, :longest) AS error
    FROM variant v JOIN evaluation e ON e.variant = v.id JOIN outcome o ON o.evaluation = e.id
    WHERE v.campaign = :campaign AND (e.split <> 'test' OR :hidden) ORDER BY o.evaluation, o.id
"""
_EVALUATIONS = """
    SELECT e.* FROM variant v JOIN evaluation e ON e.variant = v.id WHERE v.campaign = :campaign ORDER BY e.id
"""
_ANSWERS = """
    SELECT o.evaluation, count(*) AS answers, count(DISTINCT o.prediction) AS different
    FROM variant v JOIN evaluation e ON e.variant = v.id JOIN outcome o ON o.evaluation = e.id
    WHERE v.campaign = :campaign AND e.split <> 'test' GROUP BY 1
"""
_KINDS = "SELECT kind, count(*) AS many FROM event WHERE campaign = :campaign GROUP BY 1 ORDER BY 1"
_NEWEST = "SELECT coalesce(max(sequence), 0) AS newest FROM event WHERE campaign = :campaign"


class BulkReads:
    """The methods of :class:`hyperagent.protocols.Archive` that read all of a campaign at once."""

    _database: Database
    _lineage: Lineage

    def campaign_evaluations(self, campaign: str) -> Sequence[Evaluation]:
        with self._database.read() as rows:
            return [records.evaluation(row) for row in rows.query(_EVALUATIONS, campaign=campaign)]

    def campaign_results(self, campaign: str, *, hidden: bool = False, longest: int = 200) -> Iterator[TaskResult]:
        with self._database.read() as rows:
            for evaluation, task, status, score, error in rows.each_of(
                _RESULTS, campaign=campaign, hidden=hidden, longest=longest
            ):
                text = error.decode("utf-8", "replace") if isinstance(error, bytes) else error
                yield TaskResult(evaluation, task, status, score, text)

    def campaign_answers(self, campaign: str) -> Mapping[int, tuple[int, int]]:
        with self._database.read() as rows:
            return {key: (every, different) for key, every, different in rows.each_of(_ANSWERS, campaign=campaign)}

    def event_counts(self, campaign: str) -> Mapping[str, int]:
        with self._database.read() as rows:
            return {row["kind"]: int(row["many"]) for row in rows.query(_KINDS, campaign=campaign)}

    def newest_event(self, campaign: str) -> int:
        with self._database.read() as rows:
            return int(rows.query(_NEWEST, campaign=campaign)[0]["newest"])

    def diffs(self, trees: Sequence[tuple[str, str]]) -> Iterator[str]:
        return self._lineage.diffs(trees)
