"""What people type for a campaign or a variant: an id's unique prefix, a campaign's name, ``campaign/step``."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from hyperagent.archive.schema import Row, Transaction
from hyperagent.errors import NotFoundError

SHORTEST_PREFIX = 3


def find_campaign(rows: Transaction, reference: str) -> Row:
    """The campaign of that id, name, unique id prefix (3 characters or more), or unique beginning of a name.

    Raises:
        NotFoundError: Nothing matches, or more than one.
    """
    exact = rows.first("campaign", id=reference) or rows.first("campaign", name=reference)
    if exact is not None:
        return exact
    found = _by_prefix(rows, "campaign", reference)
    if not found and reference:
        found = rows.starting_with("campaign", "name", reference)
    if len(found) == 1:
        return found[0]
    names = [row["name"] for row in found] or rows.column("campaign", "name")
    raise _not_found("campaign", reference, names, ambiguous=len(found) > 1)


def find_variant(rows: Transaction, reference: str) -> Row:
    """The variant of that id, unique id prefix (3 characters or more), or ``campaign/step``.

    Raises:
        NotFoundError: Nothing matches, or more than one.
    """
    exact = rows.first("variant", id=reference)
    if exact is not None:
        return exact
    if "/" in reference:
        return _by_step(rows, reference)
    found = _by_prefix(rows, "variant", reference)
    if len(found) == 1:
        return found[0]
    campaign = rows.first("campaign", name=reference)
    names = [row["id"] for row in found] or rows.column("variant", "id")
    if campaign is not None:
        steps = rows.find("variant", campaign=campaign["id"], order="step", limit=3)
        names = [f"{reference}/{row['step']}" for row in steps]
    raise _not_found("variant", reference, names, ambiguous=len(found) > 1 or campaign is not None)


def _by_step(rows: Transaction, reference: str) -> Row:
    name, _, step = reference.rpartition("/")
    campaign = find_campaign(rows, name)
    found = None
    if re.fullmatch("[0-9]{1,9}", step):
        found = rows.first("variant", campaign=campaign["id"], step=int(step))
    if found is None:
        newest = rows.first("variant", campaign=campaign["id"], order="step", last=True)
        has = f"has the steps 0 to {newest['step']}" if newest else "has no variant yet"
        raise NotFoundError(
            f"no variant {reference!r}: campaign {campaign['name']!r} {has}", hint="see `hyperagent ls`"
        )
    return found


def _by_prefix(rows: Transaction, table: str, reference: str) -> list[Row]:
    if not re.fullmatch(f"[0-9a-f]{{{SHORTEST_PREFIX},12}}", reference):
        return []
    return rows.starting_with(table, "id", reference)


def _not_found(what: str, reference: str, names: Iterable[str], *, ambiguous: bool) -> NotFoundError:
    names = list(names)
    if ambiguous:
        return NotFoundError(
            f"{reference!r} is not one {what}", hint=f"did you mean one of {', '.join(sorted(names)[:5])}?"
        )
    near = difflib.get_close_matches(reference, names, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    return NotFoundError(f"no {what} {reference!r} in this archive", hint=f"{hint}see `hyperagent ls`")
