"""Steps from one schema version to the next. Each runs in the same transaction as the new version number.

To change the schema: raise ``VERSION``, add ``MIGRATIONS[old version]``, and keep a database of the old version
as SQL text in ``tests/archive``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from hyperagent.errors import ArchiveDamaged, NotFoundError

VERSION = 2
"""The schema version of this release."""
READABLE = 1
"""The oldest version that can be read as it is: what came after it makes looking faster, not different."""

Execute = Callable[[str], object]
"""Runs one SQL statement."""


def _index_children_and_kinds(execute: Execute) -> None:
    execute("CREATE INDEX variant_by_parent ON variant (parent, step)")
    execute("CREATE INDEX event_by_kind ON event (campaign, kind, sequence)")


MIGRATIONS: Mapping[int, Callable[[Execute], None]] = {1: _index_children_and_kinds}
"""Version -> what turns a database of that version into one of the next."""


def migrate(
    execute: Execute, found: int, wanted: int, steps: Mapping[int, Callable[[Execute], None]] = MIGRATIONS
) -> None:
    """Bring a database from version ``found`` to ``wanted``.

    Raises:
        KeyError: There is no way from ``found`` to ``wanted``.
    """
    for version in range(found, wanted):
        steps[version](execute)


def check_version(version: int, file: Path, *, write: bool) -> None:
    """Refuse a database of schema ``version`` (-1: without any table).

    Raises:
        NotFoundError: It is empty.
        ArchiveDamaged: Of another program, of a newer release, or old and not open for writing.
    """
    if version == -1:
        raise NotFoundError(
            f"{file} is empty", hint="make an archive with `hyperagent run`, or name one with --archive"
        )
    if version > VERSION or version == 0:
        raise ArchiveDamaged(
            f"{file} has schema version {version}, this release knows 1 to {VERSION}",
            hint="use the hyperagent release that made it, or name another archive with --archive",
        )
    if version < READABLE and not write:
        raise ArchiveDamaged(
            f"{file} has the old schema version {version}",
            hint="bring it up to date by opening it for writing once, for example with `hyperagent resume`",
        )
