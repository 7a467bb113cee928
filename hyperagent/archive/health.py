"""Mending after a crash, and checking that rows, git objects, blobs and the journal still agree."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence

from hyperagent.archive.blobs import Blobs, remove_unfinished
from hyperagent.archive.digests import event_digest, seal
from hyperagent.archive.lineage import Lineage
from hyperagent.archive.schema import Database, Row
from hyperagent.errors import ArchiveDamaged
from hyperagent.types import Problem

SEALED = ("campaign", "variant", "evaluation", "outcome", "model_call", "promotion")
JOURNALLED = ("campaign", "variant", "evaluation", "outcome")
"""Tables whose every change is an event that carries the row's seal."""


def sqlite_warning(version: tuple[int, int, int] | None = None) -> str:
    """A sentence where this Python's SQLite has the WAL-reset bug (3.7.0 to 3.51.2), else the empty string."""
    found = version or sqlite3.sqlite_version_info[:3]
    if not (3, 7, 0) <= found <= (3, 51, 2):
        return ""
    return (
        f"SQLite {'.'.join(map(str, found))} has the WAL-reset bug (3.7.0 to 3.51.2): two connections that write to "
        "one database at once may corrupt it. This archive has one writer, so leave its file to hyperagent alone."
    )


def recover(database: Database, lineage: Lineage, blobs: Blobs) -> list[str]:
    """Reconcile git and rows in both directions; returns one line per thing mended.

    Refs of variants that are still ``mutating`` go (the mutation is made again); missing refs of committed variants
    come back; unfinished files go. Nothing that was acknowledged is ever removed.
    """
    mended = []
    for number, what in ((remove_unfinished(blobs.folder), "blob"), (lineage.remove_unfinished(), "git")):
        if number:
            mended.append(f"removed {number} unfinished {what} file(s)")
    refs = lineage.refs()
    steps = _steps(database)
    for name, step in sorted(refs.keys() - steps.keys()):
        lineage.delete_ref(name, step)
        mended.append(f"removed the ref of {name}/{step}, whose step was cut off before it counted")
    for (name, step), row in steps.items():
        found = refs.get((name, step))
        if row["status"] == "mutating" and found is not None:
            lineage.delete_ref(name, step)
            mended.append(f"removed the ref of {name}/{step}, whose mutation was cut off before it counted")
        elif row["commit"] and found != row["commit"]:
            lineage.restore_ref(name, step, row["commit"])
            mended.append(f"restored the ref of {name}/{step}")
    return mended


def verify(database: Database, lineage: Lineage, blobs: Blobs) -> Sequence[Problem]:
    """Everything that is wrong, empty where nothing is."""
    checks: dict[str, Callable[[], Iterator[Problem]]] = {
        "database": lambda: (Problem("database", line) for line in database.check()),
        "git": lambda: (Problem("git", line) for line in lineage.check()),
        "lineage": lambda: _check_lineage(database, lineage),
        "journal": lambda: _check_journal(database),
        "blobs": lambda: _check_blobs(database, blobs),
        "outcomes": lambda: _check_outcomes(database),
    }
    problems: list[Problem] = []
    for where, check in checks.items():
        try:
            problems.extend(check())
        except (ArchiveDamaged, ValueError) as error:  # too damaged to be read on: that is the finding
            problems.append(Problem(where, str(error)))
    return problems


def _steps(database: Database) -> dict[tuple[str, int], Row]:
    with database.read() as rows:
        names = {row["id"]: row["name"] for row in rows.find("campaign")}
        return {(names.get(row["campaign"], "?"), row["step"]): row for row in rows.find("variant", order="created")}


def _check_lineage(database: Database, lineage: Lineage) -> Iterator[Problem]:
    refs = lineage.refs()
    steps = _steps(database)
    for (name, step), row in steps.items():
        where = f"variant {row['id']} ({name}/{step})"
        found = refs.get((name, step))
        if row["commit"]:
            try:
                if lineage.tree_of(row["commit"]) != row["tree"]:
                    yield Problem(where, f"commit {row['commit']} does not hold tree {row['tree']}")
                lineage.read_tree(row["commit"])
            except ArchiveDamaged as error:
                yield Problem(where, error.message)
        if found != (row["commit"] or None):
            yield Problem(where, f"its git ref is {found or 'missing'}, not {row['commit'] or 'absent'}", mendable=True)
    for name, step in refs.keys() - steps.keys():
        yield Problem(f"git ref {name}/{step}", "belongs to no variant")


def _check_journal(database: Database) -> Iterator[Problem]:
    """The chain of digests, every row's seal, and that the journal knows each row as it is now."""
    newest: dict[str, str] = {}
    previous, expected = "", 1
    with database.read() as rows:
        for event in rows.each("event", "sequence"):
            where = f"event {event['sequence']}"
            if event["sequence"] != expected:
                yield Problem(where, f"event {expected} is missing before it")
            if event["digest"] != event_digest(previous, event):
                yield Problem(where, "its digest does not fit: it, or the event before it, was changed")
            previous, expected = event["digest"], event["sequence"] + 1
            if event["subject"]:
                newest[event["subject"]] = event["sealed"]
        for table in SEALED:
            for row in rows.each(table, "id"):
                subject = f"{table}:{row['id']}"
                if row["seal"] != seal(table, row):
                    yield Problem(f"row {subject}", "was changed after it was written")
                elif table in JOURNALLED and newest.pop(subject, "") != row["seal"]:
                    yield Problem(f"row {subject}", "is not as the journal knows it")
                newest.pop(subject, "")
    for subject in newest:
        yield Problem(f"row {subject}", "is missing, though the journal knows it")


def _check_blobs(database: Database, blobs: Blobs) -> Iterator[Problem]:
    with database.read() as rows:
        missing = set(rows.column("outcome", "transcript_blob"))
        missing.update(rows.column("model_call", "request_blob"), rows.column("model_call", "reply_blob"))
        described = rows.find("event", kind="mutation_described")
        missing.update(json.loads(row["payload"])["transcript_blob"] for row in described)
        missing.discard("")
        for row in rows.each("blob", "digest"):
            missing.discard(row["digest"])
            try:
                size = len(blobs.unpack(row["digest"], row["data"]))
            except ArchiveDamaged as error:
                yield Problem(f"blob {row['digest']}", error.message)
                continue
            if row["size"] != size:
                yield Problem(f"blob {row['digest']}", f"has {size} bytes, its row says {row['size']}")
    for digest in sorted(missing):
        yield Problem(f"blob {digest}", "is referred to, but not in the archive")


def _check_outcomes(database: Database) -> Iterator[Problem]:
    with database.read() as rows:
        planned = {row["id"]: set(json.loads(row["tasks"])) for row in rows.find("evaluation")}
        pairs = rows.query("SELECT evaluation, task FROM outcome")
    for row in pairs:
        if row["task"] not in planned.get(row["evaluation"], ()):
            yield Problem(f"evaluation {row['evaluation']}", f"has an outcome of task {row['task']!r}, never planned")
