"""Opens the hub's database by URL: SQLite (a file) or PostgreSQL. It never holds a query; those live with their owners.

SQLite runs in WAL mode with synchronous=FULL, which costs nothing from batches of 100 up and loses nothing at a power
cut. A SQLite transaction that reads first and writes later fails when another writer came between, whatever the busy
timeout says; so every transaction of `engine` takes the write lock when it begins, and those that only read say so.
"""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from cloud.database import migrations

BUSY_TIMEOUT_MS = 30_000
"""How long a SQLite writer waits for another; far above any transaction of ours, so that it means a stuck process."""

_WAL_PAUSE_S = 0.01
_CONNECT_TIMEOUT_S = 10
_POOL_SIZE = 10
_POOL_OVERFLOW = 20
_READ_ONLY = "gatehouse_read_only"

DialectName = Literal["sqlite", "postgresql"]


class DatabaseUrlError(ValueError):
    """A database URL that the hub cannot use; the text says what to write instead."""


@dataclass(frozen=True)
class Database:
    """An open database. `engine` begins every transaction as a writer; see `read`."""

    engine: Engine
    dialect: DialectName

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A transaction that only reads: one consistent view, and on SQLite no writer waits for it."""
        with self.engine.connect().execution_options(**{_READ_ONLY: True}) as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction that writes: committed at the end, rolled back on an exception."""
        with self.engine.begin() as connection:
            yield connection

    def migrate(self) -> None:
        """Bring the tables to this version's; safe when several processes do it at once.

        Raises:
            migrations.DatabaseIsNewer: if a newer Gatehouse has changed this database.
        """
        with self.write() as connection:
            migrations.upgrade(connection)

    def close(self) -> None:
        """Close every idle connection."""
        self.engine.dispose()


def open_database(url: str) -> Database:
    """Open `sqlite:///FILE` or `postgresql://user:password@host/name`; nothing is connected yet.

    Raises:
        DatabaseUrlError: for another kind of URL, or a SQLite database that is not a file.
    """
    parsed = _parse(url)
    if parsed.get_backend_name() == "sqlite":
        return Database(_sqlite(parsed), "sqlite")
    return Database(_postgresql(parsed), "postgresql")


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise DatabaseUrlError(
            "the database URL cannot be read: write sqlite:///FILE or postgresql://user:password@host/name"
        ) from error
    if parsed.get_backend_name() == "sqlite":
        if parsed.database in (None, "", ":memory:"):
            raise DatabaseUrlError("the hub's SQLite database is a file: write sqlite:////var/lib/gatehouse/hub.db")
        return parsed.set(drivername="sqlite+pysqlite")
    if parsed.drivername in ("postgresql", "postgres", "postgresql+psycopg"):
        return parsed.set(drivername="postgresql+psycopg")
    raise DatabaseUrlError(f"a database of kind {parsed.drivername!r} is not known: use sqlite or postgresql")


def _sqlite(url: URL) -> Engine:
    Path(str(url.database)).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(url, pool_size=_POOL_SIZE, max_overflow=_POOL_OVERFLOW, hide_parameters=True)

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # transactions begin in `_begin`, not where the driver guesses
        connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        _use_wal(connection)
        for pragma in ("synchronous = FULL", "foreign_keys = ON", "cache_size = -32000"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        reads = connection.get_execution_options().get(_READ_ONLY, False)
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")

    return engine


def _use_wal(connection: sqlite3.Connection) -> None:
    """Switch to WAL. Two connections that do so at once on a new file would wait for each other, so SQLite refuses one
    of them at once, whatever its busy timeout: that one tries again."""
    deadline_s = time.monotonic() + BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline_s:
                raise
            time.sleep(_WAL_PAUSE_S)
        else:
            return


def _postgresql(url: URL) -> Engine:
    engine = create_engine(
        url,
        pool_size=_POOL_SIZE,
        max_overflow=_POOL_OVERFLOW,
        pool_pre_ping=True,
        hide_parameters=True,  # errors are logged, and parameters are names
        connect_args={"connect_timeout": _CONNECT_TIMEOUT_S},
    )

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        if connection.get_execution_options().get(_READ_ONLY, False):
            connection.exec_driver_sql("SET TRANSACTION READ ONLY, ISOLATION LEVEL REPEATABLE READ")

    return engine
