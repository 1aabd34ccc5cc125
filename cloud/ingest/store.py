"""The statements of ingest on one DB-API connection, for what both databases spell alike.

The driver is used directly: SQLAlchemy costs two (SQLite) to twenty (PostgreSQL) times the processor time of these
inserts. UUIDs go in as 32 hex digits, which both databases take. Statements are written with `?`.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar
from uuid import UUID

from cloud.database.engine import Database, DialectName
from cloud.ingest.coverage import Coverage
from cloud.linking.links import LINK_FIELDS, LinkKey, Links, resolve

StreamKey = tuple[str, str]
"""Gateway, and stream as 32 hex digits."""


EventRow = tuple[Any, ...]
"""A row of the table `event`: `EVENT_FIELDS`. A plain tuple, which costs a quarter of one with names."""

EVENT_FIELDS = (
    "id",
    "gateway_id",
    "stream",
    "seq",
    "type",
    "subject",
    "time",
    "received_at",
    *LINK_FIELDS,
    "denied_for",
    "body",
)
EVENT_COLUMNS = ", ".join(EVENT_FIELDS)

_SAVE_STATE = """
    INSERT INTO device_state (gateway_id, device, kind, state, since, stream, seq) VALUES (?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (gateway_id, device) DO UPDATE
    SET kind = excluded.kind, state = excluded.state, since = excluded.since,
        stream = excluded.stream, seq = excluded.seq
    WHERE (excluded.stream, excluded.seq) > (device_state.stream, device_state.seq)
"""
_SAVE_CURSOR = """
    INSERT INTO stream_cursor (gateway_id, stream, upto, ranges) VALUES (?, ?, ?, ?)
    ON CONFLICT (gateway_id, stream) DO UPDATE SET upto = excluded.upto, ranges = excluded.ranges
"""
_NEW_CURSOR = """
    INSERT INTO stream_cursor (gateway_id, stream, upto, ranges) VALUES (?, ?, 0, '[]')
    ON CONFLICT (gateway_id, stream) DO NOTHING
"""
_READ_CURSORS = "SELECT gateway_id, stream, upto, ranges FROM stream_cursor WHERE gateway_id IN ({}) AND stream IN ({})"
_SAVE_BIRTH = """
    UPDATE gateway SET session = ?, presence = ?, presence_at = ?, reported = ? WHERE id = ? AND session <= ?
"""
_SAVE_WILL = "UPDATE gateway SET session = ?, presence = ?, presence_at = ? WHERE id = ? AND session <= ?"
_SAVE_DEAD_LETTER = """
    INSERT INTO dead_letter (id, gateway_id, topic, reason, payload, received_at) VALUES (?, ?, ?, ?, ?, ?)
"""
_TRIM_DEAD_LETTERS = """
    DELETE FROM dead_letter WHERE id IN (
      SELECT id FROM dead_letter ORDER BY received_at DESC, id DESC LIMIT 1000000000 OFFSET ?)
"""


class Store(ABC):
    """One connection to the database, for one thread; `begin`, statements, then `commit` or `rollback`.

    Raises (every method):
        one of `data_errors`: for content that the database does not take.
        one of `outages`: for anything else; the connection must then be closed.
    """

    dialect: ClassVar[DialectName]
    data_errors: ClassVar[tuple[type[Exception], ...]]
    outages: ClassVar[tuple[type[Exception], ...]]

    def __init__(self, database: Database) -> None:
        self._pooled = database.engine.raw_connection()
        self._cursor: Any = self._pooled.cursor()

    @abstractmethod
    def begin(self) -> None:
        """Begin a transaction that will write."""

    @abstractmethod
    def insert_events(self, rows: Sequence[EventRow]) -> set[str] | None:
        """Insert the rows whose id is not there yet; the ids that were inserted, None for all.

        No id stands twice in `rows`.
        """

    def commit(self) -> None:
        self._pooled.commit()

    def rollback(self) -> None:
        self._pooled.rollback()

    def close(self) -> None:
        """Drop the connection for good: after an outage nobody knows its state."""
        self._pooled.invalidate()

    def links(self, keys: Sequence[LinkKey]) -> list[Links]:
        return resolve(self._cursor, self.dialect, keys)

    def save_states(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Rows of `device_state`, sorted by device; one that is not later than what is there changes nothing."""
        self._cursor.executemany(self._sql(_SAVE_STATE), rows)

    def lock_cursors(self, keys: Sequence[StreamKey]) -> dict[StreamKey, Coverage]:
        """What of each stream is stored, locked until the end of the transaction; `keys` are sorted."""
        found = self._read_cursors(keys)
        if missing := [key for key in keys if key not in found]:
            self._cursor.executemany(self._sql(_NEW_CURSOR), missing)
            found |= self._read_cursors(missing)
        return {key: found[key] for key in keys}

    def save_cursors(self, covered: dict[StreamKey, Coverage]) -> None:
        rows = [(*key, coverage.upto, json.dumps(coverage.ranges)) for key, coverage in covered.items()]
        self._cursor.executemany(self._sql(_SAVE_CURSOR), rows)

    def save_presence(self, gateway: str, session: int, state: str, at_us: int, reported: str | None) -> bool:
        """Whether it was not of an older session. `reported` (JSON) is left as it was where None."""
        if reported is None:
            self._cursor.execute(self._sql(_SAVE_WILL), (session, state, at_us, gateway, session))
        else:
            self._cursor.execute(self._sql(_SAVE_BIRTH), (session, state, at_us, reported, gateway, session))
        return bool(self._cursor.rowcount == 1)

    def save_dead_letters(self, rows: Sequence[tuple[Any, ...]], keep: int) -> None:
        """Add rows of `dead_letter`, then remove all but the newest `keep`."""
        self._cursor.executemany(self._sql(_SAVE_DEAD_LETTER), rows)
        self._cursor.execute(self._sql(_TRIM_DEAD_LETTERS), (keep,))

    def _sql(self, statement: str) -> str:
        """The statement with this driver's placeholders."""
        return statement

    def _read_cursors(self, keys: Sequence[StreamKey]) -> dict[StreamKey, Coverage]:
        gateways, streams = sorted({gateway for gateway, _ in keys}), sorted({stream for _, stream in keys})
        query = _READ_CURSORS.format(",".join("?" * len(gateways)), ",".join("?" * len(streams)))
        self._cursor.execute(self._sql(query) + self._row_lock(), (*gateways, *streams))
        return {
            (gateway, stream.hex if isinstance(stream, UUID) else stream): _coverage(upto, ranges)
            for gateway, stream, upto, ranges in self._cursor.fetchall()
        }

    def _row_lock(self) -> str:
        """What a SELECT ends with so that another worker waits for its rows."""
        return ""


def _coverage(upto: int, ranges: Any) -> Coverage:
    parsed = json.loads(ranges) if isinstance(ranges, str) else ranges
    return Coverage(upto, tuple((first, last) for first, last in parsed))
