"""The archive's tables. Seals and chains are explained in ``digests``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.types import TypeDecorator


class ProgramText(TypeDecorator[str]):
    """Text that a program wrote: any Python string, lone surrogates and NUL included, kept exactly."""

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: object) -> bytes | None:
        return None if value is None else value.encode("utf-8", "surrogatepass")

    def process_result_value(self, value: bytes | None, dialect: object) -> str | None:
        if value is None:
            return None
        try:
            return bytes(value).decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:  # damaged: stay readable, the seal tells
            return bytes(value).decode("utf-8", "replace")


def _text(name: str, *, default: str | None = "") -> Column[Any]:
    return Column(name, Text, nullable=False, default=default)


def _seal() -> Column[Any]:
    return Column("seal", String(64), nullable=False)


def _link(name: str, target: str, kind: Any = String, *, optional: bool = False) -> Column[Any]:
    return Column(name, kind, ForeignKey(target), nullable=optional)


def _spend() -> list[Column[Any]]:
    sizes = [Column(name, BigInteger, nullable=False) for name in ("prompt_tokens", "completion_tokens")]
    return [*sizes, Column("cost", Float, nullable=False)]


metadata = MetaData()
Table(
    "campaign",
    metadata,
    Column("id", String(12), primary_key=True),
    Column("name", String(128), nullable=False, unique=True),
    Column("state", String(20), nullable=False),
    Column("random_seed", BigInteger, nullable=False),
    _text("config"),
    Column("created", Float, nullable=False),
    _text("reason"),
    _seal(),
)
Table(
    "variant",
    metadata,
    Column("id", String(12), primary_key=True),
    _link("campaign", "campaign.id"),
    Column("step", Integer, nullable=False),
    Column("generation", Integer, nullable=False),
    _link("parent", "variant.id", optional=True),
    Column("status", String(20), nullable=False),
    Column("commit", String(64), nullable=False, quote=True),
    Column("tree", String(64), nullable=False),
    Column("score", Float),
    Column("reason", ProgramText, nullable=False),
    Column("summary", ProgramText, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("created", Float, nullable=False),
    _seal(),
    UniqueConstraint("campaign", "step"),
    Index("variant_by_tree", "tree"),
    Index("variant_by_parent", "parent", "step"),
)
Table(
    "evaluation",
    metadata,
    Column("id", Integer, primary_key=True),
    _link("variant", "variant.id"),
    Column("benchmark", String(128), nullable=False),
    Column("split", String(20), nullable=False),
    _text("tasks"),
    Column("screen", Integer, nullable=False),
    Column("context", String(128), nullable=False),
    Column("state", String(20), nullable=False),
    _text("sandbox"),
    Column("score", Float),
    _seal(),
    Index("evaluation_by_variant", "variant", "benchmark", "split", "context"),
)
Table(
    "outcome",
    metadata,
    Column("id", Integer, primary_key=True),
    _link("evaluation", "evaluation.id", Integer),
    Column("task", String(256), nullable=False),
    Column("status", String(20), nullable=False),
    Column("score", Float, nullable=False),
    Column("prediction", ProgramText, nullable=False),
    Column("error", ProgramText, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("peak_mb", Float, nullable=False),
    Column("calls", Integer, nullable=False),
    Column("cached_calls", Integer, nullable=False),
    *_spend(),
    Column("transcript_blob", String(64), nullable=False),
    _seal(),
    UniqueConstraint("evaluation", "task"),
)
Table(
    "model_call",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("job", String(256), nullable=False),
    Column("task", String(256), nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("campaign", String(128), nullable=False),
    Column("variant", String(128), nullable=False),
    Column("purpose", String(20), nullable=False),
    Column("model", String(256), nullable=False),
    Column("request_hash", String(128), nullable=False),
    Column("state", String(20), nullable=False),
    *_spend(),
    Column("seconds", Float, nullable=False),
    Column("cached", Boolean, nullable=False),
    Column("request_blob", String(64), nullable=False),
    Column("reply_blob", String(64), nullable=False),
    Column("error", ProgramText, nullable=False),
    _seal(),
    Index("model_call_by_key", "job", "task", "sequence"),
    Index("model_call_by_request", "request_hash"),
    Index("model_call_by_campaign", "campaign"),
    Index("model_call_by_variant", "variant"),
)
Table(
    "blob",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("data", LargeBinary),
)
Table(
    "event",
    metadata,
    Column("sequence", Integer, primary_key=True),
    _link("campaign", "campaign.id"),
    Column("kind", String(64), nullable=False),
    _text("payload"),
    Column("subject", String(64), nullable=False),
    Column("sealed", String(64), nullable=False),
    Column("created", Float, nullable=False),
    Column("digest", String(64), nullable=False),
    Index("event_by_campaign", "campaign", "sequence"),
    Index("event_by_kind", "campaign", "kind", "sequence"),
)
Table(
    "promotion",
    metadata,
    Column("id", Integer, primary_key=True),
    _link("variant", "variant.id"),
    Column("state", String(20), nullable=False),
    _text("detail"),
    Column("created", Float, nullable=False),
    _seal(),
)


def misfit(table: str, row: Mapping[str, Any]) -> str:
    """Why a row that came from outside cannot stand in a table as it is; empty where it can."""
    columns = metadata.tables[table].c
    if row.keys() != set(columns.keys()):
        return "has other columns"
    for column in columns:
        if reason := _misfit(column, row[column.name]):
            return f"{reason} as its {column.name}"
    return ""


def _misfit(column: Column[Any], value: object) -> str:
    kind = column.type
    if value is None:
        return "" if column.nullable else "has nothing"
    if isinstance(kind, ProgramText):
        return "" if isinstance(value, str) else "has no text"
    if isinstance(kind, String):
        if not isinstance(value, str) or "\0" in value or len(value) > (kind.length or len(value)):
            return "has no text of that kind"
        return "" if value.encode("utf-8", "ignore").decode() == value else "has broken text"
    if isinstance(kind, Boolean):
        return "" if isinstance(value, bool) else "has no truth value"
    if isinstance(kind, Integer):
        return "" if type(value) is int and abs(value) < 2**63 else "has no whole number"
    whole = type(value) is int and abs(value) < 2**63
    return "" if whole or (isinstance(value, float) and math.isfinite(value)) else "has no number"
