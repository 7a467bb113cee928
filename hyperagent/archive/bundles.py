"""The part of the archive that gives campaigns away and takes them in."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from hyperagent.archive import records
from hyperagent.archive.blobs import Blobs
from hyperagent.archive.exporting import export_bundle
from hyperagent.archive.importing import import_bundle
from hyperagent.archive.lineage import Lineage
from hyperagent.archive.origin import Origin
from hyperagent.types import Campaign, Json


class BundleStore(Origin):
    """The bundle methods of :class:`hyperagent.protocols.Archive`."""

    _lineage: Lineage
    _blobs: Blobs

    def export_bundle(
        self, file: BinaryIO, campaign: str, *, lineage: str = "", calls: bool = True
    ) -> Mapping[str, Json]:
        """See :func:`hyperagent.archive.exporting.export_bundle`."""
        return export_bundle(self._database, self._lineage, self._blobs, file, campaign, lineage, calls)

    def import_bundle(self, file: Path, name: str = "") -> Campaign:
        """See :func:`hyperagent.archive.importing.import_bundle`."""
        row = import_bundle(self._database, self._lineage, self._blobs, file, name)
        self._imported = None
        return records.campaign(row)
