"""The part of the archive that records model calls, and the blobs they and everything else stand in."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from hyperagent.archive import records
from hyperagent.archive.blobs import Blobs, damaged_blob, digest_of
from hyperagent.archive.origin import Origin
from hyperagent.archive.schema import Row, Transaction
from hyperagent.types import CallKey, Json, ModelCall, Spend

BREAKDOWNS = ("model", "purpose", "variant", "day")
"""What :meth:`CallStore.call_totals` can break a campaign's calls down by."""

_SUMS = """
    count(*) - sum(CASE WHEN c.cached THEN 1 ELSE 0 END) AS calls,
    sum(CASE WHEN c.cached THEN 1 ELSE 0 END) AS cached_calls,
    sum(CASE WHEN c.state = 'failed' THEN 1 ELSE 0 END) AS failed,
    sum(CASE WHEN c.state = 'reserved' AND NOT c.cached THEN 1 ELSE 0 END) AS unsettled,
    sum(CASE WHEN c.cached THEN 0 ELSE c.prompt_tokens END) AS prompt_tokens,
    sum(CASE WHEN c.cached THEN 0 ELSE c.completion_tokens END) AS completion_tokens,
    sum(CASE WHEN c.cached THEN 0 ELSE c.cost END) AS cost,
    sum(CASE WHEN c.cached THEN 0 ELSE c.seconds END) AS seconds
"""
_OF = {
    "campaign": "WHERE c.campaign = :value",
    "variant": "WHERE c.variant = :value",
    "unsettled": "WHERE c.campaign = :value AND c.state = 'reserved' AND NOT c.cached",
    # Of a task's calls only the newest settled one of each number: what the next attempt is served from the record.
    "task": """WHERE c.job = :value AND c.task = :task AND c.state = 'settled' AND c.id IN (
        SELECT max(id) FROM model_call WHERE job = :value AND task = :task AND state = 'settled' GROUP BY sequence)""",
}
_BY = {"model": "c.model", "purpose": "c.purpose", "variant": "c.variant"}
# A row of model_call has no time of its own: a call belongs to the moment at which its task's outcome was journalled,
# where there is none (a mutation, a call that was cut off) to the moment at which its variant's step began.
_BY_DAY = f"""
    WITH moment AS (
        SELECT CAST(substr(subject, 9) AS INTEGER) AS outcome, max(created) AS created
        FROM event WHERE campaign = :value AND kind = 'outcome_added' GROUP BY 1
    )
    SELECT CAST(coalesce(m.created, v.created) AS BIGINT) / 86400 AS name, {_SUMS}
    FROM model_call c
    LEFT JOIN variant v ON v.id = c.variant
    LEFT JOIN moment m ON m.outcome = (
        SELECT max(o.id) FROM evaluation e JOIN outcome o ON o.evaluation = e.id AND o.task = c.task
        WHERE e.variant = c.variant AND c.job = v.campaign || '/' || v.step || '/' || e.benchmark || '/' || e.split
    )
    WHERE c.campaign = :value GROUP BY 1 ORDER BY 1
"""


class CallStore(Origin):
    """Implements :class:`hyperagent.protocols.CallRecorder`."""

    _blobs: Blobs

    def reserve_call(self, call: ModelCall) -> None:
        """Store a call before it is made; raises ValueError where its state is not ``reserved``."""
        if call.state != "reserved":
            raise ValueError(f"a call is reserved before it is {call.state}")
        with self._database.write() as rows:
            rows.insert("model_call", **records.call_row(call))

    def settle_call(self, call: ModelCall, request: bytes, reply: bytes) -> None:
        """Store how the newest reserved call under that key ended; an empty ``reply`` is stored as none.

        Raises:
            ValueError: No call is reserved under that key, or the new state is ``reserved``.
        """
        if call.state == "reserved":
            raise ValueError("a settled call is `settled` or `failed`")
        blobs = {name: self._packed(data) for name, data in (("request_blob", request), ("reply_blob", reply)) if data}
        with self._database.write() as rows:
            row = rows.first("model_call", order="id", last=True, state="reserved", **_key(call.key))
            if row is None:
                raise ValueError(f"no call is reserved under {call.key}")
            for blob in blobs.values():
                _register(rows, blob)
            digests = {name: blob["digest"] for name, blob in blobs.items()}
            rows.update(
                "model_call", row, **{**records.call_row(call), "request_blob": "", "reply_blob": "", **digests}
            )

    def recorded_call(self, key: CallKey) -> ModelCall | None:
        with self._database.read() as rows:
            row = rows.first("model_call", order="id", last=True, state="settled", **_key(key))
        # A call that came without its blobs (a bundle made without them) is counted, but not on record.
        return None if row is None or not row["request_blob"] else records.call(row)

    def cached_call(self, request_hash: str) -> ModelCall | None:
        """The first settled, uncached call with that request hash; never one of an imported campaign."""
        wanted: Row = {"request_hash": request_hash, "state": "settled", "cached": False}
        with self._database.read() as rows:
            if foreign := self.imported_campaigns(rows):
                found = (row for row in rows.find("model_call", order="id", **wanted) if row["campaign"] not in foreign)
                row = next(found, None)
            else:
                row = rows.first("model_call", order="id", **wanted)
        return None if row is None else records.call(row)

    def calls(self, *, campaign: str = "", variant: str = "", job: str = "") -> Sequence[ModelCall]:
        """Calls that match all the ids given, in the order of their reservation."""
        wanted: dict[str, Any] = {
            name: value for name, value in (("campaign", campaign), ("variant", variant), ("job", job)) if value
        }
        with self._database.read() as rows:
            found = rows.find("model_call", order="id", **wanted)
        return [records.call(row) for row in found]

    def spend(self, campaign: str) -> Spend:
        """Settled and failed calls as billed, reserved ones at their reserved size; cached ones only counted.

        Args:
            campaign: A campaign's id.
        """
        return self._used("campaign", campaign)[0]

    def variant_spend(self, variant: str) -> tuple[Spend, float]:
        """The same of one variant, whatever its calls were made for; and the seconds of model time."""
        return self._used("variant", variant)

    def task_spend(self, job: str, task: str) -> tuple[Spend, float]:
        """What the recorded calls of a task used that its next attempt is served again; and their model seconds."""
        return self._used("task", job, task=task)

    def call_totals(self, campaign: str, by: str = "") -> Sequence[Mapping[str, Json]]:
        """Sums over a campaign's calls, in one statement.

        Args:
            campaign: Its id.
            by: One of :data:`BREAKDOWNS`; empty = one row; ``unsettled`` = one row of the calls that are in flight or
                were cut off.

        Returns:
            Rows of ``name`` (a day as ``2026-01-31``, UTC; empty for one row), ``calls``, ``cached_calls`` (which cost
            nothing and are in no other member), of the calls those that ``failed`` and those ``unsettled``,
            ``prompt_tokens``, ``completion_tokens``, ``cost``, ``seconds`` of model time.
        """
        if by not in ("", "unsettled", *BREAKDOWNS):
            raise ValueError(f"calls are broken down by one of {BREAKDOWNS}, not {by!r}")
        with self._database.read() as rows:
            if by == "day":
                found = rows.query(_BY_DAY, value=campaign)
                return [{**row, "name": _day(row["name"])} for row in found]
            if by in _BY:
                sql = f"SELECT {_BY[by]} AS name, {_SUMS} FROM model_call c {_OF['campaign']} GROUP BY 1 ORDER BY 1"
                return rows.query(sql, value=campaign)
            return [{"name": "", **self._sums(rows, by or "campaign", campaign)}]

    def _used(self, scope: str, value: str, **others: str) -> tuple[Spend, float]:
        with self._database.read() as rows:
            sums = self._sums(rows, scope, value, **others)
        members = {name: sums[name] for name in ("calls", "cached_calls", "prompt_tokens", "completion_tokens", "cost")}
        return Spend(**members), sums["seconds"]

    @staticmethod
    def _sums(rows: Transaction, scope: str, value: str, **others: str) -> Row:
        (sums,) = rows.query(f"SELECT {_SUMS} FROM model_call c {_OF[scope]}", value=value, **others)
        # Over no row at all a sum is NULL; whole numbers stay whole whatever type the database adds them up in.
        return {name: float(n or 0) if name in ("cost", "seconds") else int(n or 0) for name, n in sums.items()}

    def put_blob(self, data: bytes) -> str:
        digest = digest_of(data)
        with self._database.read() as rows:
            known = rows.first("blob", digest=digest) is not None
        if not known:
            blob = self._packed(data)
            with self._database.write(durable=False) as rows:  # as lasting as whatever names its digest
                _register(rows, blob)
        return digest

    def get_blob(self, digest: str) -> bytes:
        """The bytes stored under that digest; raises ArchiveDamaged where they are missing or others."""
        with self._database.read() as rows:
            blob = rows.first("blob", digest=digest)
        if blob is None:
            raise damaged_blob(digest, "is missing")
        return self._blobs.unpack(digest, blob["data"])

    def _packed(self, data: bytes) -> Row:
        self._database.must_write()
        return {"digest": digest_of(data), "size": len(data), "data": self._blobs.pack(data)}


def _day(number: int | None) -> str:
    return "unknown" if number is None else time.strftime("%Y-%m-%d", time.gmtime(number * 86400))


def _key(key: CallKey) -> dict[str, str | int]:
    return {"job": key.job, "task": key.task, "sequence": key.sequence}


def _register(rows: Transaction, blob: Row) -> None:
    if rows.first("blob", digest=blob["digest"]) is None:
        rows.insert("blob", **blob)
