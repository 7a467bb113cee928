"""A campaign, or the ancestors of one variant, out of an archive into a bundle."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import partial
from typing import BinaryIO

from hyperagent.archive.blobs import Blobs, damaged_blob
from hyperagent.archive.bundle import TABLES, Member, member, write_bundle
from hyperagent.archive.digests import canonical
from hyperagent.archive.lineage import Lineage
from hyperagent.archive.references import find_campaign, find_variant
from hyperagent.archive.schema import Database, Row, Transaction
from hyperagent.errors import UsageError
from hyperagent.types import Json

EVIDENCE_EVENT = "mutation_started"
"""The event that names what a mutation was shown; it goes where the blobs go."""
_DIGEST = re.compile(r"[0-9a-f]{64}")
Rows = Mapping[str, list[Row]]


def export_bundle(
    database: Database,
    lineage: Lineage,
    blobs: Blobs,
    file: BinaryIO,
    campaign: str,
    variant: str = "",
    calls: bool = True,
) -> Mapping[str, Json]:
    """Write a bundle; returns its manifest.

    Args:
        variant: Only this one and its ancestors; empty = the whole campaign.
        calls: With the recorded calls, transcripts and evidence; without them nothing can be replayed.

    Raises:
        NotFoundError: No such campaign or variant.
        UsageError: The variant is of another campaign.
        ArchiveDamaged: Something that belongs into the bundle is missing or broken.
    """
    with database.read() as view:
        owner = find_campaign(view, campaign)
        last = find_variant(view, variant) if variant else None
        if last is not None and last["campaign"] != owner["id"]:
            raise UsageError(
                f"variant {last['id']} is not of the campaign {owner['name']!r}", hint="see `hyperagent ls CAMPAIGN`"
            )
        rows = _rows(view, owner, last, calls)
        stored = _blob_members(view, database, blobs, rows) if calls else []
    objects: dict[str, bytes] = {}
    for one in rows["variant"]:
        if one["commit"]:
            objects.update(lineage.objects(one["commit"]))
    about = {
        "campaign": {"id": owner["id"], "name": owner["name"]},
        "lineage": last["id"] if last is not None else "",
        "calls": calls,
        "counts": {**{table: len(rows[table]) for table in TABLES}, "object": len(objects), "blob": len(stored)},
    }
    members = [member(f"rows/{table}.jsonl", _lines(rows[table])) for table in TABLES]
    members += [member(f"git/{object_id}", packed) for object_id, packed in objects.items()]
    return write_bundle(file, about, [*members, *stored])


def _rows(view: Transaction, campaign: Row, last: Row | None, calls: bool) -> Rows:
    """Everything that belongs to the campaign, in a fixed order, each table in the order of its making."""
    variants = view.find("variant", campaign=campaign["id"], order="step")
    if last is not None:
        variants = _ancestors(variants, last)
    ids = tuple(one["id"] for one in variants)
    evaluations = [row for one in ids for row in view.find("evaluation", variant=one, order="id")]
    outcomes = [row for one in evaluations for row in view.find("outcome", evaluation=one["id"], order="id")]
    recorded = [
        row for row in view.find("model_call", campaign=campaign["id"], order="id") if row["variant"] in {*ids, ""}
    ]
    rows = {
        "campaign": [campaign],
        "variant": variants,
        "evaluation": sorted(evaluations, key=lambda row: row["id"]),
        "outcome": sorted(outcomes, key=lambda row: row["id"]),
        "model_call": recorded,
        "promotion": sorted(
            (row for one in ids for row in view.find("promotion", variant=one)), key=lambda row: row["id"]
        ),
    }
    rows["event"] = list(_events(view, rows, calls))
    return rows


def _ancestors(variants: list[Row], last: Row) -> list[Row]:
    by_id = {row["id"]: row for row in variants}
    found = [last]
    while (parent := by_id.get(found[-1]["parent"] or "")) is not None:
        found.append(parent)
    return found[::-1]


def _events(view: Transaction, rows: Rows, calls: bool) -> Iterator[Row]:
    """The events of what goes along, each with the digest of the one before it in this archive."""
    subjects = {f"{table}:{row['id']}" for table in rows for row in rows[table]}
    left_out = {row["id"] for row in view.find("variant", campaign=rows["campaign"][0]["id"])}
    left_out -= {row["id"] for row in rows["variant"]}
    previous = ""
    for event in view.each("event", "sequence"):
        before, previous = previous, event["digest"]
        if event["campaign"] != rows["campaign"][0]["id"] or (event["subject"] and event["subject"] not in subjects):
            continue
        if event["kind"] == EVIDENCE_EVENT and not calls:
            continue
        if left_out and str(json.loads(event["payload"]).get("variant")) in left_out:
            continue
        yield {**event, "previous": before}


def needed_blobs(rows: Rows) -> set[str]:
    """Digests of blobs that the rows refer to in columns made for it, and in the payloads of events."""
    found = {row["transcript_blob"] for row in rows["outcome"]}
    found.update(row[name] for row in rows["model_call"] for name in ("request_blob", "reply_blob"))
    for event in rows["event"]:
        payload = json.loads(event["payload"])
        if event["kind"] == EVIDENCE_EVENT:
            found.add(payload.get("evidence", ""))
        elif event["kind"] == "mutation_described":
            found.add(payload.get("transcript_blob", ""))
    return found - {""}


def mentioned(rows: Rows) -> set[str]:
    """Whatever else in events and promotions looks like a digest, and may be that of a blob."""
    texts = [row["payload"] for row in rows["event"]] + [row["detail"] for row in rows["promotion"]]
    return {digest for text in texts for digest in _DIGEST.findall(text)}


def _blob_members(view: Transaction, database: Database, blobs: Blobs, rows: Rows) -> list[Member]:
    sizes = {row["digest"]: row["size"] for row in view.query("SELECT digest, size FROM blob")}
    needed = needed_blobs(rows)
    wanted = needed | (mentioned(rows) & sizes.keys())
    # A needed one that is missing fails when it is read: a bundle that every import refuses is not made.
    return [
        Member(f"blobs/{digest}", sizes.get(digest, 0), digest, partial(_blob, database, blobs, digest))
        for digest in sorted(wanted)
    ]


def _blob(database: Database, blobs: Blobs, digest: str) -> bytes:
    with database.read() as view:
        row = view.first("blob", digest=digest)
    if row is None:
        raise damaged_blob(digest, "is missing")
    return blobs.unpack(digest, row["data"])


def _lines(rows: list[Row]) -> bytes:
    return b"".join(canonical(row).encode() + b"\n" for row in rows)
