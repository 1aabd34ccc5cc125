"""Ingest's statements on SQLite. A writer locks the whole database, so there is nothing to lock row by row."""

import sqlite3
from collections.abc import Sequence

from sqlalchemy.exc import SQLAlchemyError

from cloud.ingest.store import EVENT_COLUMNS, EventRow, Store

_INSERT = f"""
    INSERT INTO event ({EVENT_COLUMNS}) VALUES ({", ".join("?" * len(EventRow._fields))})
    ON CONFLICT (id) DO NOTHING
"""  # noqa: S608 (names of our own columns)
_PRESENT = "SELECT id FROM event WHERE id IN (SELECT value FROM json_each(?))"


class SqliteStore(Store):
    """`executemany` cannot tell which rows were new, but it counts them: nearly always that says all."""

    dialect = "sqlite"
    data_errors = (sqlite3.IntegrityError, sqlite3.DataError, OverflowError, UnicodeError)
    outages = (sqlite3.Error, SQLAlchemyError)

    def begin(self) -> None:
        self._cursor.execute("BEGIN IMMEDIATE")

    def insert_events(self, rows: Sequence[EventRow]) -> set[str]:
        self._cursor.execute("SAVEPOINT events")
        self._cursor.executemany(_INSERT, rows)
        if self._cursor.rowcount < len(rows):
            self._cursor.execute("ROLLBACK TO events")
            rows = self._absent(rows)
            self._cursor.executemany(_INSERT, rows)
        self._cursor.execute("RELEASE events")
        return {row.id for row in rows}

    def _absent(self, rows: Sequence[EventRow]) -> list[EventRow]:
        ids = ",".join(f'"{row.id}"' for row in rows)
        self._cursor.execute(_PRESENT, (f"[{ids}]",))
        present = {found for (found,) in self._cursor.fetchall()}
        return [row for row in rows if row.id not in present]
