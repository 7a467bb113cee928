"""What a shell offers behind Tab: names of campaigns, and ``campaign/step`` of variants.

A shell asks on every Tab, so nothing heavy is imported: the database is read with the standard library, and whatever
goes wrong is an empty list. Only ids, names and steps are read, nothing that a program wrote.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import typer

ARCHIVE_VARIABLE = "HYPERAGENT_ARCHIVE"
DEFAULT_ARCHIVE = "archive"
DATABASE = "archive.db"
MOST = 200
"""Offers at once; who wants another one types another digit."""


def complete_campaign(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of campaigns, the newest first."""
    rows = _rows(ctx, "SELECT name FROM campaign WHERE name >= ? AND name < ? ORDER BY created DESC", incomplete)
    return [str(row[0]) for row in rows]


def complete_variant(ctx: typer.Context, incomplete: str) -> list[str]:
    """``name/`` of campaigns; behind a slash the steps, the newest first."""
    name, slash, step = incomplete.rpartition("/")
    if not slash:
        return [f"{campaign}/" for campaign in complete_campaign(ctx, incomplete)]
    query = (
        "SELECT v.step FROM variant v JOIN campaign c ON c.id = v.campaign "
        "WHERE c.name >= ? AND c.name < ? AND c.name = ? ORDER BY v.step DESC"
    )
    steps = [str(row[0]) for row in _rows(ctx, query, name, name)]
    return [f"{name}/{found}" for found in steps if found.startswith(step)][:MOST]


def complete_either(ctx: typer.Context, incomplete: str) -> list[str]:
    """Campaigns and variants."""
    campaigns = complete_campaign(ctx, incomplete) if "/" not in incomplete else []
    return [*campaigns, *complete_variant(ctx, incomplete)]


def _rows(ctx: typer.Context, query: str, beginning: str, *others: str) -> Sequence[tuple[Any, ...]]:
    try:
        address = f"{_database(ctx).absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(address, uri=True, timeout=0.2)) as connection:
            return connection.execute(query, (beginning, beginning + "\U0010ffff", *others)).fetchall()
    except (sqlite3.Error, OSError):  # no archive, none of ours, or busy: a shell shows nothing then
        return []


def _database(ctx: Any) -> Path:
    """Of the archive that the half-typed command line names."""
    root = ctx.find_root()
    named = ctx.params.get("archive") or root.params.get("archive") or getattr(root.obj, "home", None)
    environment = getattr(root.obj, "environment", os.environ)
    return Path(named or environment.get(ARCHIVE_VARIABLE) or DEFAULT_ARCHIVE).expanduser() / DATABASE
