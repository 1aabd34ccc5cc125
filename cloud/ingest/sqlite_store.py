"""Ingest's statements on SQLite. A writer locks the whole database, so there is nothing to lock row by row."""

import sqlite3
from collections.abc import Sequence
from functools import cache

from sqlalchemy.exc import SQLAlchemyError

from cloud.ingest.store import EVENT_COLUMNS, EVENT_FIELDS, EventRow, Store

_ROWS_PER_STATEMENT = (500, 50, 1)
"""One statement for many rows: the driver's work for each statement is a third of what an insert costs, and the
interpreter lock is given up 500 times less often. SQLite takes 32,766 parameters from version 3.32 on."""

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

    def begin(self) -> None:
        self._cursor.execute("BEGIN IMMEDIATE")

    def insert_events(self, rows: Sequence[EventRow]) -> set[str]:
        self._cursor.execute("SAVEPOINT events")
        if self._insert(rows) < len(rows):
            self._cursor.execute("ROLLBACK TO events")
            rows = self._absent(rows)
            self._insert(rows)
        self._cursor.execute("RELEASE events")
        return {row[0] for row in rows}

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
