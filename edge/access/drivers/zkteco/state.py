"""What must outlive a restart of one device's driver: which events were delivered, which user number (pin) stands for
which credential, what the device's list holds, and what the device told about itself.

A SQLite file in the device's folder. It holds no card number and no name. A damaged file is moved aside and made anew:
the device's list is then rebuilt, and events that it sends again count as new. While the disk refuses, memory
remembers.
"""

import hashlib
import logging
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

from edge.counters import Counters

MAX_SEEN = 100_000
MAX_PINS = 200_000
FIRST_PIN = 100_001
"""Numbers below are left to users whom somebody enrols at the device."""

_FORGOTTEN_AT_ONCE = 1000
_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS seen (place INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE) STRICT",
    "CREATE TABLE IF NOT EXISTS pin (pin INTEGER PRIMARY KEY, credential TEXT NOT NULL UNIQUE) STRICT",
    "CREATE TABLE IF NOT EXISTS held (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT",
    "CREATE TABLE IF NOT EXISTS fact (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT",
)
_LOG = logging.getLogger(__name__)


class DeviceState:
    """One device's. One thread at a time (the caller locks).

    Args:
        path: the file; None keeps everything in memory.
        counters: gets `state_moved_aside` and `state_not_written`.
    """

    def __init__(self, path: Path | None, counters: Counters) -> None:
        self._counters = counters
        self._database = self._opened(path)
        self._load()

    def close(self) -> None:
        self._database.close()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Everything written inside becomes durable at the end, or (counted) stays in memory alone."""
        try:
            self._database.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            self._not_written(error)
        yield
        try:
            if self._database.in_transaction:
                self._database.execute("COMMIT")
        except sqlite3.Error as error:
            self._not_written(error)
            self._database.rollback()

    def is_new(self, key: str) -> bool:
        """Whether an event was not delivered yet."""
        return _digest(key) not in self._seen

    def remember(self, keys: Iterable[str]) -> None:
        """Note delivered events, forgetting the oldest."""
        rows = []
        for key in keys:
            digest = _digest(key)
            if digest not in self._seen:
                self._place += 1
                self._seen[digest] = None
                rows.append((self._place, digest))
        self._write("INSERT OR IGNORE INTO seen VALUES (?, ?)", rows)
        if len(self._seen) > MAX_SEEN + _FORGOTTEN_AT_ONCE:
            for digest in [each for each, _ in zip(self._seen, range(_FORGOTTEN_AT_ONCE), strict=False)]:
                del self._seen[digest]
            self._write("DELETE FROM seen WHERE place <= ?", [(self._place - len(self._seen),)])

    def pin_of(self, credential: UUID) -> int | None:
        return self._pins.get(credential)

    def credential_of(self, pin: str) -> UUID | None:
        """Whom a user number in an event stands for, also when the credential has left the list since."""
        return self._credentials.get(int(pin)) if pin.isascii() and pin.isdigit() else None

    def give_pins(self, credentials: Iterable[UUID]) -> None:
        """Give a number to each that has none. A number is never given twice."""
        rows = []
        for credential in credentials:
            if credential not in self._pins:
                pin = self._next_pin
                self._next_pin += 1
                self._pins[credential], self._credentials[pin] = pin, credential
                rows.append((pin, credential.hex))
        self._write("INSERT OR REPLACE INTO pin VALUES (?, ?)", rows)

    def forget_pins(self, kept: Iterable[UUID]) -> None:
        """When numbers are far too many, drop the oldest of those that are not `kept`."""
        surplus = len(self._pins) - MAX_PINS
        if surplus <= 0:
            return
        needed = set(kept)
        old = [pin for pin, credential in sorted(self._credentials.items()) if credential not in needed][:surplus]
        for pin in old:
            del self._pins[self._credentials.pop(pin)]
        self._write("DELETE FROM pin WHERE pin = ?", [(pin,) for pin in old])

    @property
    def held(self) -> Mapping[str, str]:
        """What the device's list holds, by key."""
        return self._held

    def hold(self, changes: Mapping[str, str | None]) -> None:
        """Note what the device holds now; None: no longer."""
        for key, value in changes.items():
            if value is None:
                self._held.pop(key, None)
            else:
                self._held[key] = value
        gone = [(key,) for key, value in changes.items() if value is None]
        there = [(key, value) for key, value in changes.items() if value is not None]
        self._write("DELETE FROM held WHERE key = ?", gone)
        self._write("INSERT OR REPLACE INTO held VALUES (?, ?)", there)

    def fact(self, name: str) -> str | None:
        return self._facts.get(name)

    def learn(self, facts: Mapping[str, str]) -> None:
        """Note what the device told about itself."""
        new = {name: value for name, value in facts.items() if self._facts.get(name) != value}
        self._facts.update(new)
        self._write("INSERT OR REPLACE INTO fact VALUES (?, ?)", list(new.items()))

    def _write(self, statement: str, rows: Sequence[tuple[object, ...]]) -> None:
        if not rows:
            return
        try:
            self._database.executemany(statement, rows)
        except sqlite3.Error as error:
            self._not_written(error)

    def _not_written(self, error: Exception) -> None:
        self._counters.add("state_not_written")
        _LOG.warning("zkteco: the device's state is not written", extra={"cause": str(error)})

    def _opened(self, path: Path | None) -> sqlite3.Connection:
        if path is None:
            return _made(":memory:")
        try:
            try:
                return _made(str(path))
            except sqlite3.OperationalError:  # the disk refuses; the file may be sound
                raise
            except sqlite3.DatabaseError as error:
                self._counters.add("state_moved_aside")
                _LOG.warning("zkteco: the device's state is damaged and made anew", extra={"cause": str(error)})
                _move_aside(path)
                return _made(str(path))
        except (OSError, sqlite3.Error) as error:
            self._not_written(error)
            return _made(":memory:")

    def _load(self) -> None:
        rows = self._database.execute("SELECT place, key FROM seen ORDER BY place").fetchall()
        self._place: int = rows[-1][0] if rows else 0
        self._seen: dict[bytes, None] = {key: None for _, key in rows}
        self._credentials = {pin: UUID(text) for pin, text in self._database.execute("SELECT pin, credential FROM pin")}
        self._pins = {credential: pin for pin, credential in self._credentials.items()}
        self._held: dict[str, str] = dict(self._database.execute("SELECT key, value FROM held").fetchall())
        self._facts: dict[str, str] = dict(self._database.execute("SELECT name, value FROM fact").fetchall())
        if "salt" not in self._facts:
            self.learn({"salt": os.urandom(16).hex()})
        self._next_pin = max(self._credentials, default=FIRST_PIN - 1) + 1

    def mark_of(self, text: str) -> str:
        """What is remembered instead of a text that has a card number in it."""
        return hashlib.blake2b(text.encode(), key=bytes.fromhex(self._facts["salt"]), digest_size=16).hexdigest()


def _made(path: str) -> sqlite3.Connection:
    """Open a file and make its tables.

    Raises:
        sqlite3.Error: if it cannot be used.
    """
    database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        for statement in _SCHEMA:
            database.execute(statement)
        if database.execute("PRAGMA quick_check").fetchone() != ("ok",):
            raise sqlite3.DatabaseError("the file is damaged")
    except sqlite3.Error:
        database.close()
        raise
    return database


def _move_aside(path: Path) -> None:
    path.replace(path.with_suffix(".bad"))
    for rest in ("-wal", "-shm"):
        path.with_name(path.name + rest).unlink(missing_ok=True)


def _digest(key: str) -> bytes:
    return hashlib.blake2b(key.encode(), digest_size=16).digest()
