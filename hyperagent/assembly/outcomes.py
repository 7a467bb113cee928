"""Outcomes as a table: one row per task that a variant ran, for spreadsheets and notebooks."""

from __future__ import annotations

import csv
import importlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, BinaryIO

from hyperagent.errors import PrerequisiteError
from hyperagent.protocols import Archive
from hyperagent.report.text import clean_block
from hyperagent.types import Campaign, Evaluation, Outcome, OutcomeStatus, Split, Variant

_FORMULA = tuple("=+-@\t\n＝＋－＠")  # noqa: RUF001 - spreadsheets read these full-width signs as their plain ones
"""A cell that begins with one of these may be run as a formula: https://owasp.org/www-community/attacks/CSV_Injection."""
_PARQUET_ROWS = 10_000


@dataclass(frozen=True)
class OutcomeRow:
    """One task of one variant.

    Attributes:
        campaign: Its name.
        parent: The parent variant's id; None for a seed.
        score: In [0, 1].
        seconds: Wall-clock time of the program.
        tokens: Prompt and completion together, of calls that were paid; cached ones cost nothing.
        cost: US dollars.
        prediction: Canonical JSON text. Hostile, as is ``error``: escape before printing.
    """

    campaign: str
    step: int
    variant: str
    parent: str | None
    benchmark: str
    split: Split
    task: str
    score: float
    status: OutcomeStatus
    seconds: float
    calls: int
    tokens: int
    cost: float
    prediction: str
    error: str


def campaign_rows(
    archive: Archive, campaign: Campaign, *, lineage: Variant | None = None, with_test: bool = False
) -> Iterator[OutcomeRow]:
    """Every outcome of a campaign, by step, benchmark, split and task; of the hidden split only ``with_test``.

    Args:
        lineage: Only this variant and its ancestors.
    """
    variants = archive.variants(campaign.id)
    if lineage is not None:
        parents = {one.id: one.parent for one in variants}
        wanted, last = set(), lineage.id if lineage.id in parents else None
        while last is not None:
            wanted.add(last)
            last = parents.get(last)
        variants = [one for one in variants if one.id in wanted]
    for variant in variants:
        yield from variant_rows(archive, campaign, variant, with_test=with_test)


def variant_rows(
    archive: Archive, campaign: Campaign, variant: Variant, *, with_test: bool = False
) -> Iterator[OutcomeRow]:
    for evaluation in archive.evaluations(variant.id):
        if with_test or evaluation.split != "test":
            for outcome in archive.outcomes(evaluation.id):
                yield _row(campaign, variant, evaluation, outcome)


def _row(campaign: Campaign, variant: Variant, evaluation: Evaluation, outcome: Outcome) -> OutcomeRow:
    return OutcomeRow(
        campaign=campaign.name,
        step=variant.step,
        variant=variant.id,
        parent=variant.parent,
        benchmark=evaluation.benchmark,
        split=evaluation.split,
        task=outcome.task,
        score=outcome.score,
        status=outcome.status,
        seconds=outcome.seconds,
        calls=outcome.spend.calls,
        tokens=outcome.spend.tokens,
        cost=outcome.spend.cost,
        prediction=outcome.prediction,
        error=outcome.error,
    )


# -- files ---------------------------------------------------------------------------------------


def write_outcomes(file: BinaryIO, kind: str, rows: Iterable[OutcomeRow]) -> int:
    """Write the rows as one of :data:`TABLE_KINDS`; returns how many there were.

    Raises:
        PrerequisiteError: Parquet, and pyarrow is not installed.
    """
    return TABLE_KINDS[kind](file, rows)


def _csv(file: BinaryIO, rows: Iterable[OutcomeRow]) -> int:
    """RFC 4180 in UTF-8. Text can neither run in a spreadsheet nor move a terminal's cursor."""
    table = csv.writer(_Encoded(file))
    table.writerow(field.name for field in fields(OutcomeRow))
    count = 0
    for row in rows:
        table.writerow(cell(value) if isinstance(value, str) else value for value in asdict(row).values())
        count += 1
    return count


class _Encoded:
    """What ``csv`` writes text to."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, text: str) -> int:
        return self._file.write(text.encode())


def cell(text: str) -> str:
    """Text for a spreadsheet: unprintable characters as escapes, and an apostrophe before what could be a formula."""
    shown = clean_block(text)
    return "'" + shown if shown.lstrip(" ").startswith(_FORMULA) else shown


def _json_lines(file: BinaryIO, rows: Iterable[OutcomeRow]) -> int:
    """One object a line, ASCII only, so that text keeps every character and harms no terminal."""
    count = 0
    for row in rows:
        file.write(json.dumps(asdict(row)).encode() + b"\n")
        count += 1
    return count


def _parquet(file: BinaryIO, rows: Iterable[OutcomeRow]) -> int:
    try:
        arrow: Any = importlib.import_module("pyarrow")
        parquet: Any = importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise PrerequisiteError(
            "Parquet needs pyarrow, which is not installed", hint="pip install pyarrow, or write .csv or .jsonl"
        ) from None
    kinds = {"int": arrow.int64(), "float": arrow.float64()}
    schema = arrow.schema([(field.name, kinds.get(str(field.type), arrow.string())) for field in fields(OutcomeRow)])
    count, held = 0, list[dict[str, object]]()
    with parquet.ParquetWriter(file, schema) as writer:
        for row in rows:
            held.append({name: _unicode(value) for name, value in asdict(row).items()})
            count += 1
            if len(held) == _PARQUET_ROWS:
                writer.write_table(arrow.Table.from_pylist(held, schema=schema))
                held = []
        if held:
            writer.write_table(arrow.Table.from_pylist(held, schema=schema))
    return count


def _unicode(value: object) -> object:
    """Lone surrogates, which JSON Lines keep and Parquet cannot, as question marks."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


TABLE_KINDS: Mapping[str, Callable[[BinaryIO, Iterable[OutcomeRow]], int]] = {
    ".csv": _csv,
    ".jsonl": _json_lines,
    ".parquet": _parquet,
}
"""Ending of a file -> what writes it."""
