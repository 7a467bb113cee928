"""The archive of one home: campaigns, variants and the journal; calls and evaluations come from their own files."""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import get_args

from hyperagent.archive import health, lineage, records
from hyperagent.archive.blobs import Blobs
from hyperagent.archive.bulk import BulkReads
from hyperagent.archive.bundles import BundleStore
from hyperagent.archive.calls import CallStore
from hyperagent.archive.digests import canonical
from hyperagent.archive.evaluations import EvaluationStore
from hyperagent.archive.lineage import Lineage
from hyperagent.archive.lock import WriterLock
from hyperagent.archive.names import check_name, free_name
from hyperagent.archive.pulse import PulseReads
from hyperagent.archive.references import find_campaign, find_variant
from hyperagent.archive.schema import Database, Row, Transaction
from hyperagent.errors import NotFoundError, PrerequisiteError
from hyperagent.types import (
    Campaign,
    CampaignState,
    Event,
    Json,
    Problem,
    ProgramTree,
    Variant,
    VariantStatus,
)

DATABASE_NAME = "archive.db"
FINAL: tuple[VariantStatus, ...] = ("evaluated", "screened_out", "raced_out", "no_effect", "duplicate", "invalid")


class Store(EvaluationStore, CallStore, BulkReads, BundleStore, PulseReads):
    """Implements :class:`hyperagent.protocols.Archive`; made by :func:`hyperagent.archive.open_archive`.

    Methods that write raise HyperagentError where the archive was opened for reading.

    Raises:
        NotFoundError: There is no archive at ``path`` and ``create`` is False.
        ArchiveLocked: ``write``, and somebody else writes.
        ArchiveDamaged: What is there is no archive, or not one of this release.
    """

    def __init__(self, path: Path, *, write: bool = False, create: bool = False) -> None:
        self._path = path
        if create and not write:
            raise ValueError("an archive is created for writing")
        if not (path / DATABASE_NAME).is_file():
            _make_home(path, create)
        self._lock = WriterLock(path) if write else None
        try:
            self._lineage = Lineage(path / "lineage.git", create=create)
            self._blobs = Blobs(path / "blobs")
            # The database comes last: where it is whole, so is the rest.
            self._database = Database(path / DATABASE_NAME, write=write, create=create)
        except BaseException:
            if self._lock is not None:
                self._lock.release()
            raise

    @property
    def path(self) -> Path:
        return self._path

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give up the connections and the writer's lock; a second call does nothing."""
        self._database.close()
        self._lineage.close()
        if self._lock is not None:
            self._lock.release()

    # -- campaigns

    def create_campaign(self, name: str, random_seed: int, config: Mapping[str, Json], id: str = "") -> Campaign:
        """Add a campaign in state ``running``.

        Args:
            id: 12 hex digits, for one that is made again elsewhere: ids of variants follow from it. Empty = drawn.

        Raises:
            ConfigError: A name that cannot be part of a git ref or of ``campaign/step``.
            ValueError: An id of another form, or one that is taken.
        """
        check_name(name)
        if id and not re.fullmatch("[0-9a-f]{12}", id):
            raise ValueError(f"{id!r} is no id of a campaign")
        with self._database.write() as rows:
            if id and rows.first("campaign", id=id) is not None:
                raise ValueError(f"there is a campaign {id} already")
            free = free_name(name, rows.column("campaign", "name"))
            row = rows.insert(
                "campaign",
                id=id or secrets.token_hex(6),
                name=free,
                state="running",
                random_seed=random_seed,
                config=canonical(dict(config)),
                created=time.time(),
                reason="",
            )
            payload = {"name": free, "random_seed": random_seed, "config": dict(config)}
            rows.journal(row["id"], "campaign_created", payload, f"campaign:{row['id']}", row["seal"])
        return records.campaign(row)

    def set_campaign_state(self, campaign: str, state: CampaignState, reason: str = "") -> Campaign:
        if state not in get_args(CampaignState):
            raise ValueError(f"no campaign state {state!r}")
        with self._database.write() as rows:
            row = rows.update("campaign", find_campaign(rows, campaign), state=state, reason=_storable(reason))
            payload = {"state": state, "reason": row["reason"]}
            rows.journal(row["id"], "campaign_state", payload, f"campaign:{row['id']}", row["seal"])
        return records.campaign(row)

    def campaigns(self) -> Sequence[Campaign]:
        """In the order of their creation."""
        with self._database.read() as rows:
            return [records.campaign(row) for row in rows.find("campaign", order="created")]

    def campaign(self, reference: str) -> Campaign:
        with self._database.read() as rows:
            return records.campaign(find_campaign(rows, reference))

    # -- variants

    def start_step(self, campaign: str, step: int, parent: str | None, detail: Mapping[str, Json]) -> Variant:
        """Add a variant in status ``mutating``; one that is there from a cut-off attempt is taken up again.

        Raises:
            NotFoundError: No such campaign or parent.
            ValueError: The step is further on than ``mutating``, or had another parent.
        """
        if step < 0:
            raise ValueError(f"step {step} is negative")
        with self._database.write(durable=False) as rows:
            owner = find_campaign(rows, campaign)
            above = find_variant(rows, parent) if parent is not None else None
            above_id = above["id"] if above else None
            row = rows.first("variant", campaign=owner["id"], step=step)
            if row is None:
                row = rows.insert(
                    "variant",
                    id=hashlib.sha256(f"{owner['id']}/{step}".encode()).hexdigest()[:12],
                    campaign=owner["id"],
                    step=step,
                    generation=above["generation"] + 1 if above else 0,
                    parent=above_id,
                    status="mutating",
                    commit="",
                    tree="",
                    score=None,
                    reason="",
                    summary="",
                    seconds=0.0,
                    created=time.time(),
                )
            elif row["status"] != "mutating" or row["parent"] != above_id:
                raise ValueError(f"step {step} of {owner['name']!r} exists ({row['status']}, parent {row['parent']})")
            _journal(rows, "step_started", row, {"step": step, "parent": above_id, **detail})
        return records.variant(row)

    def commit_program(self, variant: str, tree: ProgramTree, message: str) -> Variant:
        """Commit the program of a ``mutating`` variant, which becomes ``pending``.

        Raises:
            ValueError: Not ``mutating``, a parent without a program, or a path that must not be in a program.
        """
        self._database.must_write()
        with self._database.read() as rows:
            row = _with_status(find_variant(rows, variant), ("mutating",))
            campaign = find_campaign(rows, row["campaign"])["name"]
            parent = find_variant(rows, row["parent"])["commit"] if row["parent"] else ""
        if row["parent"] and not parent:
            raise ValueError(f"the parent {row['parent']} of variant {row['id']} has no program")
        commit, tree_id = self._lineage.commit(tree, parent, campaign, row["step"], message)
        with self._database.write() as rows:
            row = _with_status(find_variant(rows, row["id"]), ("mutating",))
            row = rows.update("variant", row, status="pending", commit=commit, tree=tree_id)
            _journal(rows, "program_committed", row, {"commit": commit, "tree": tree_id})
        return records.variant(row)

    def describe_mutation(self, variant: str, *, summary: str, seconds: float, transcript_blob: str) -> Variant:
        """Store the program's own words about its edit and how long that took.

        The transcript's digest is in the payload of the event ``mutation_described``. Raises ValueError where the
        variant has reached its final status.
        """
        with self._database.write(durable=False) as rows:
            row = _with_status(find_variant(rows, variant), ("mutating", "pending"))
            row = rows.update("variant", row, summary=summary, seconds=seconds)
            _journal(rows, "mutation_described", row, {"transcript_blob": transcript_blob, "seconds": seconds})
        return records.variant(row)

    def finish_variant(
        self,
        variant: str,
        status: VariantStatus,
        *,
        score: float | None = None,
        reason: str = "",
        summary: str = "",
        seconds: float = 0.0,
    ) -> Variant:
        """Give a variant its final status; an empty ``summary`` or zero ``seconds`` leaves what was described before.

        Raises:
            ValueError: It has one already, ``status`` is not final, or a scored variant has no program.
        """
        if status not in FINAL:
            raise ValueError(f"{status!r} is not a final status")
        with self._database.write() as rows:
            row = _with_status(find_variant(rows, variant), ("mutating", "pending"))
            if status in ("evaluated", "screened_out", "raced_out") and not row["commit"]:
                raise ValueError(f"variant {row['id']} has no program, so it cannot be {status}")
            kept = {"summary": summary or row["summary"], "seconds": seconds or row["seconds"]}
            row = rows.update("variant", row, status=status, score=score, reason=reason, **kept)
            _journal(rows, "variant_finished", row, {"status": status, "score": score, "reason": reason})
        return records.variant(row)

    def variants(self, campaign: str) -> Sequence[Variant]:
        with self._database.read() as rows:
            found = rows.find("variant", campaign=find_campaign(rows, campaign)["id"], order="step")
        return [records.variant(row) for row in found]

    def variant(self, reference: str) -> Variant:
        """Raises NotFoundError (with near names) where nothing or more than one matches."""
        with self._database.read() as rows:
            return records.variant(find_variant(rows, reference))

    def children(self, variant: str, *, before: int | None = None, most: int = 0) -> Sequence[Variant]:
        """In the order of their creation.

        Args:
            before: Only those of earlier steps of the same campaign; None = all.
            most: Only the last so many; 0 = all.
        """
        with self._database.read() as rows:
            found = rows.children(find_variant(rows, variant)["id"], before, most)
        return [records.variant(row) for row in found]

    def variants_with_tree(self, tree: str) -> Sequence[Variant]:
        """In the order of their creation, over all campaigns."""
        with self._database.read() as rows:
            found = rows.find("variant", tree=tree, order="created") if tree else []
        return [records.variant(row) for row in found]

    def read_tree(self, commit: str) -> ProgramTree:
        """All files of a commit; raises ArchiveDamaged where one is missing or broken."""
        return self._lineage.read_tree(commit)

    def tree_id(self, tree: ProgramTree) -> str:
        """The git tree id the files would have; raises ValueError for paths that must not be in a program."""
        return lineage.tree_id(tree)

    def diff(self, commit_a: str, commit_b: str) -> str:
        """Unified diff; an empty ``commit_a`` stands for the empty program."""
        return self._lineage.diff(commit_a, commit_b)

    # -- journal

    def append_event(self, campaign: str, kind: str, payload: Mapping[str, Json], *, durable: bool = True) -> Event:
        """``durable=False``: not before the next durable write, for what means nothing without it."""
        with self._database.write(durable=durable) as rows:
            return records.event(rows.journal(find_campaign(rows, campaign)["id"], kind, payload))

    def events(self, campaign: str, after: int = 0) -> Sequence[Event]:
        """Events of a campaign with a sequence number above ``after``, oldest first.

        Numbers grow over the whole archive, so they have gaps within one campaign.
        """
        with self._database.read() as rows:
            found = rows.events(find_campaign(rows, campaign)["id"], after)
        return [records.event(row) for row in found]

    def events_of(self, campaign: str, kind: str) -> Sequence[Event]:
        """Events of one kind, oldest first."""
        with self._database.read() as rows:
            found = rows.find("event", campaign=find_campaign(rows, campaign)["id"], kind=kind, order="sequence")
        return [records.event(row) for row in found]

    # -- health

    def recover(self) -> Sequence[str]:
        self._database.must_write()
        return health.recover(self._database, self._lineage, self._blobs)

    def verify(self) -> Sequence[Problem]:
        """Check everything that can be checked; an empty list means that nothing is wrong."""
        return health.verify(self._database, self._lineage, self._blobs)


def _journal(rows: Transaction, kind: str, row: Row, payload: Mapping[str, Json]) -> None:
    rows.journal(row["campaign"], kind, {"variant": row["id"], **payload}, f"variant:{row['id']}", row["seal"])


def _with_status(row: Row, allowed: Sequence[str]) -> Row:
    if row["status"] not in allowed:
        raise ValueError(f"variant {row['id']} is {row['status']}; this needs {' or '.join(allowed)}")
    return row


def _storable(text: str) -> str:
    """Text that any database stores: no NUL, no lone surrogate."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def _make_home(path: Path, create: bool) -> None:
    if not create or (path.exists() and not path.is_dir()):
        what = f"holds no {DATABASE_NAME}" if path.is_dir() else "is no folder" if path.exists() else "does not exist"
        raise NotFoundError(
            f"there is no archive at {path}: it {what}",
            hint="make one with `hyperagent run`, or name another with --archive",
        )
    try:
        (path / "blobs").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PrerequisiteError(
            f"the archive {path} cannot be made: {error.strerror}", hint="name another folder with --archive"
        ) from error
