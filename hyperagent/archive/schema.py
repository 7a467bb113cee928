"""Two kinds of access to the tables: one guarded writer connection, many read-only ones.

Nothing but this, ``tables`` and ``store`` knows SQLAlchemy. The SQL is portable; what is SQLite's own stands in
``_connect``, ``_version``, ``_prepare`` and :meth:`Database.check`. Seals and chains are explained in ``digests``.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import (
    Connection,
    CursorResult,
    Engine,
    Float,
    Insert,
    Select,
    Table,
    Update,
    bindparam,
    create_engine,
    func,
    insert,
    select,
    text,
    update,
)
from sqlalchemy import event as hooks
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.pool import QueuePool

from hyperagent.archive.digests import canonical, event_digest, seal
from hyperagent.archive.migrations import VERSION, check_version, migrate
from hyperagent.archive.tables import metadata
from hyperagent.errors import ArchiveDamaged, HyperagentError, PrerequisiteError
from hyperagent.types import Json

BUSY_SECONDS = 30.0
Row = dict[str, Any]


class Transaction:
    """Rows as dictionaries, within one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def find(self, table: str, *, order: str = "", last: bool = False, limit: int = 0, **equals: Any) -> list[Row]:
        """Rows whose columns equal the given values (a tuple: any of them), by ``order``, backwards where ``last``."""
        kinds = tuple(
            (name, type(value) if value is None or isinstance(value, tuple) else object)
            for name, value in equals.items()
        )
        query = _selection(table, kinds, order, last, bool(limit))
        values = {f"of_{name}": value for name, value in equals.items() if value is not None}
        return _rows(self._connection.execute(query, {**values, **({"most": limit} if limit else {})}))

    def first(self, table: str, *, order: str = "", last: bool = False, **equals: Any) -> Row | None:
        rows = self.find(table, order=order, last=last, limit=1, **equals)
        return rows[0] if rows else None

    def starting_with(self, table: str, column: str, prefix: str) -> list[Row]:
        chosen = metadata.tables[table]
        query = select(chosen).where(chosen.c[column].startswith(prefix, autoescape=True)).order_by(chosen.c[column])
        return [dict(row._mapping) for row in self._connection.execute(query)]

    def events(self, campaign: str, after: int) -> list[Row]:
        table = metadata.tables["event"]
        query = select(table).where(table.c.campaign == campaign, table.c.sequence > after).order_by(table.c.sequence)
        return _rows(self._connection.execute(query))

    def children(self, parent: str, before: int | None, most: int) -> list[Row]:
        """The last ``most`` (0 = all) variants of a parent, of steps below ``before``, by step."""
        table = metadata.tables["variant"]
        query = select(table).where(table.c.parent == parent).order_by(table.c.step.desc())
        if before is not None:
            query = query.where(table.c.step < before)
        return _rows(self._connection.execute(query.limit(most) if most else query))[::-1]

    def column(self, table: str, name: str) -> list[Any]:
        return list(self._connection.execute(select(metadata.tables[table].c[name])).scalars())

    def query(self, sql: str, **values: Any) -> list[Row]:
        """Rows of a statement in portable SQL with ``:name`` parameters."""
        return _rows(self._connection.execute(text(sql), values))

    def each_of(self, sql: str, **values: Any) -> Iterator[tuple[Any, ...]]:
        """The same as plain tuples, one by one: for results of many thousand rows."""
        for row in self._connection.execute(text(sql), values):
            yield tuple(row)

    def each(self, table: str, order: str) -> Iterator[Row]:
        """All rows, without holding them all in memory."""
        chosen = metadata.tables[table]
        for row in self._connection.execute(select(chosen).order_by(chosen.c[order])):
            yield dict(row._mapping)

    def insert(self, table: str, **values: Any) -> Row:
        """Add a sealed row; an integer ``id`` that is left out is the next one."""
        chosen = metadata.tables[table]
        if "id" in chosen.c and "id" not in values:
            # One writer, so nobody takes the number meanwhile; knowing it before the insert lets the seal cover it.
            values["id"] = self._connection.execute(select(func.coalesce(func.max(chosen.c.id), 0) + 1)).scalar_one()
        row = _typed(chosen, values)
        self._connection.execute(_insertion(table), row)
        return row

    def next_id(self, table: str, column: str = "id") -> int:
        (found,) = self.query(f"SELECT max({column}) AS newest FROM {table}")
        return (found["newest"] or 0) + 1

    def insert_all(self, table: str, rows: Iterable[Row]) -> None:
        """Add rows that are complete and sealed already, see :func:`sealed`."""
        values = list(rows)
        if values:
            self._connection.execute(_insertion(table), values)

    def update(self, table: str, row: Row, **changes: Any) -> Row:
        """Change a row that was read in this transaction and seal it anew."""
        chosen = metadata.tables[table]
        changed = _typed(chosen, {**row, **changes})
        values = {f"new_{name}": value for name, value in changed.items()}
        self._connection.execute(_replacement(table), {"of_id": row["id"], **values})
        return changed

    def journal(
        self, campaign: str, kind: str, payload: Mapping[str, Json], subject: str = "", sealed: str = ""
    ) -> Row:
        """Append an event. ``subject`` (``table:id``) names the row it changed, ``sealed`` is that row's new seal."""
        return self.journal_all(campaign, [(kind, payload, subject, sealed)])[0]

    def journal_all(self, campaign: str, many: Iterable[tuple[str, Mapping[str, Json], str, str]]) -> list[Row]:
        """Append events at once, each given as :meth:`journal` takes it: kind, payload, subject, sealed."""
        before = self._connection.execute(_newest_event()).first()
        sequence, digest = (before.sequence, before.digest) if before else (0, "")
        events: list[Row] = []
        for kind, payload, subject, sealed in many:
            sequence += 1
            event: Row = {
                "sequence": sequence,
                "campaign": campaign,
                "kind": kind,
                "payload": canonical(dict(payload)),
                "subject": subject,
                "sealed": sealed,
                "created": time.time(),
            }
            digest = event["digest"] = event_digest(digest, event)
            events.append(event)
        if events:
            self._connection.execute(_insertion("event"), events)
        return events


def _rows(found: CursorResult[Any]) -> list[Row]:
    """Three times as fast as a dictionary of each row's mapping, which counts where there are thousands."""
    names = tuple(found.keys())
    return [dict(zip(names, row, strict=True)) for row in found]


# Statements are built once and kept: building one costs ten times what SQLite takes to run it.


@cache
def _selection(table: str, equals: tuple[tuple[str, type], ...], order: str, last: bool, limited: bool) -> Select[Any]:
    """``equals``: (column, kind): a tuple stands for any of its members, NoneType for null."""
    columns = metadata.tables[table].c
    query = select(metadata.tables[table])
    for name, kind in equals:
        if kind is type(None):
            query = query.where(columns[name].is_(None))
        elif kind is tuple:
            query = query.where(columns[name].in_(bindparam(f"of_{name}", expanding=True)))
        else:
            query = query.where(columns[name] == bindparam(f"of_{name}"))
    if order:
        query = query.order_by(columns[order].desc() if last else columns[order])
    return query.limit(bindparam("most")) if limited else query


@cache
def _insertion(table: str) -> Insert:
    return insert(metadata.tables[table])


@cache
def _replacement(table: str) -> Update:
    """Replaces the whole row whose id is ``of_id`` by the values ``new_*``."""
    chosen = metadata.tables[table]
    values: Row = {column.name: bindparam(f"new_{column.name}") for column in chosen.c}
    return update(chosen).where(chosen.c.id == bindparam("of_id")).values(values)


@cache
def _newest_event() -> Select[Any]:
    table = metadata.tables["event"]
    return select(table.c.sequence, table.c.digest).order_by(table.c.sequence.desc()).limit(1)


def sealed(table: str, values: Row) -> Row:
    """A row of that table with its floats as floats and its seal."""
    return _typed(metadata.tables[table], values)


def _typed(table: Table, values: Row) -> Row:
    """The row as it will be read back, sealed: a float column gives floats, whatever number went in."""
    row = {}
    for column in table.c:
        if column.name != "seal":
            value = values[column.name]
            row[column.name] = float(value) if isinstance(column.type, Float) and value is not None else value
    if "seal" in table.c:
        row["seal"] = seal(table.name, row)
    return row


class Database:
    """The rows of one archive.

    Raises:
        NotFoundError: There is no database and ``create`` is False.
        ArchiveDamaged: The file is no database, or has a schema version that this release cannot use.
    """

    def __init__(self, file: Path, *, write: bool, create: bool = False) -> None:
        self.file = file
        self._lock = threading.RLock()
        self._writer: Connection | None = None
        self._flushes = True
        self._reader = _connect(file, "ro")
        try:
            with self._translated():
                if write:
                    self._writer = _connect(file, "rwc" if create else "rw").connect()
                    _prepare(self._writer, file, create)
                else:
                    with self._reader.begin() as connection:
                        check_version(_version(connection), file, write=False)
        except BaseException:
            self.close()
            raise

    @contextmanager
    def read(self) -> Iterator[Transaction]:
        """A consistent view; never blocks a writer and is never blocked."""
        with self._translated(), self._reader.begin() as connection:
            yield Transaction(connection)

    @contextmanager
    def write(self, *, durable: bool = True) -> Iterator[Transaction]:
        """All of it or nothing; one at a time. Durable when the block is left, whatever happens to the machine.

        Args:
            durable: False for what is worth nothing until something durable follows it: it outlives this process at
                once, and the machine with the next durable transaction. Transactions survive in order, never one
                without those before it.
        """
        writer = self.must_write()
        with self._lock, self._translated():
            self._flush_next(writer, durable)
            with writer.begin():
                yield Transaction(writer)

    def _flush_next(self, writer: Connection, durable: bool) -> None:
        """In WAL mode, FULL flushes the log at a commit, what was written to it before included; NORMAL does not."""
        if durable != self._flushes:
            connection: Any = writer.connection.dbapi_connection  # not through SQLAlchemy, which would begin
            connection.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
            self._flushes = durable

    def must_write(self) -> Connection:
        """Raises HyperagentError where the archive was opened for reading."""
        if self._writer is None:
            raise HyperagentError(
                f"the archive {self.file.parent} is open for reading only", hint="open it with write=True"
            )
        return self._writer

    def check(self) -> list[str]:
        """What SQLite's own checks complain about, one line each."""
        with self._translated(), self._reader.begin() as connection:
            found = [str(row[0]) for row in connection.exec_driver_sql("PRAGMA integrity_check")]
            broken = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
        return [line for line in found if line != "ok"] + [
            f"{table} row {row} refers to a missing {target}" for table, row, target, _ in broken
        ]

    def close(self) -> None:
        with self._lock:
            self._reader.dispose()  # first, so that the writer is the last to leave and folds the log back
            if self._writer is not None:
                self._writer.close()
                self._writer.engine.dispose()
                self._writer = None

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except IntegrityError as error:
            raise ValueError(f"the archive's rules refuse this: {error.orig}") from error
        except (DBAPIError, sqlite3.Error) as error:
            reason = str(getattr(error, "orig", None) or error)
            if any(sign in reason for sign in ("malformed", "not a database", "decode", "no such")):
                raise ArchiveDamaged(
                    f"{self.file} is damaged or no archive database: {reason}",
                    hint="restore the archive from a backup, or name another one with --archive",
                ) from error
            raise PrerequisiteError(
                f"the database {self.file} cannot be used: {reason}", hint="check free disk space and permissions"
            ) from error


def _connect(file: Path, mode: str) -> Engine:
    address = f"{file.absolute().as_uri()}?mode={mode}"

    def connection() -> sqlite3.Connection:
        return sqlite3.connect(address, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)

    engine = create_engine("sqlite://", creator=connection, poolclass=QueuePool, pool_size=8, max_overflow=-1)

    @hooks.listens_for(engine, "connect")
    def settle(connection: sqlite3.Connection, _record: object) -> None:
        if mode != "ro":
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")

    @hooks.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN" if mode == "ro" else "BEGIN IMMEDIATE")

    return engine


def _version(connection: Connection) -> int:
    """The schema version; -1 where there is no table at all."""
    tables = connection.exec_driver_sql("SELECT count(*) FROM sqlite_master").scalar_one()
    return int(connection.exec_driver_sql("PRAGMA user_version").scalar_one()) if tables else -1


def _prepare(connection: Connection, file: Path, create: bool) -> None:
    with connection.begin():
        version = _version(connection)
        if version == -1 and create:
            metadata.create_all(connection)
        else:
            check_version(version, file, write=True)
            migrate(connection.exec_driver_sql, version, VERSION)
        if version != VERSION:
            connection.exec_driver_sql(f"PRAGMA user_version={VERSION}")
