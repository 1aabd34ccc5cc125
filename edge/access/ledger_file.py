"""A small SQLite file that follows what memory knows, written behind by a thread of its own.

Whoever puts an entry never waits for the disk. Entries are kept by table and key until they are on the disk, the
newest of a key alone, and go there in one transaction each time, so that a crash leaves an earlier moment whole. While
the disk refuses, memory goes on alone and the disk is tried again. A file that is not a database is moved aside.
"""

import logging
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from edge.standing_in import memory_copy

_log = logging.getLogger(__name__)

Key = bytes | str
Row = tuple[object, ...]
_REST_S = 0.02
"""Between two transactions, so that many doors at once cost the disk and the interpreter few of them."""
_RETRY_S = 2.0
_STOP_S = 3.0


class LedgerFile:
    """The tables named in `tables` (name: columns), whose first column is the key.

    Args:
        path: the file; made with mode 600 when it is not there. None: memory alone.
    """

    def __init__(self, path: Path | None, tables: Mapping[str, str]) -> None:
        self._path, self._tables = path, tables
        self._changed = threading.Condition()
        self._waiting: dict[tuple[str, Key], Row | None] = {}
        self._in_hand = 0
        self._stopping = False
        self.off_disk: str | None = None
        """Why memory alone remembers; None while the disk follows."""
        self._found: dict[str, list[Row]] = {name: [] for name in tables}
        self._disk: sqlite3.Connection | None = None
        if path is not None:
            self._open_at_start(path)
        self._thread = threading.Thread(target=self._run, name="access-ledgers", daemon=True)
        self._thread.start()

    def found(self, table: str) -> Iterator[Row]:
        """What the file held when it was opened; can be asked for once."""
        return iter(self._found.pop(table, ()))

    def put(self, table: str, row: Row) -> None:
        """Note an entry; the newest of a key counts. Never blocks."""
        key = row[0]
        assert isinstance(key, bytes | str)  # noqa: S101 - the first column
        self._note(table, key, row)

    def drop(self, table: str, key: Key) -> None:
        """Note that an entry is gone. Never blocks."""
        self._note(table, key, None)

    def flush(self, timeout_s: float) -> bool:
        """Wait until everything noted is on the disk; whether it is."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._waiting and not self._in_hand, timeout_s)

    def close(self) -> None:
        """Write what is left, if the disk takes it, and end."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.join(_STOP_S)

    def _note(self, table: str, key: Key, row: Row | None) -> None:
        if self._path is None:
            return
        with self._changed:
            self._waiting[table, key] = row
            self._changed.notify_all()

    # --- the thread ----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._stopping)
                batch, self._waiting = self._waiting, {}
                self._in_hand = len(batch)
            written = not batch or self._written(batch)
            with self._changed:
                self._in_hand = 0
                if not written:
                    self._waiting = batch | self._waiting
                self._changed.notify_all()
                if self._stopping and (not written or not self._waiting):
                    break
                self._changed.wait_for(lambda: self._stopping, _REST_S if written else _RETRY_S)
        if self._disk is not None:
            self._disk.close()

    def _written(self, batch: Mapping[tuple[str, Key], Row | None]) -> bool:
        try:
            if self._disk is None:
                self._disk = self._opened()
            self._disk.execute("BEGIN IMMEDIATE")
            for (table, key), row in batch.items():
                self._write(self._disk, table, key, row)
            self._disk.execute("COMMIT")
        except (OSError, sqlite3.Error) as error:
            self._refused(error)
            return False
        if self.off_disk is not None:
            _log.warning("access ledgers are on disk again")
            self.off_disk = None
        return True

    def _refused(self, error: Exception) -> None:
        if self.off_disk is None:
            self.off_disk = f"{self._path}: cannot be written: {error}"
            _log.warning("access ledgers are in memory alone", extra={"reason": self.off_disk})
        if self._disk is not None:
            with suppress(sqlite3.Error):
                self._disk.close()
            self._disk = None

    def _write(self, disk: sqlite3.Connection, table: str, key: Key, row: Row | None) -> None:
        if row is None:
            name = self._tables[table].split()[0]
            disk.execute(f"DELETE FROM {table} WHERE {name} = ?", (key,))  # noqa: S608 - our own names
        else:
            disk.execute(f"INSERT OR REPLACE INTO {table} VALUES ({', '.join('?' * len(row))})", row)  # noqa: S608

    # --- opening -------------------------------------------------------------------------------------------------

    def _open_at_start(self, path: Path) -> None:
        try:
            self._disk = self._opened()
            self._read(self._disk)
        except sqlite3.OperationalError as error:
            self._stand_in(path, error)
        except sqlite3.DatabaseError as error:
            self._start_anew(path, error)
        except OSError as error:
            self._stand_in(path, error)

    def _start_anew(self, path: Path, damage: Exception) -> None:
        self._refused(damage)
        try:
            moved_to = path.with_name(f"{path.name}.bad")
            path.replace(moved_to)
            for suffix in ("-wal", "-shm"):
                path.with_name(path.name + suffix).unlink(missing_ok=True)
            self._disk = self._opened()
        except (OSError, sqlite3.Error) as error:
            self._stand_in(path, error)
        else:
            _log.error("access ledgers were damaged; counted uses and places are lost", extra={"moved_to": moved_to})
            self.off_disk = None

    def _stand_in(self, path: Path, error: Exception) -> None:
        """Go on in memory alone, from what can still be read of the file."""
        self._refused(error)
        memory = memory_copy(path)
        with suppress(sqlite3.Error):
            self._make_tables(memory)
            self._read(memory)
        memory.close()

    def _opened(self) -> sqlite3.Connection:
        assert self._path is not None  # noqa: S101 - only called with a file
        disk = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        try:
            disk.execute("PRAGMA journal_mode = WAL")
            disk.execute("PRAGMA synchronous = FULL")
            self._path.chmod(0o600)
            self._make_tables(disk)
        except BaseException:  # raised on; only no file is left open
            disk.close()
            raise
        return disk

    def _make_tables(self, database: sqlite3.Connection) -> None:
        for name, columns in self._tables.items():
            database.execute(f"CREATE TABLE IF NOT EXISTS {name} ({columns}) WITHOUT ROWID")

    def _read(self, database: sqlite3.Connection) -> None:
        for name in self._tables:
            self._found[name] = database.execute(f"SELECT * FROM {name}").fetchall()  # noqa: S608 - our own names
