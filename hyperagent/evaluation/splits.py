"""Splits of a pack: their names, their order, and the promise that no group straddles two of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import get_args

from hyperagent.errors import DataUnavailable
from hyperagent.types import Split, Task

SPLITS: tuple[Split, ...] = get_args(Split)
_NAMES: dict[str, Split] = {"search": "train", **{split: split for split in SPLITS}}


def split_named(name: object) -> Split | None:
    """The split that a record's ``split`` member means; ``search`` is another word for train. None where unknown."""
    return _NAMES.get(name) if isinstance(name, str) else None


def in_order(tasks: Iterable[Task]) -> list[Task]:
    """Tasks in an order that is fixed for all time and knows nothing but their ids: by SHA-256 of the id.

    A file may be sorted by label or by difficulty; an order by hash is not, so the first ``n`` tasks are a fair sample.
    """
    return sorted(tasks, key=lambda task: hashlib.sha256(task.id.encode()).digest())


def check_groups(tasks: Sequence[Task]) -> None:
    """Make sure that no group (problem, paper, exercise) stands in two splits, and that no id stands twice.

    Raises:
        DataUnavailable: With the first group or id that does.
    """
    home: dict[str, Split] = {}
    seen: set[str] = set()
    for task in tasks:
        if task.id in seen:
            raise DataUnavailable(
                f"benchmark {task.benchmark}: the id {task.id!r} stands twice",
                hint="Give every record an id of its own.",
            )
        seen.add(task.id)
        if home.setdefault(task.group, task.split) != task.split:
            raise DataUnavailable(
                f"benchmark {task.benchmark}: group {task.group!r} stands in {home[task.group]} and in {task.split}",
                hint="Put all records of a group into one split; otherwise scores on the other one mean nothing.",
            )
