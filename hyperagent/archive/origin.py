"""Which campaigns were made here, and which came in a bundle.

A bundle's seals show damage, not its maker. So what a bundle brought is looked at and replayed like anything else, but
a campaign of this archive never takes a score or a model's reply from it in place of its own.
"""

from __future__ import annotations

from hyperagent.archive.schema import Database, Transaction

IMPORTED = "campaign_imported"
"""The first event of an imported campaign."""


class Origin:
    """What every part of the archive knows of its database."""

    _database: Database
    _imported: frozenset[str] | None = None

    def imported_campaigns(self, rows: Transaction) -> frozenset[str]:
        """Ids of campaigns that came in a bundle. Asked for at every model call, so it is read once."""
        if self._imported is None:
            self._imported = frozenset(event["campaign"] for event in rows.find("event", kind=IMPORTED))
        return self._imported
