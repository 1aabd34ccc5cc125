"""The outbox's SQLite file: WAL, synchronous=FULL, one stream of numbers that never repeat.

Owned by the writer thread; only `OutboxReader` reads beside it, with a connection of its own. `max_page_count` is the
quota: an insert beyond it fails with SQLITE_FULL while a delete still works. It is per connection, so it is set at
each open.
"""

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from edge.outbox.ranges import Range
from edge.outbox.rows import OutboxRow, Priority
from protocols.receipts import Receipt
from protocols.topics import EventClass

_BUSY_TIMEOUT_S = 5.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS outbox (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id BLOB NOT NULL,
    class TEXT NOT NULL,
    prio INTEGER NOT NULL,
    created_ms INTEGER NOT NULL,
    body BLOB NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS outbox_by_prio ON outbox (prio);
CREATE TABLE IF NOT EXISTS stream (id TEXT NOT NULL) STRICT;
"""
_NEXT_ROWS = "SELECT seq, body FROM outbox WHERE seq > ? ORDER BY seq LIMIT ?"
_CORRUPT = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
DELETE_CHUNK_ROWS = 2000
"""The most rows that one transaction deletes, so that a new event never waits for a long one."""


class CorruptOutbox(Exception):
    """The file is not a sound outbox; it is to be moved aside."""


class OutboxFull(Exception):
    """The quota or the disk has no room for what was to be written; nothing was written."""


@dataclass(frozen=True)
class NewRow:
    """An event ready to be inserted."""

    seq: int
    id: UUID
    event_class: EventClass
    priority: Priority
    created_ms: int
    body: bytes


def translated(error: sqlite3.Error) -> Exception:
    """What SQLite's error means for an outbox; the error itself if it means nothing special."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return OutboxFull(str(error))
    if code in _CORRUPT:
        return CorruptOutbox(str(error))
    return error


class OutboxFile:
    """One open file.

    Raises:
        CorruptOutbox: at opening or later, if the file is damaged.
        OutboxFull: if there is no room.
        sqlite3.Error: for any other fault of the disk.
    """

    def __init__(self, path: Path, quota_bytes: int, new_stream: UUID) -> None:
        self.path = path
        self._connection = sqlite3.connect(path, _BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
        try:
            self._open(quota_bytes, new_stream)
        except sqlite3.Error as error:
            self._connection.close()
            raise translated(error) from error
        except CorruptOutbox:
            self._connection.close()
            raise

    def _open(self, quota_bytes: int, new_stream: UUID) -> None:
        execute = self._connection.execute
        execute("PRAGMA journal_mode = WAL")
        execute("PRAGMA synchronous = FULL")
        self._page_bytes: int = execute("PRAGMA page_size").fetchone()[0]
        self.set_quota(quota_bytes)
        verdict = execute("PRAGMA quick_check(1)").fetchone()[0]
        if verdict != "ok":
            raise CorruptOutbox(str(verdict))
        self._connection.executescript(_SCHEMA)
        if execute("SELECT count(*) FROM stream").fetchone()[0] == 0:
            execute("INSERT INTO stream VALUES (?)", (str(new_stream),))
        self.stream = UUID(execute("SELECT id FROM stream").fetchone()[0])
        self.rows: int = execute("SELECT count(*) FROM outbox").fetchone()[0]
        last = execute("SELECT seq FROM sqlite_sequence WHERE name = 'outbox'").fetchone()
        self.last_seq: int = last[0] if last else 0

    def close(self) -> None:
        self._connection.close()

    @property
    def size_bytes(self) -> int:
        return int(self._connection.execute("PRAGMA page_count").fetchone()[0]) * self._page_bytes

    def set_quota(self, quota_bytes: int) -> None:
        """Let the file grow to `quota_bytes` and no further (never below its present size)."""
        self._connection.execute(f"PRAGMA max_page_count = {max(quota_bytes // self._page_bytes, 16)}")

    def freeze(self) -> None:
        """Let the file grow no further: new rows only take the room of deleted ones."""
        self._connection.execute("PRAGMA max_page_count = 1")

    def append(
        self, rows: Sequence[NewRow], receipts: Iterable[Receipt] = (), delete_limit: int = DELETE_CHUNK_ROWS
    ) -> bool:
        """In one transaction insert `rows` and delete what `receipts` cover; whether a receipt covers still more."""
        with self._transaction():
            self._insert(rows)
            gone, more = self._delete_covered(receipts, delete_limit)
        self._count(rows, gone)
        return more

    def worst_priority(self) -> Priority | None:
        """The class that would be dropped first, if there is a row that may be dropped."""
        found = self._connection.execute("SELECT max(prio) FROM outbox WHERE prio > ?", (Priority.GAP,)).fetchone()[0]
        return None if found is None else Priority(found)

    def oldest(self, priority: Priority, limit: int) -> list[tuple[int, EventClass]]:
        """Number and class of the oldest rows of a priority."""
        found = self._connection.execute(
            "SELECT seq, class FROM outbox WHERE prio = ? ORDER BY seq LIMIT ?", (priority, limit)
        )
        return [(seq, EventClass(name)) for seq, name in found]

    def least_worth(self, limit: int) -> list[tuple[int, EventClass]]:
        """Number and class of the rows that are to go first, over all priorities: the lowest class, the oldest."""
        found = self._connection.execute(
            "SELECT seq, class FROM outbox WHERE prio > ? ORDER BY prio DESC, seq LIMIT ?", (Priority.GAP, limit)
        )
        return [(seq, EventClass(name)) for seq, name in found]

    def gaps(self) -> list[OutboxRow]:
        """The gap events that no receipt has covered yet."""
        return _rows(
            self._connection.execute("SELECT seq, class, body FROM outbox WHERE prio = ? ORDER BY seq", (Priority.GAP,))
        )

    def swap(self, gone: Iterable[Range], rows: Sequence[NewRow]) -> None:
        """In one transaction delete ranges of numbers and insert the gap events that tell of it."""
        with self._transaction():
            deleted = sum(
                self._connection.execute("DELETE FROM outbox WHERE seq BETWEEN ? AND ?", span).rowcount for span in gone
            )
            self._insert(rows)
        self._count(rows, deleted)

    def restart(self, stream: UUID, move: Callable[[bytes, UUID, int], bytes]) -> None:
        """In one transaction number all rows anew, from 1 in `stream`. `move` makes a row's new body.

        A row's new number is never above its old one, so each is changed in its place and the file does not grow.
        """
        execute, count, last = self._connection.execute, 0, 0
        with self._transaction():
            while rows := execute(_NEXT_ROWS, (last, DELETE_CHUNK_ROWS)).fetchall():
                changed = [(seq, move(body, stream, seq), old) for seq, (old, body) in enumerate(rows, count + 1)]
                self._connection.executemany("UPDATE outbox SET seq = ?, body = ? WHERE seq = ?", changed)
                count, last = count + len(rows), rows[-1][0]
            execute("UPDATE sqlite_sequence SET seq = ? WHERE name = 'outbox'", (count,))
            execute("UPDATE stream SET id = ?", (str(stream),))
        self.stream, self.rows, self.last_seq = stream, count, count

    def checkpoint(self) -> None:
        """Bring the log's pages into the file, so that the next write begins the log anew, in the room that it has.

        The log is not cut: on a full disk its room would be gone for good.
        """
        with suppress(sqlite3.OperationalError):  # a reader is at work, or no room: the next one does it
            self._connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()

    def _insert(self, rows: Sequence[NewRow]) -> None:
        self._connection.executemany(
            "INSERT INTO outbox (seq, id, class, prio, created_ms, body) VALUES (?, ?, ?, ?, ?, ?)",
            [(row.seq, row.id.bytes, row.event_class, row.priority, row.created_ms, row.body) for row in rows],
        )

    def _delete_covered(self, receipts: Iterable[Receipt], limit: int) -> tuple[int, bool]:
        gone = 0
        for receipt in receipts:
            for first, last in ((0, receipt.upto), *receipt.also):
                gone += self._connection.execute(
                    "DELETE FROM outbox WHERE seq IN (SELECT seq FROM outbox WHERE seq BETWEEN ? AND ? LIMIT ?)",
                    (first, last, limit - gone),
                ).rowcount
                if gone >= limit:
                    return gone, True
        return gone, False

    def _count(self, rows: Sequence[NewRow], gone: int) -> None:
        self.rows += len(rows) - gone
        if rows:
            self.last_seq = rows[-1].seq

    def _transaction(self) -> "_Transaction":
        return _Transaction(self._connection)


class _Transaction:
    """BEGIN IMMEDIATE … COMMIT, or ROLLBACK with the error translated."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            raise translated(error) from error

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if error is None:
            try:
                self._connection.execute("COMMIT")
            except sqlite3.Error as fault:
                self._roll_back()
                raise translated(fault) from fault
            return
        self._roll_back()
        if isinstance(error, sqlite3.Error):
            raise translated(error) from error

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            with suppress(sqlite3.Error):  # SQLite has rolled back by itself
                self._connection.execute("ROLLBACK")


class OutboxReader:
    """Reads committed rows beside the writer. One thread at a time."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, _BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
        self._connection.execute("PRAGMA query_only = ON")

    def rows(self, first: int, last: int, limit: int) -> list[OutboxRow]:
        """Rows numbered `first` to `last`, rising, at most `limit`."""
        return _rows(
            self._connection.execute(
                "SELECT seq, class, body FROM outbox WHERE seq BETWEEN ? AND ? ORDER BY seq LIMIT ?",
                (first, last, limit),
            )
        )

    def close(self) -> None:
        self._connection.close()


def _rows(found: Iterable[tuple[int, str, bytes]]) -> list[OutboxRow]:
    return [OutboxRow(seq, EventClass(name), body) for seq, name, body in found]
