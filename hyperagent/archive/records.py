"""Rows of the archive's tables as the records of ``hyperagent.types``, and back."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from functools import cache
from typing import Any

from hyperagent.archive.schema import Row
from hyperagent.errors import ArchiveDamaged
from hyperagent.types import (
    CallKey,
    Campaign,
    Evaluation,
    Event,
    Json,
    ModelCall,
    Outcome,
    SandboxInfo,
    Spend,
    Variant,
)


def _parsed(row: Row, column: str) -> Json:
    try:
        return json.loads(row[column])
    except ValueError as error:
        raise ArchiveDamaged(
            f"a row of the archive holds broken JSON in {column!r}",
            hint="restore the archive from a backup; `hyperagent doctor` tells what else is wrong",
        ) from error


def _pick(kind: type, row: Row) -> dict[str, Any]:
    return {name: row[name] for name in _names(kind) if name in row}


@cache
def _names(kind: type) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))


def campaign(row: Row) -> Campaign:
    return Campaign(**{**_pick(Campaign, row), "config": _parsed(row, "config")})


def variant(row: Row) -> Variant:
    return Variant(**_pick(Variant, row))


def evaluation(row: Row) -> Evaluation:
    sandbox = _parsed(row, "sandbox")
    return Evaluation(
        **{
            **_pick(Evaluation, row),
            "tasks": tuple(_parsed(row, "tasks")),
            "sandbox": SandboxInfo(**{**sandbox, "warnings": tuple(sandbox["warnings"])}),
        }
    )


def outcome(row: Row) -> Outcome:
    return Outcome(**_pick(Outcome, row), spend=Spend(**_pick(Spend, row)))


def outcome_row(value: Outcome) -> Row:
    row = asdict(value)
    return {**row.pop("spend"), **row}


def call(row: Row) -> ModelCall:
    return ModelCall(key=CallKey(**_pick(CallKey, row)), **_pick(ModelCall, row))


def call_row(value: ModelCall) -> Row:
    row = asdict(value)
    return {**row.pop("key"), **row}


def event(row: Row) -> Event:
    return Event(**{**_pick(Event, row), "payload": _parsed(row, "payload")})
