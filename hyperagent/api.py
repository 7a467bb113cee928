"""The public Python interface: an archive as typed objects, for notebooks and scripts. It reads and never writes.

Names are re-exported by ``hyperagent``; import them from there. Every object keeps its archive open for reading, which
never blocks a running campaign and is never blocked by one. Text that a program wrote (``summary``, ``prediction``,
``error``, programs, conversations) is handed out as it was written: escape it before showing it.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar, overload

from hyperagent import assembly
from hyperagent.assembly.outcomes import OutcomeRow, campaign_rows, variant_rows
from hyperagent.errors import UsageError
from hyperagent.types import Interval, Json, ModelCall, PairedTest, Spend, Split, VariantStatus

if TYPE_CHECKING:
    from hyperagent.protocols import Archive as Store
    from hyperagent.types import Campaign as CampaignRecord
    from hyperagent.types import Variant as VariantRecord

__all__ = ["Archive", "Call", "Campaign", "Interval", "OutcomeRow", "Records", "Variant", "open_archive"]

T = TypeVar("T")


def open_archive(path: str | os.PathLike[str] | None = None) -> Archive:
    """Open an archive for reading.

    Args:
        path: Its folder; None = ``$HYPERAGENT_ARCHIVE``, else ``./archive``, as on the command line.

    Raises:
        NotFoundError: There is no archive.
        ArchiveDamaged: What is there is no archive of this release.
    """
    chosen = path or os.environ.get("HYPERAGENT_ARCHIVE") or "archive"
    return Archive(assembly.open_archive(Path(chosen).expanduser()))


class Records(Sequence[T]):
    """A list that nobody can change, and that pandas can take."""

    def __init__(self, items: Iterable[T]) -> None:
        self._items = tuple(items)

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> Records[T]: ...
    def __getitem__(self, index: int | slice) -> T | Records[T]:
        return Records(self._items[index]) if isinstance(index, slice) else self._items[index]

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        return f"Records({list(self._items)!r})"

    def to_dicts(self) -> list[dict[str, Any]]:
        """One flat dictionary an item."""
        return [_flat(item) for item in self._items]

    def to_dataframe(self) -> Any:
        """A ``pandas.DataFrame``, one row an item.

        Raises:
            ImportError: pandas is not installed.
        """
        try:
            pandas: Any = importlib.import_module("pandas")
        except ImportError:
            raise ImportError("to_dataframe() needs pandas: pip install pandas, or use to_dicts()") from None
        return pandas.DataFrame(self.to_dicts())


class Archive:
    """All campaigns of one home. Use as a context manager, or call :meth:`close`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def path(self) -> Path:
        return self._store.path

    def campaigns(self) -> Records[Campaign]:
        """In the order of their creation."""
        return Records(Campaign(self._store, one) for one in self._store.campaigns())

    def campaign(self, reference: str) -> Campaign:
        """By name, id, or the unique beginning of one.

        Raises:
            NotFoundError: None, or more than one; the hint names near ones.
        """
        return Campaign(self._store, self._store.campaign(reference))

    def variant(self, reference: str) -> Variant:
        """By id, its unique beginning, or ``campaign/step``; raises NotFoundError as :meth:`campaign` does."""
        record = self._store.variant(reference)
        return Variant(Campaign(self._store, self._store.campaign(record.campaign)), record)

    def close(self) -> None:
        self._store.close()

    def __enter__(self) -> Archive:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Archive({str(self.path)!r})"


class Campaign:
    """One evolutionary run.

    Attributes:
        id: 12 hex digits.
        config: The whole effective configuration as JSON.
        created: Unix seconds, UTC.
    """

    def __init__(self, store: Store, record: CampaignRecord) -> None:
        self._store = store
        self._record = record
        self.id: str = record.id
        self.name: str = record.name
        self.state: str = record.state
        self.random_seed: int = record.random_seed
        self.config: Mapping[str, Json] = record.config
        self.created: float = record.created

    def variants(self) -> Records[Variant]:
        """In step order; the seed program is the first."""
        return Records(Variant(self, one) for one in self._store.variants(self.id))

    def best(self) -> Variant | None:
        """The fully evaluated variant with the highest validation score, the earliest of equals."""
        record = assembly.best(self._store, self.id)
        return None if record is None else Variant(self, record)

    def outcomes(self, *, with_test: bool = False) -> Records[OutcomeRow]:
        """One row per task that any variant ran; of the hidden test only when asked for."""
        return Records(campaign_rows(self._store, self._record, with_test=with_test))

    def spend(self) -> Spend:
        """Calls, tokens and dollars, as billed."""
        return self._store.spend(self.id)

    def __repr__(self) -> str:
        return f"Campaign({self.name!r}, {self.state})"


class Variant:
    """One step of a campaign.

    Attributes:
        id: 12 hex digits, unique in the archive.
        step: Order within the campaign; 0 is the seed program.
        generation: Distance from the seed.
        score: Mean validation score in [0, 1]; None until evaluated.
        reason: Why it is ``invalid`` or ``no_effect``, or the id of the variant that it is a ``duplicate`` of.
        summary: The program's own words about its edit.
        seconds: Wall-clock seconds of the mutation that made it.
        commit: Git commit of the program; empty where there is none.
    """

    def __init__(self, campaign: Campaign, record: VariantRecord) -> None:
        self.campaign = campaign
        self._store = campaign._store
        self._record = record
        self.id: str = record.id
        self.step: int = record.step
        self.generation: int = record.generation
        self.status: VariantStatus = record.status
        self.score: float | None = record.score
        self.reason: str = record.reason
        self.summary: str = record.summary
        self.seconds: float = record.seconds
        self.commit: str = record.commit
        self.created: float = record.created

    @cached_property
    def interval(self) -> Interval | None:
        """The mean over all validation tasks that ran, with its 95% interval; None where none did."""
        return assembly.interval(self._store, self._record)

    @property
    def parent(self) -> Variant | None:
        """None for a seed program."""
        return Variant(self.campaign, self._store.variant(self._record.parent)) if self._record.parent else None

    def children(self) -> Records[Variant]:
        """In step order."""
        return Records(one for one in self.campaign.variants() if one._record.parent == self.id)

    def outcomes(self, split: Split | None = None) -> Records[OutcomeRow]:
        """One row per task that ran: of one split, or of train and validation; the hidden ``test`` only by name."""
        rows = variant_rows(self._store, self.campaign._record, self._record, with_test=split == "test")
        return Records(row for row in rows if split in (None, row.split))

    def program(self) -> dict[str, bytes]:
        """Its files, path -> content; empty where it has no program."""
        return dict(self._store.read_tree(self.commit)) if self.commit else {}

    def diff(self, other: Variant | None = None) -> str:
        """What changed from ``other`` to this one, as a unified diff; without it from the parent, else from nothing.

        Raises:
            UsageError: One of the two has no program.
        """
        before = other or self.parent
        for one in (self, before):
            if one is not None and not one.commit:
                raise UsageError(f"variant {one.id} has no program: {one.status}")
        return self._store.diff(before.commit if before is not None else "", self.commit)

    def compare(self, other: Variant, split: Split = "validation") -> PairedTest:
        """Exact McNemar of this one against ``other`` over the tasks that both ran; raises UsageError for none."""
        return assembly.paired(self._store, other._record, self._record, split)

    def calls(self) -> Records[Call]:
        """Every model call that was made for it, in order: for its mutation, its evaluations, its tests."""
        return Records(Call(self._store, one) for one in self._store.calls(variant=self.id))

    def __repr__(self) -> str:
        return f"Variant({self.campaign.name}/{self.step}, {self.status}, score={self.score})"


class Call:
    """One recorded model call.

    Attributes:
        sequence: The n-th call, from 0, of its task.
        purpose: ``mutate``, ``evaluate`` or ``test``.
        state: ``settled`` with a reply, ``failed`` without one, ``reserved`` where it was cut off.
        cached: The reply is that of an equal call, and cost nothing.
    """

    def __init__(self, store: Store, record: ModelCall) -> None:
        self._store = store
        self._record = record
        self.job: str = record.key.job
        self.task: str = record.key.task
        self.sequence: int = record.key.sequence
        self.purpose: str = record.purpose
        self.model: str = record.model
        self.state: str = record.state
        self.cached: bool = record.cached
        self.prompt_tokens: int = record.prompt_tokens
        self.completion_tokens: int = record.completion_tokens
        self.cost: float = record.cost
        self.seconds: float = record.seconds
        self.error: str = record.error

    @cached_property
    def request(self) -> Json:
        """What was asked, as JSON; None where nothing is recorded."""
        return self._entry["request"]

    @cached_property
    def reply(self) -> Json:
        """What was answered, as JSON; None where nothing is recorded."""
        return self._entry["reply"]

    @cached_property
    def _entry(self) -> Mapping[str, Json]:
        return assembly.call_record(self._store, self._record)

    def __repr__(self) -> str:
        return f"Call({self.purpose}, {self.task!r} #{self.sequence}, {self.model}, {self.state})"


def _flat(item: Any) -> dict[str, Any]:
    """The public values of an item that fit into a cell."""
    if is_dataclass(item) and not isinstance(item, type):
        return asdict(item)
    row = {name: value for name, value in vars(item).items() if isinstance(value, str | int | float | None)}
    row = {name: value for name, value in row.items() if not name.startswith("_")}
    if isinstance(item, Variant):
        interval = item.interval
        row |= {"campaign": item.campaign.name, "parent": item._record.parent}
        row |= {"low": interval.low if interval else None, "high": interval.high if interval else None}
    return row
