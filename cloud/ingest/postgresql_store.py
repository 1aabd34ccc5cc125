"""Ingest's statements on PostgreSQL: COPY into a temporary table, then one INSERT that tells which ids were new.

Workers lock alike, so that they wait for each other and never in a circle: events by id, devices by name, streams last.
"""

from collections.abc import Sequence

import psycopg
from sqlalchemy.exc import SQLAlchemyError

from cloud.database.engine import Database
from cloud.ingest.store import EVENT_COLUMNS, EventRow, Store
from cloud.linking.relinking import INGEST_LOCK

_STAGING = "CREATE TEMPORARY TABLE staged_event (LIKE event) ON COMMIT DELETE ROWS"
_COPY = f"COPY staged_event ({EVENT_COLUMNS}) FROM STDIN"
_INSERT = f"""
    INSERT INTO event ({EVENT_COLUMNS}) SELECT {EVENT_COLUMNS} FROM staged_event ORDER BY id
    ON CONFLICT (id) DO NOTHING RETURNING id
"""  # noqa: S608 (names of our own columns)


class PostgresqlStore(Store):
    """Keeps its connection, and the temporary table with it, between transactions."""

    dialect = "postgresql"
    data_errors = (psycopg.DataError, psycopg.IntegrityError, UnicodeError)
    outages = (psycopg.Error, SQLAlchemyError)

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self._cursor.execute(_STAGING)
        self._pooled.commit()

    def begin(self) -> None:
        """The driver begins by itself with the first statement. Whoever links events anew waits for those that have
        read the register before it was changed (`cloud.linking.relinking`)."""
        self._cursor.execute("SELECT pg_advisory_xact_lock_shared(%s)", (INGEST_LOCK,))

    def insert_events(self, rows: Sequence[EventRow]) -> set[str]:
        with self._cursor.copy(_COPY) as copy:
            for row in rows:
                copy.write_row(row)
        self._cursor.execute(_INSERT)
        return {found.hex for (found,) in self._cursor.fetchall()}

    def _sql(self, statement: str) -> str:
        return statement.replace("?", "%s")

    def _row_lock(self) -> str:
        return " ORDER BY gateway_id, stream FOR UPDATE"
