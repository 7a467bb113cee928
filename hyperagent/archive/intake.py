"""What the rows of a bundle must be before an archive takes them in: typed, sealed, journalled, and only its own.

Whoever made the bundle chose every byte. Seals and chains are hashes without a key: they show damage, not who wrote a
row. So rows may speak of their own campaign only, and what an import brought is never reused by another campaign.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, get_args, get_type_hints

from hyperagent.archive import records
from hyperagent.archive.bundle import TABLES, Bundle, damaged, parsed
from hyperagent.archive.digests import canonical, event_digest, seal
from hyperagent.archive.health import JOURNALLED, SEALED
from hyperagent.archive.schema import Row
from hyperagent.archive.tables import misfit
from hyperagent.types import CampaignState, Evaluation, Json, OutcomeStatus, Purpose, Split, VariantStatus

Rows = Mapping[str, list[Row]]
_ID = re.compile(r"[0-9a-f]{12}")
_WORDS: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("campaign", "state"): get_args(CampaignState),
    ("variant", "status"): get_args(VariantStatus),
    ("evaluation", "split"): get_args(Split),
    ("evaluation", "state"): get_args(get_type_hints(Evaluation)["state"]),
    ("outcome", "status"): get_args(OutcomeStatus),
    ("model_call", "purpose"): get_args(Purpose),
    ("model_call", "state"): ("reserved", "settled", "failed"),
}
_PATTERNS: Mapping[tuple[str, str], str] = {
    ("variant", "commit"): "([0-9a-f]{40})?",
    ("variant", "tree"): "([0-9a-f]{40})?",
    ("outcome", "transcript_blob"): "([0-9a-f]{64})?",
    ("model_call", "request_blob"): "([0-9a-f]{64})?",
    ("model_call", "reply_blob"): "([0-9a-f]{64})?",
}
_JSON: Mapping[tuple[str, str], str] = {
    ("campaign", "config"): "dict",
    ("evaluation", "tasks"): "list",
    ("evaluation", "sandbox"): "dict",
    ("event", "payload"): "dict",
}
_TEXTS = ("evidence", "transcript_blob")
"""Members of payloads that are read as text where they are there."""


def read_rows(bundle: Bundle) -> dict[str, list[Row]]:
    """All rows of a bundle, checked; events keep their ``previous``.

    Raises:
        ArchiveDamaged: With the first thing that is wrong.
    """
    rows = {table: _table(bundle, table) for table in TABLES}
    _check_owners(rows)
    _check_results(rows)
    _check_journal(rows)
    return rows


def _table(bundle: Bundle, table: str) -> list[Row]:
    name = f"rows/{table}.jsonl"
    found = []
    for number, line in enumerate(bundle.read(name).split(b"\n")[:-1], 1):
        row, where = parsed(line, f"{name}:{number}"), f"{name}:{number} in the bundle"
        if not isinstance(row, dict):
            raise damaged(f"{where} is no row")
        stored = {key: value for key, value in row.items() if (table, key) != ("event", "previous")}
        if reason := misfit(table, stored) or _odd(table, stored):
            raise damaged(f"{where} {reason}")
        if "seal" in row and row["seal"] != seal(table, row):
            raise damaged(f"{where} was changed after it was written")
        if table == "event" and not isinstance(row.get("previous"), str):
            raise damaged(f"{where} does not tell the event before it")
        found.append(row)
    keys = [row["sequence" if table == "event" else "id"] for row in found]
    if len(set(keys)) != len(keys):
        raise damaged(f"{name} in the bundle holds a row twice")
    return found


def _odd(table: str, row: Row) -> str:
    for (owner, column), words in _WORDS.items():
        if owner == table and row[column] not in words:
            return f"has an unknown {column}"
    for (owner, column), pattern in _PATTERNS.items():
        if owner == table and not re.fullmatch(pattern, row[column]):
            return f"has an odd {column}"
    for column in ("score", "cost", "seconds", "prompt_tokens", "completion_tokens", "step", "screen"):
        if (row.get(column) or 0) < 0:
            return f"has a negative {column}"
    try:
        return "" if all(_fits(table, column, row) for owner, column in _JSON if owner == table) else "holds other JSON"
    except (ValueError, TypeError, KeyError, RecursionError):
        return "holds broken JSON"


def _fits(table: str, column: str, row: Row) -> bool:
    value: Json = json.loads(row[column])
    if type(value).__name__ != _JSON[table, column] or canonical(value) != row[column]:
        return False
    if column == "tasks":
        return all(isinstance(task, str) for task in value)
    if column == "sandbox":
        return isinstance(records.evaluation(row).sandbox.warnings, tuple)
    return column != "payload" or all(isinstance(value.get(name, ""), str) for name in _TEXTS)


def _check_owners(rows: Rows) -> None:
    """One campaign, a tree of variants under it, and nothing that belongs to anybody else."""
    if len(rows["campaign"]) != 1 or not _ID.fullmatch(rows["campaign"][0]["id"]):
        raise damaged("the bundle is not of one campaign")
    campaign = rows["campaign"][0]["id"]
    generations: dict[str | None, int] = {None: -1}
    steps: set[int] = set()
    for row in rows["variant"]:
        # An id is a function of campaign and step, so no bundle can bring a variant of another campaign.
        if row["campaign"] != campaign or row["id"] != _variant_id(campaign, row["step"]) or row["step"] in steps:
            raise damaged(f"variant {row['id']!r} in the bundle is not of its campaign")
        steps.add(row["step"])
        if row["parent"] not in generations or row["generation"] != generations[row["parent"]] + 1:
            raise damaged(f"variant {row['id']} in the bundle has no parent before it")
        if bool(row["commit"]) != bool(row["tree"]):
            raise damaged(f"variant {row['id']} in the bundle has half a program")
        generations[row["id"]] = row["generation"]
    variants = generations.keys() - {None}
    _check_links(rows["evaluation"], "variant", variants)
    _check_links(rows["promotion"], "variant", variants)
    _check_links(rows["model_call"], "campaign", {campaign})
    _check_links(rows["model_call"], "variant", variants | {""})
    _check_links(rows["event"], "campaign", {campaign})
    if any(not row["job"].startswith(f"{campaign}/") for row in rows["model_call"]):
        raise damaged("the bundle holds a model call of a job of another campaign")


def _check_results(rows: Rows) -> None:
    planned = {row["id"]: set(records.evaluation(row).tasks) for row in rows["evaluation"]}
    _check_links(rows["outcome"], "evaluation", planned.keys())
    seen = set()
    for row in rows["outcome"]:
        key = (row["evaluation"], row["task"])
        if row["task"] not in planned[row["evaluation"]] or key in seen or row["score"] > 1:
            raise damaged(f"outcome {row['id']} in the bundle is of no planned task, a second one, or above 1")
        seen.add(key)


def _check_links(rows: Iterable[Row], column: str, known: Iterable[Any]) -> None:
    allowed = set(known)
    for row in rows:
        if row[column] not in allowed:
            raise damaged(f"a row of the bundle refers to the {column} {str(row[column])[:80]!r}, which is not in it")


def _check_journal(rows: Rows) -> None:
    """Every event fits the one before it, and the journal knows each row as it is."""
    newest: dict[str, str] = {}
    before: Row | None = None
    for event in rows["event"]:
        content = {name: value for name, value in event.items() if name != "previous"}
        if event["digest"] != event_digest(event["previous"], content):
            raise damaged(f"event {event['sequence']} in the bundle was changed")
        if before is not None:
            next_one = event["sequence"] == before["sequence"] + 1
            if event["sequence"] <= before["sequence"] or (next_one and event["previous"] != before["digest"]):
                raise damaged(f"event {event['sequence']} in the bundle does not follow the one before it")
        before = event
        if event["subject"]:
            newest[event["subject"]] = event["sealed"]
    for table in SEALED:
        for row in rows[table]:
            seal_known = newest.pop(f"{table}:{row['id']}", "" if table in JOURNALLED else row["seal"])
            if seal_known != row["seal"]:
                raise damaged(f"{table} {row['id']} in the bundle is not as its journal knows it")
    if newest:
        raise damaged(f"the journal of the bundle knows {next(iter(newest))[:80]!r}, which is not in it")


def _variant_id(campaign: str, step: int) -> str:
    return hashlib.sha256(f"{campaign}/{step}".encode()).hexdigest()[:12]
