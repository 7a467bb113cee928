"""The part of the archive that records model calls, and the blobs they and everything else stand in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hyperagent.archive import records
from hyperagent.archive.blobs import Blobs, damaged_blob, digest_of
from hyperagent.archive.schema import Database, Row, Transaction
from hyperagent.types import CallKey, ModelCall, Spend

_SPEND = """
    SELECT cached, count(*) AS calls, sum(prompt_tokens) AS prompt, sum(completion_tokens) AS completion,
           sum(cost) AS cost
    FROM model_call WHERE campaign = :campaign GROUP BY cached
"""


class CallStore:
    """Implements :class:`hyperagent.protocols.CallRecorder`."""

    _database: Database
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
        return None if row is None else records.call(row)

    def cached_call(self, request_hash: str) -> ModelCall | None:
        """The first settled, uncached call with that request hash."""
        with self._database.read() as rows:
            row = rows.first("model_call", order="id", request_hash=request_hash, state="settled", cached=False)
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
        total = Spend()
        with self._database.read() as rows:
            for row in rows.query(_SPEND, campaign=campaign):
                if row["cached"]:
                    total += Spend(cached_calls=row["calls"])
                else:
                    total += Spend(row["calls"], 0, int(row["prompt"]), int(row["completion"]), float(row["cost"]))
        return total

    def put_blob(self, data: bytes) -> str:
        digest = digest_of(data)
        with self._database.read() as rows:
            known = rows.first("blob", digest=digest) is not None
        if not known:
            blob = self._packed(data)
            with self._database.write() as rows:
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


def _key(key: CallKey) -> dict[str, str | int]:
    return {"job": key.job, "task": key.task, "sequence": key.sequence}


def _register(rows: Transaction, blob: Row) -> None:
    if rows.first("blob", digest=blob["digest"]) is None:
        rows.insert("blob", **blob)
