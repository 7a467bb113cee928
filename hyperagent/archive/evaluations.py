"""The part of the archive that keeps evaluations and the outcomes of their tasks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from hyperagent.archive import records
from hyperagent.archive.digests import canonical
from hyperagent.archive.origin import Origin
from hyperagent.archive.references import find_variant
from hyperagent.archive.schema import Row, Transaction
from hyperagent.types import Evaluation, Outcome, SandboxInfo, Split

ENDED = ("finished", "screened_out", "raced")
_COUNTS = """
    SELECT e.variant, o.score, count(*) AS tasks
    FROM evaluation e JOIN outcome o ON o.evaluation = e.id
    WHERE e.split = :split AND o.status <> 'lost' {wanted}
        AND e.variant IN (SELECT id FROM variant WHERE campaign = :campaign)
        AND e.id = (SELECT max(n.id) FROM evaluation n
            WHERE n.variant = e.variant AND n.benchmark = e.benchmark AND n.split = e.split)
    GROUP BY e.variant, o.score
"""


class EvaluationStore(Origin):
    """The evaluation methods of :class:`hyperagent.protocols.Archive`."""

    def start_evaluation(
        self,
        variant: str,
        benchmark: str,
        split: Split,
        tasks: Sequence[str],
        screen: int,
        context: str,
        sandbox: SandboxInfo,
    ) -> Evaluation:
        """The evaluation under these conditions where there is one, running or ended, else a new one.

        Raises:
            NotFoundError: No such variant.
            ValueError: No task, a task named twice, or a screen larger than the task list.
        """
        if not tasks or len(set(tasks)) != len(tasks) or not 0 <= screen <= len(tasks):
            raise ValueError("an evaluation needs tasks, each once, and a screen that is part of them")
        with self._database.write(durable=False) as rows:
            owner = find_variant(rows, variant)
            conditions = {"variant": owner["id"], "benchmark": benchmark, "split": split, "context": context}
            row = rows.first("evaluation", **conditions)
            if row is None:
                row = rows.insert(
                    "evaluation",
                    **conditions,
                    tasks=canonical(list(tasks)),
                    screen=screen,
                    state="running",
                    sandbox=canonical(asdict(sandbox)),
                    score=None,
                )
                self._journal(rows, owner["campaign"], "evaluation_started", row)
        return records.evaluation(row)

    def add_outcome(self, evaluation: int, outcome: Outcome) -> None:
        """Store one task's outcome. A ``lost`` one may be replaced: the task was never fairly run.

        Raises:
            ValueError: No such running evaluation, no planned task, a task that has its outcome, a score that is no
                number in [0, 1].
        """
        if not (math.isfinite(outcome.score) and 0.0 <= outcome.score <= 1.0):
            raise ValueError(f"the score of task {outcome.task!r} is {outcome.score}, not in [0, 1]")
        with self._database.write() as rows:
            owner = _running(rows, evaluation)
            if outcome.task not in records.evaluation(owner).tasks:
                raise ValueError(f"evaluation {evaluation} does not plan task {outcome.task!r}")
            before = rows.first("outcome", evaluation=evaluation, task=outcome.task)
            values = {**records.outcome_row(outcome), "evaluation": evaluation}
            if before is None:
                row = rows.insert("outcome", **values)
            elif before["status"] == "lost":
                row = rows.update("outcome", before, **values)
            else:
                raise ValueError(f"evaluation {evaluation} has an outcome of task {outcome.task!r} already")
            campaign = find_variant(rows, owner["variant"])["campaign"]
            payload = {name: row[name] for name in ("evaluation", "task", "status", "score")}
            rows.journal(campaign, "outcome_added", payload, f"outcome:{row['id']}", row["seal"])

    def finish_evaluation(self, evaluation: int, state: str, score: float) -> Evaluation:
        """Close an evaluation as ``finished``, ``screened_out`` or ``raced``.

        Raises:
            ValueError: Not running, another state, or an outcome is still missing (of the screen, where screened
                out; the first, where raced).
        """
        if state not in ENDED:
            raise ValueError(f"an evaluation ends as one of {ENDED}, not {state!r}")
        with self._database.write(durable=False) as rows:  # it can be added up again
            row = _running(rows, evaluation)
            needed = {"finished": None, "screened_out": row["screen"], "raced": 1}[state]
            planned = records.evaluation(row).tasks[:needed]
            done = {one["task"] for one in rows.find("outcome", evaluation=evaluation) if one["status"] != "lost"}
            missing = [task for task in planned if task not in done]
            if missing:
                raise ValueError(
                    f"evaluation {evaluation} lacks the outcome of {len(missing)} tasks, first {missing[0]!r}"
                )
            row = rows.update("evaluation", row, state=state, score=score)
            self._journal(rows, find_variant(rows, row["variant"])["campaign"], "evaluation_finished", row)
        return records.evaluation(row)

    def evaluations(self, variant: str) -> Sequence[Evaluation]:
        """In the order of their start."""
        with self._database.read() as rows:
            owner = find_variant(rows, variant)
            found = rows.find("evaluation", variant=owner["id"], order="id")
        return [records.evaluation(row) for row in found]

    def outcomes(self, evaluation: int) -> Sequence[Outcome]:
        """In the order of ``Evaluation.tasks``; raises ValueError where there is no such evaluation."""
        with self._database.read() as rows:
            owner = _evaluation(rows, evaluation)
            found = {row["task"]: row for row in rows.find("outcome", evaluation=evaluation)}
        return [records.outcome(found[task]) for task in records.evaluation(owner).tasks if task in found]

    def score_counts(
        self, campaign: str, split: Split, variants: Sequence[str] | None = None
    ) -> Mapping[str, Mapping[float, int]]:
        """Variant id -> score -> number of tasks with it, in one statement whatever the number of variants.

        Args:
            campaign: Its id.
            variants: Ids of those wanted; None = all.
        """
        values = {f"v{number}": variant for number, variant in enumerate(variants or ())}
        if variants is not None and not values:
            return {}
        wanted = f"AND e.variant IN ({', '.join(f':{name}' for name in values)})" if values else ""
        with self._database.read() as rows:
            found = rows.query(_COUNTS.format(wanted=wanted), campaign=campaign, split=split, **values)
        counts: dict[str, dict[float, int]] = {}
        for row in found:
            counts.setdefault(row["variant"], {})[row["score"]] = row["tasks"]
        return counts

    def find_evaluation(self, tree: str, benchmark: str, split: Split, context: str) -> Evaluation | None:
        """The first evaluation that ended, ``finished`` before any other end; never a running or imported one."""
        with self._database.read() as rows:
            foreign = self.imported_campaigns(rows)
            family = rows.find("variant", tree=tree) if tree else []
            owners = tuple(row["id"] for row in family if row["campaign"] not in foreign)
            conditions: Row = {"variant": owners, "benchmark": benchmark, "split": split, "context": context}
            for state in ENDED if owners else ():
                row = rows.first("evaluation", order="id", state=state, **conditions)
                if row is not None:
                    return records.evaluation(row)
        return None

    def _journal(self, rows: Transaction, campaign: str, kind: str, row: Row) -> None:
        names = ("id", "variant", "benchmark", "split", "state", "score")
        payload = {"evaluation" if name == "id" else name: row[name] for name in names}
        rows.journal(campaign, kind, payload, f"evaluation:{row['id']}", row["seal"])


def _evaluation(rows: Transaction, evaluation: int) -> Row:
    row = rows.first("evaluation", id=evaluation)
    if row is None:
        raise ValueError(f"there is no evaluation {evaluation}")
    return row


def _running(rows: Transaction, evaluation: int) -> Row:
    row = _evaluation(rows, evaluation)
    if row["state"] != "running":
        raise ValueError(f"evaluation {evaluation} is {row['state']} and never changes again")
    return row
