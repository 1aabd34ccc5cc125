"""Which commands were seen, so that none is executed twice: also not after a restart.

Kept until well after their expiry, then forgotten; bounded. When the disk refuses, memory alone remembers until it
takes them again: a release by a guard works all the same, and only a restart within a command's minute would forget it.
"""

import sqlite3
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from edge.counters import Counters
from edge.standing_in import memory_copy
from protocols.commands import Command, Reply

KEPT_AFTER_EXPIRY_S = 3600.0
"""So that a wall clock that is set back an hour revives no command."""
MAX_COMMANDS = 10_000


@dataclass
class _Seen:
    nonce: str
    forget_at_s: float
    reply: Reply | None


class CommandLedger:
    """Commands by correlation id. One thread at a time (the caller locks)."""

    def __init__(self, path: Path, counters: Counters) -> None:
        self._path, self._counters = path, counters
        self._seen: dict[UUID, _Seen] = {}
        self._nonces: set[str] = set()
        self.off_disk: str | None = None
        """Why memory alone remembers; None while the disk does."""
        try:
            self._connection = self._opened()
        except (OSError, sqlite3.Error) as error:
            self.off_disk = f"{path}: cannot be opened: {error}"
            self._counters.add("command_ledger_not_opened")
            self._connection = memory_copy(path)
            try:
                self._load(self._connection)
            except sqlite3.Error:  # not even readable
                self._connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
                self._load(self._connection)

    def settle(self) -> bool:
        """Write what memory remembers to the disk, if it is not there and the disk takes it; whether it is there."""
        if self.off_disk is None:
            return True
        try:
            disk = self._opened()
        except (OSError, sqlite3.Error):
            return False
        try:
            rows = [_columns(corr, seen) for corr, seen in self._seen.items()]
            disk.execute("BEGIN IMMEDIATE")
            disk.executemany("INSERT OR REPLACE INTO command VALUES (?, ?, ?, ?)", rows)
            disk.execute("COMMIT")
        except sqlite3.Error:
            disk.close()
            return False
        self._connection.close()
        self._connection, self.off_disk = disk, None
        return True

    def reply_of(self, corr: UUID) -> Reply | None:
        """The last answer to a command that was seen."""
        seen = self._seen.get(corr)
        return seen.reply if seen else None

    def knows(self, corr: UUID) -> bool:
        return corr in self._seen

    def knows_nonce(self, nonce: str) -> bool:
        return nonce in self._nonces

    @property
    def is_full(self) -> bool:
        return len(self._seen) >= MAX_COMMANDS

    def remember(self, command: Command) -> None:
        """Note a command before it is executed."""
        forget_at_s = command.expires.timestamp() + KEPT_AFTER_EXPIRY_S
        self._seen[command.corr] = _Seen(command.nonce, forget_at_s, None)
        self._nonces.add(command.nonce)
        self._write("INSERT INTO command VALUES (?, ?, ?, '')", (command.corr.hex, command.nonce, forget_at_s))

    def note(self, reply: Reply) -> None:
        """Note the last answer to a remembered command."""
        seen = self._seen.get(reply.corr)
        if seen is not None:
            seen.reply = reply
            self._write("UPDATE command SET reply = ? WHERE corr = ?", (reply.model_dump_json(), reply.corr.hex))

    def forget_old(self, now_wall_s: float) -> None:
        """Drop what has long expired."""
        old = [corr for corr, seen in self._seen.items() if seen.forget_at_s < now_wall_s]
        for corr in old:
            self._nonces.discard(self._seen.pop(corr).nonce)
        if old:
            self._write("DELETE FROM command WHERE forget_at_s < ?", (now_wall_s,))

    def close(self) -> None:
        self._connection.close()

    def _opened(self) -> sqlite3.Connection:
        """The file, with what it remembers taken in; made anew if it is damaged.

        Raises:
            OSError, sqlite3.Error: if the disk refuses.
        """
        for _ in range(2):
            connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
            try:
                self._load(connection)
            except sqlite3.OperationalError:
                connection.close()
                raise
            except sqlite3.DatabaseError:
                connection.close()
                self._path.unlink(missing_ok=True)
                self._counters.add("command_ledger_corrupt")
            else:
                return connection
        raise OSError("made anew and damaged again")

    def _load(self, connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS command "
            "(corr TEXT PRIMARY KEY, nonce TEXT NOT NULL, forget_at_s REAL NOT NULL, reply TEXT NOT NULL) STRICT"
        )
        for corr, nonce, forget_at_s, reply in connection.execute("SELECT * FROM command"):
            answer = Reply.model_validate_json(reply) if reply else None
            self._seen.setdefault(UUID(corr), _Seen(nonce, forget_at_s, answer))
            self._nonces.add(nonce)

    def _write(self, statement: str, values: tuple[object, ...]) -> None:
        try:
            self._connection.execute(statement, values)
        except sqlite3.Error as error:
            self._counters.add("command_ledger_not_written")
            if self.off_disk is None:  # from now on the file lacks a row, which `settle` will write
                self.off_disk = f"{self._path}: cannot be written: {error}"


def _columns(corr: UUID, seen: _Seen) -> tuple[str, str, float, str]:
    return corr.hex, seen.nonce, seen.forget_at_s, seen.reply.model_dump_json() if seen.reply else ""
