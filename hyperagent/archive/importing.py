"""A bundle into an archive: everything is checked before anything is written, and one transaction makes it count.

Order of effects: git objects and large blobs (nothing refers to them yet) -> one transaction with every row -> refs,
which :func:`~hyperagent.archive.health.recover` sets again where a crash came between. A process that is killed at any
instant leaves the whole campaign or none of it.

Ids of campaigns and variants stay: recorded calls are found by them, so a replay finds them here too. The numbers of
evaluations, outcomes, calls and events are given anew; seals and the chain of events are made again over them.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hyperagent.archive import health
from hyperagent.archive.blobs import Blobs
from hyperagent.archive.bundle import Bundle, damaged
from hyperagent.archive.digests import canonical, event_digest
from hyperagent.archive.exporting import EVIDENCE_EVENT, mentioned, needed_blobs
from hyperagent.archive.intake import Rows, read_rows
from hyperagent.archive.lineage import Lineage
from hyperagent.archive.names import check_name, free_name
from hyperagent.archive.origin import IMPORTED
from hyperagent.archive.programs import check_programs, read_objects
from hyperagent.archive.schema import Database, Row, Transaction, sealed
from hyperagent.errors import UsageError
from hyperagent.types import Json

_NUMBERED = ("evaluation", "outcome", "model_call", "promotion")
_EVALUATIONS = ("evaluation", "origin")
"""Members of payloads that are an evaluation's number."""
_BLOB_COLUMNS = {"outcome": ("transcript_blob",), "model_call": ("request_blob", "reply_blob")}


def import_bundle(database: Database, lineage: Lineage, blobs: Blobs, file: Path, name: str) -> Row:
    """Take a bundle in; returns the campaign's row.

    Args:
        name: What the campaign is called here; empty = as in the bundle. A taken name gets ``-2``, ``-3`` ...

    Raises:
        NotFoundError: No such file.
        ArchiveDamaged: The bundle is not whole, or holds what no archive would have written.
        UsageError: The campaign is in this archive already.
    """
    database.must_write()
    health.recover(database, lineage, blobs)  # what an import that was killed has left
    with Bundle(file) as bundle:
        rows = read_rows(bundle)
        campaign = rows["campaign"][0]
        wanted = name or campaign["name"]
        check_name(wanted)
        with database.read() as view:
            _refuse_second(view, campaign["id"])
        objects = read_objects(bundle)
        check_programs(rows["variant"], objects)
        _check_blobs(bundle, rows)
        lineage.add_objects(objects)
        with database.write() as view:
            changed = {**campaign, "name": free_name(wanted, view.column("campaign", "name"))}
            _insert(view, {**rows, "campaign": [changed]}, bundle.manifest)
            for blob in _packed(view, blobs, bundle):
                view.insert_all("blob", [blob])
    for row in rows["variant"]:
        if row["commit"]:
            lineage.restore_ref(changed["name"], row["step"], row["commit"])
    return sealed("campaign", changed)


def _refuse_second(view: Transaction, campaign: str) -> None:
    found = view.first("campaign", id=campaign)
    if found is not None:
        raise UsageError(
            f"this campaign is in the archive already: {found['name']!r} ({campaign})",
            hint=f"see `hyperagent ls {found['name']}`, or import into another --archive",
        )


def _check_blobs(bundle: Bundle, rows: Rows) -> None:
    """Every blob is there, is what its name says, and is one that the rows speak of."""
    present = set(bundle.names("blobs"))
    needed = needed_blobs(rows)
    if bundle.manifest.get("calls") is not False and (lacking := needed - present):
        raise damaged(f"the bundle lacks {len(lacking)} blobs, first {min(lacking)}")
    if foreign := present - needed - mentioned(rows):
        raise damaged(f"the bundle holds {len(foreign)} blobs that its rows never name, first {min(foreign)}")
    for digest in sorted(present):
        bundle.read(f"blobs/{digest}")
        if bundle.sha256(f"blobs/{digest}") != digest:
            raise damaged(f"blob {digest} in the bundle has other bytes")


def _packed(view: Transaction, blobs: Blobs, bundle: Bundle) -> Iterator[Row]:
    """Rows of the blobs that the archive lacks; large ones become files, which count once there is a row."""
    known = set(view.column("blob", "digest"))
    for digest in bundle.names("blobs"):
        if digest not in known:
            data = bundle.read(f"blobs/{digest}")
            yield {"digest": digest, "size": len(data), "data": blobs.pack(data)}


def _insert(view: Transaction, rows: Rows, manifest: Mapping[str, Json]) -> None:
    numbers = {table: _numbers(view, table, rows[table]) for table in _NUMBERED}
    present = {name.removeprefix("blobs/") for name in manifest["members"] if name.startswith("blobs/")}
    seals: dict[str, str] = {}
    for table in ("campaign", "variant", *_NUMBERED):
        new = [sealed(table, _moved(table, row, numbers, present)) for row in rows[table]]
        view.insert_all(table, new)
        seals.update({f"{table}:{row['id']}": row["seal"] for row in new})
    view.insert_all("event", _chained(view, list(_events(rows, manifest, numbers, present)), seals))


def _numbers(view: Transaction, table: str, rows: list[Row]) -> dict[int, int]:
    return {row["id"]: number for number, row in enumerate(rows, view.next_id(table))}


def _moved(table: str, row: Row, numbers: Mapping[str, Mapping[int, int]], present: set[str]) -> Row:
    """The row with this archive's numbers; a blob that was left out of the bundle is no longer referred to."""
    changes: dict[str, Any] = {}
    if table in numbers:
        changes["id"] = numbers[table][row["id"]]
    if table == "outcome":
        changes["evaluation"] = numbers["evaluation"][row["evaluation"]]
    for column in _BLOB_COLUMNS.get(table, ()):
        changes[column] = row[column] if row[column] in present else ""
    return {**row, **changes}


def _events(
    rows: Rows, manifest: Mapping[str, Json], numbers: Mapping[str, Mapping[int, int]], present: set[str]
) -> Iterator[Row]:
    """The campaign's events with this archive's numbers, behind one that tells where they come from.

    That one stands first, so that a campaign's elapsed time, which is read off its events, stays what it was.
    """
    campaign = rows["campaign"][0]
    about = {key: manifest.get(key) for key in ("campaign", "lineage", "calls")}
    last = rows["event"][-1]["digest"] if rows["event"] else ""
    yield {
        "campaign": campaign["id"],
        "kind": IMPORTED,
        "payload": canonical({**about, "last_event": last}),
        "subject": "",
        "sealed": "",
        "created": time.time(),
    }
    for event in rows["event"]:
        table, _, key = event["subject"].partition(":")
        payload = json.loads(event["payload"])
        for name in _EVALUATIONS:
            if type(payload.get(name)) is int:  # one that did not come along is none here, and never somebody else's
                payload[name] = numbers["evaluation"].get(payload[name], 0)
        if event["kind"] == "mutation_described" and payload.get("transcript_blob") not in present:
            payload["transcript_blob"] = ""
        if event["kind"] == EVIDENCE_EVENT and payload.get("evidence") not in present:
            continue
        subject = f"{table}:{numbers[table][int(key)]}" if table in numbers else event["subject"]
        stored = {name: value for name, value in event.items() if name != "previous"}
        yield {**stored, "payload": canonical(payload), "subject": subject}


def _chained(view: Transaction, events: list[Row], seals: Mapping[str, str]) -> Iterator[Row]:
    """Continue the archive's chain. The newest event of a row carries the row's new seal."""
    newest = {event["subject"]: number for number, event in enumerate(events)}
    before = view.first("event", order="sequence", last=True)
    previous, sequence = (before["digest"], before["sequence"]) if before else ("", 0)
    for number, event in enumerate(events):
        sequence += 1
        row = {**event, "sequence": sequence, "created": float(event["created"])}
        if event["subject"] and newest[event["subject"]] == number:
            row["sealed"] = seals[event["subject"]]
        row["digest"] = previous = event_digest(previous, {k: v for k, v in row.items() if k != "digest"})
        yield row
