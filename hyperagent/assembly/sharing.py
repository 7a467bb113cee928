"""Files that leave the archive and come back: bundles, tables of outcomes, programs."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from hyperagent.assembly.outcomes import TABLE_KINDS, campaign_rows, write_outcomes
from hyperagent.errors import UsageError
from hyperagent.protocols import Archive
from hyperagent.types import Campaign, Json, Variant


def export_bundle(
    archive: Archive, campaign: Campaign, file: Path, *, lineage: Variant | None, calls: bool, force: bool
) -> Mapping[str, Json]:
    """Write a campaign, or only one variant and its ancestors, into a bundle; returns the bundle's manifest.

    Raises:
        UsageError: The file exists (and ``force`` is False) or cannot be written; the variant is of another campaign.
    """
    with whole_file(file, force=force) as stream:
        return archive.export_bundle(stream, campaign.id, lineage=lineage.id if lineage else "", calls=calls)


def import_bundle(archive: Archive, file: Path, name: str = "") -> Campaign:
    """See :meth:`hyperagent.protocols.Archive.import_bundle`."""
    return archive.import_bundle(file, name)


def export_outcomes(
    archive: Archive, campaign: Campaign, file: Path, *, lineage: Variant | None, with_test: bool, force: bool
) -> int:
    """Write one row per outcome, as CSV, JSON Lines or Parquet by the file's ending; returns the number of rows.

    Raises:
        UsageError: Another ending; the file exists (and ``force`` is False) or cannot be written.
        PrerequisiteError: Parquet, and pyarrow is not installed.
    """
    kind = file.suffix.lower()
    if kind not in TABLE_KINDS:
        raise UsageError(f"{file} has no ending that says its format", hint=f"name it {', '.join(TABLE_KINDS)}")
    rows = campaign_rows(archive, campaign, lineage=lineage, with_test=with_test)
    with whole_file(file, force=force) as stream:
        return write_outcomes(stream, kind, rows)


@contextmanager
def whole_file(path: Path, *, force: bool) -> Iterator[BinaryIO]:
    """A file that appears when the block has ended well, and not at all where it has not.

    Raises:
        UsageError: It exists (and ``force`` is False) or cannot be written.
    """
    if path.exists() and not force:
        raise UsageError(f"{path} exists already", hint="--force overwrites it, or name another file")
    try:
        descriptor, unfinished = tempfile.mkstemp(prefix=".hyperagent-", dir=path.parent)
        try:
            with os.fdopen(descriptor, "w+b") as file:
                yield file
            os.chmod(unfinished, 0o644)
            os.replace(unfinished, path)
        except BaseException:
            Path(unfinished).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}", hint="name a file you may write") from error
