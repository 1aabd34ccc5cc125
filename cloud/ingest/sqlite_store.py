"""Ingest's statements on SQLite. A writer locks the whole database, so there is nothing to lock row by row."""

import logging
import sqlite3
import threading
from collections.abc import Sequence
from functools import cache

from sqlalchemy.exc import SQLAlchemyError

from cloud.database.engine import Database
from cloud.ingest.store import EVENT_COLUMNS, EVENT_FIELDS, EventRow, Store

_ROWS_PER_STATEMENT = (500, 50, 1)
"""One statement for many rows: the driver's work for each statement is a third of what an insert costs, and the
interpreter lock is given up 500 times less often. SQLite takes 32,766 parameters from version 3.32 on."""

_CHECKPOINT_ROWS = 4_000
"""After so many rows (3 to 5 MB) the write-ahead log is copied into the database, beside ingest."""

_LOG_PAGES = 8_000
"""32 MB: a log that has grown so long all the same is copied by the commit itself, which also begins it anew."""

_LOG_BYTES = 64 * 1024 * 1024
"""To what a log that a slow disk let grow longer is cut back."""

_STOP_S = 10.0
_logger = logging.getLogger(__name__)
_PRESENT = "SELECT id FROM event WHERE id IN (SELECT value FROM json_each(?))"


@cache
def _insert_of(rows: int) -> str:
    row = f"({', '.join('?' * len(EVENT_FIELDS))})"
    return f"INSERT INTO event ({EVENT_COLUMNS}) VALUES {', '.join([row] * rows)} ON CONFLICT (id) DO NOTHING"  # noqa: S608 (names of our own columns)


class SqliteStore(Store):
    """`INSERT` cannot tell which rows were new, but it counts them: nearly always that says all."""

    dialect = "sqlite"
    data_errors = (sqlite3.IntegrityError, sqlite3.DataError, OverflowError, UnicodeError)
    outages = (sqlite3.Error, SQLAlchemyError)

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._cursor.execute(f"PRAGMA wal_autocheckpoint = {_LOG_PAGES}")
        self._cursor.execute(f"PRAGMA journal_size_limit = {_LOG_BYTES}")
        self._checkpointer = _Checkpointer(database)
        self._unchecked_rows = 0

    def begin(self) -> None:
        self._cursor.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        super().commit()
        if self._unchecked_rows >= _CHECKPOINT_ROWS:
            self._unchecked_rows = 0
            self._checkpointer.wake()

    def close(self) -> None:
        self._checkpointer.stop()
        super().close()

    def insert_events(self, rows: Sequence[EventRow]) -> set[str] | None:
        self._unchecked_rows += len(rows)
        self._cursor.execute("SAVEPOINT events")
        new = None
        if self._insert(rows) < len(rows):
            self._cursor.execute("ROLLBACK TO events")
            rows = self._absent(rows)
            self._insert(rows)
            new = {row[0] for row in rows}
        self._cursor.execute("RELEASE events")
        return new

    def _insert(self, rows: Sequence[EventRow]) -> int:
        """How many were inserted."""
        inserted = at = 0
        for size in _ROWS_PER_STATEMENT:
            while len(rows) - at >= size:
                part = rows[at : at + size]
                self._cursor.execute(_insert_of(size), [value for row in part for value in row])
                inserted += self._cursor.rowcount
                at += size
        return inserted

    def _absent(self, rows: Sequence[EventRow]) -> list[EventRow]:
        ids = ",".join(f'"{row[0]}"' for row in rows)
        self._cursor.execute(_PRESENT, (f"[{ids}]",))
        present = {found for (found,) in self._cursor.fetchall()}
        return [row for row in rows if row[0] not in present]


class _Checkpointer:
    """Copies the write-ahead log into the database on a thread of its own, so that ingest's commits need not.

    It never makes anybody wait (SQLite's passive mode). What it does not get done the commits do, past `_LOG_PAGES`.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._wanted = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="checkpoints", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Ask for a checkpoint; one that is asked for while another runs comes after it."""
        self._wanted.set()

    def stop(self) -> None:
        self._stopping = True
        self._wanted.set()
        self._thread.join(_STOP_S)

    def _run(self) -> None:
        while self._wanted.wait() and not self._stopping:
            self._wanted.clear()
            try:
                self._checkpoint()
            except (sqlite3.Error, SQLAlchemyError) as error:
                _logger.warning("the write-ahead log could not be copied beside ingest: %s", error)

    def _checkpoint(self) -> None:
        pooled = self._database.engine.raw_connection()
        try:
            pooled.cursor().execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        finally:
            pooled.close()
