"""The gateway's own copy of the credential set: a SQLite file that survives anything, an index in memory for decisions.

A change is one transaction: a crash leaves the old set or the new one. A version never goes down, and what a change
leads to must have the digest that the hub signed. A file that cannot be trusted is moved aside and the store starts
empty at version 0, which asks the hub for a snapshot; meanwhile every credential is unknown and the doors stay shut.
While the disk refuses, a copy in memory is decided from and changed, so that a revoked card is revoked all the same.
The store holds keyed hashes and ids: no card number, no person.
"""

import hashlib
import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

from edge.access.credential_index import CredentialIndex, StoredCredential
from edge.access.rights import CompiledRules
from edge.access.snapshot import WholeSet
from edge.access.stored_rows import INSERT, SCHEMA, STATE, TABLE, StoredRow, upgrade
from edge.standing_in import memory_copy
from protocols.cards import CardNumber, keyed_hash
from protocols.credentials import Delta, moved_digest, total_digest
from protocols.pins import keyed_hash_of
from protocols.rules import Rules

__all__ = ["CompiledRules", "CredentialStore", "NeedSnapshot", "SetRefused", "StoreHead", "StoredCredential"]

_EMPTY_DIGEST = total_digest([Rules().digest()])
_ROWS_PER_BREATH = 20
_BREATH_S = 0.0002
"""Between this many rows of a long change the thread stands back, so that a decision never waits long for it. With 200
instead of 20 a snapshot took a fifth less time, and the longest wait was 47 ms instead of 9."""
_Written = TypeVar("_Written")


class NeedSnapshot(Exception):
    """A delta does not continue what is here: fetch the whole set, from version `have`."""

    def __init__(self, have: int, why: str) -> None:
        super().__init__(f"{why}; a snapshot is needed (version {have} is here)")
        self.have = have


class SetRefused(Exception):
    """A snapshot that is older than what is here, or is not what its digest says."""


class _Untrustworthy(Exception):
    """The file's content is not what this gateway wrote."""


_UNUSABLE = (OSError, sqlite3.Error, _Untrustworthy)
"""What opening the file may meet."""


@dataclass(frozen=True)
class StoreHead:
    """Which set is in force."""

    version: int
    digest: str
    rows: int


class CredentialStore:
    """The set in force. Safe to use from any thread; a look-up takes no lock.

    Args:
        path: the SQLite file; made when it is not there.
        card_key: the gateway's own key for card hashes. A file made under another key is moved aside.

    Raises:
        OSError: if there is no such folder.
    """

    def __init__(self, path: Path, card_key: bytes) -> None:
        self._path = path
        self._card_key = card_key
        self._writing = threading.Lock()
        self.fault: str | None = None
        """Why the file that was found could not be used; None when all was well."""
        self.off_disk: str | None = None
        """Why the set lives in memory alone; None while it is on disk."""
        if not path.parent.is_dir():
            raise OSError(f"{path}: cannot be opened: there is no such folder")
        began_s = time.perf_counter()
        try:
            self._database = self._open()
        except _UNUSABLE as error:
            self._database = self._opened_otherwise(error)
        self._load_s = time.perf_counter() - began_s

    def close(self) -> None:
        with self._writing:
            self._database.close()

    @property
    def policy(self) -> tuple[int, CompiledRules]:
        """The version in force and its rules."""
        return self._policy

    @property
    def load_s(self) -> float:
        """How long reading the file took at the start."""
        return self._load_s

    @property
    def rules(self) -> Rules:
        return self._rules

    def head(self) -> StoreHead:
        """Which set is in force."""
        with self._writing:
            return StoreHead(self._policy[0], self._digest, self._count)

    def hash_of(self, card: CardNumber) -> str:
        """What this gateway knows a card by."""
        return keyed_hash(self._card_key, card)

    def hash_of_text(self, text: str) -> str:
        """What this gateway knows a PIN, plate or holder by; `text` is as `protocols.pins` and `plates` spell it."""
        return keyed_hash_of(self._card_key, text)

    def find(self, row_hash: str) -> list[StoredCredential]:
        """Every credential that carries this hash (32 hex digits), passes left out; none: it is unknown."""
        return self._index.find(bytes.fromhex(row_hash))

    def find_pass(self, ref: UUID) -> StoredCredential | None:
        """The row of a pass that is shown as a QR code, if it has one."""
        return self._index.find_pass(ref)

    def find_numbered(self, ref: UUID) -> StoredCredential | None:
        """A credential by its id, if a device keeps its number."""
        return self._index.find_numbered(ref)

    def numbered(self) -> Iterator[tuple[str, StoredCredential]]:
        """The credentials that devices keep in lists of their own, each with its card's spelling."""
        return self._index.numbered()

    @property
    def offline_classes(self) -> list[int]:
        """The times for which credentials are taken without news of the hub, in seconds, the shortest first."""
        return self._index.offline_classes

    def replace(self, whole: WholeSet) -> None:
        """Put a whole set in the place of what is here, in one transaction.

        Raises:
            SetRefused: if it is older than what is here, does not have its digest, or has an id twice; nothing changed.
            ProtocolError: if a row cannot be read; nothing changed.
            sqlite3.Error: if neither the disk nor memory takes it; nothing changed.
        """
        with self._writing:
            if whole.version < self._policy[0]:
                raise SetRefused(f"version {whole.version} is older than {self._policy[0]}, which is in force")
            index = self._write(lambda: self._write_whole(whole))
            self._index = index
            self._put_in_force(whole.version, whole.digest, whole.rules, len(index))

    def apply(self, delta: Delta) -> None:
        """Go from one version to a later one, in one transaction. A delta that is already applied changes nothing.

        Raises:
            NeedSnapshot: if it does not continue the version that is here, or leads to another digest.
            sqlite3.Error: if neither the disk nor memory takes it; nothing changed.
        """
        with self._writing:
            have = self._policy[0]
            if delta.version <= have:
                return
            if delta.since != have:
                raise NeedSnapshot(have, f"a delta from version {delta.since} came")
            come = {row.ref: row for row in map(StoredRow.of, delta.upsert)}
            gone = self._stored([*(ref.bytes for ref in delta.remove), *come])
            rules = self._rules if delta.rules is None else delta.rules
            digest = moved_digest(
                self._digest,
                [self._rules.digest(), *_shares(gone)],
                [rules.digest(), *_shares(come.values())],
            )
            if digest != delta.digest:
                raise NeedSnapshot(have, f"the delta to version {delta.version} leads to another digest")
            self._write(lambda: self._write_change(delta.version, digest, rules, gone, come.values()))
            self._index.change((row.indexed for row in gone), (row.indexed for row in come.values()))
            self._put_in_force(delta.version, digest, rules, self._count - len(gone) + len(come))

    def settle(self) -> bool:
        """Go back to the disk if it takes the file again; whether the set is on disk now."""
        with self._writing:
            if self.off_disk is None:
                return True
            try:
                disk = self._connected()
            except (OSError, sqlite3.Error):
                return False
            try:
                self._reconcile(disk)
            except (_Untrustworthy, OSError, sqlite3.Error) as error:
                disk.close()
                self._discard_if_damaged(error)
                return False
            self._database.close()
            self._database, self.off_disk = disk, None
            return True

    def _reconcile(self, disk: sqlite3.Connection) -> None:
        """Let the later of both sets win, in one transaction."""
        self._create(disk)
        found = disk.execute("SELECT version, card_key FROM state").fetchone()
        if found[1] != _fingerprint(self._card_key):
            raise _Untrustworthy("it was made under another card key")
        if found[0] > self._policy[0]:
            self._load(disk)
            return
        with _transaction(disk):
            disk.execute("DELETE FROM credentials")
            rows = self._database.execute("SELECT * FROM credentials")
            disk.executemany(INSERT.format(name="credentials"), rows)
            _write_state(disk, self._policy[0], self._digest, self._rules)

    def _opened_otherwise(self, error: Exception) -> sqlite3.Connection:
        """A damaged file is moved aside for a new one; where the disk refuses, memory stands in."""
        if self._discard_if_damaged(error):
            try:
                return self._open()
            except _UNUSABLE as again:
                error = again
        self.off_disk = f"{self._path}: cannot be opened: {error}"
        memory = memory_copy(self._path)
        try:
            self._create(memory)
            self._load(memory)
        except (_Untrustworthy, sqlite3.Error):
            memory.close()
            memory = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
            self._create(memory)
            self._load(memory)
        return memory

    def _discard_if_damaged(self, error: Exception) -> bool:
        """Move a file aside that is not what this gateway wrote; whether it was one and is gone."""
        if isinstance(error, OSError | sqlite3.OperationalError):
            return False  # the disk, not the file
        try:
            moved_to = _move_aside(self._path)
        except OSError:
            return False
        self.fault = f"{self._path}: {error}; moved to {moved_to.name}, starting empty: a snapshot is needed"
        return True

    def _write(self, write: Callable[[], _Written]) -> _Written:
        """Write to the disk; where it refuses, to a copy in memory from now on."""
        try:
            return write()
        except sqlite3.OperationalError as error:
            if self.off_disk is not None:
                raise
            memory = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
            self._database.backup(memory)
            self._database.close()
            self._database, self.off_disk = memory, f"{self._path}: cannot be written: {error}"
            return write()

    def _connected(self) -> sqlite3.Connection:
        database = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        try:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = FULL")
            self._path.chmod(0o600)
        except BaseException:  # raised on; only no file is left open
            database.close()
            raise
        return database

    def _open(self) -> sqlite3.Connection:
        database = self._connected()
        try:
            self._create(database)
            self._load(database)
        except BaseException:  # raised on; only no file is left open
            database.close()
            raise
        return database

    def _create(self, database: sqlite3.Connection) -> None:
        with _transaction(database):
            database.execute(STATE)
            schema = database.execute("PRAGMA user_version").fetchone()[0]
            if database.execute("SELECT count(*) FROM state").fetchone()[0] == 0:
                database.execute(TABLE.format(name="credentials"))
                state = (0, _EMPTY_DIGEST, Rules().model_dump_json(), _fingerprint(self._card_key))
                database.execute("INSERT INTO state VALUES (1, ?, ?, ?, ?)", state)
            elif schema == 0:
                upgrade(database)
            elif schema != SCHEMA:
                raise _Untrustworthy(f"it has schema {schema}, and this Gatehouse reads {SCHEMA}")
            database.execute(f"PRAGMA user_version = {SCHEMA}")

    def _load(self, database: sqlite3.Connection) -> None:
        version, digest, rules_text, card_key = database.execute(
            "SELECT version, digest, rules, card_key FROM state"
        ).fetchone()
        if card_key != _fingerprint(self._card_key):
            raise _Untrustworthy("it was made under another card key")
        rules = _read_rules(rules_text)
        index, shares = CredentialIndex(), rules.digest()
        for columns in database.execute("SELECT * FROM credentials"):
            row = _read_row(columns)
            index.add(*row.indexed)
            shares += int.from_bytes(row.share, "big")
        if total_digest([shares]) != digest:
            raise _Untrustworthy("its content does not have the digest that it was stored with")
        self._index = index
        self._put_in_force(version, digest, rules, len(index))

    def _put_in_force(self, version: int, digest: str, rules: Rules, count: int) -> None:
        self._digest, self._rules, self._count = digest, rules, count
        self._policy = version, CompiledRules(rules)

    def _stored(self, refs: Iterable[bytes]) -> list[StoredRow]:
        found: list[StoredRow] = []
        for ref in dict.fromkeys(refs):
            rows = self._database.execute("SELECT * FROM credentials WHERE ref = ?", (ref,))
            found.extend(map(_read_row, rows))
        return found

    def _write_whole(self, whole: WholeSet) -> CredentialIndex:
        """Write a whole set row by row, and index it on the way; what it sums up to is seen at the end."""
        index, total = CredentialIndex(), whole.rules.digest()
        with _transaction(self._database):
            self._database.execute(TABLE.format(name="incoming"))
            insert = INSERT.format(name="incoming")
            for row in _with_breath(map(StoredRow.of, whole.rows)):
                self._insert(insert, row)
                index.add(*row.indexed)
                total += int.from_bytes(row.share, "big")
            if total_digest([total]) != whole.digest:
                raise SetRefused(f"the set of version {whole.version} does not have the digest that it names")
            self._database.execute("DROP TABLE credentials")
            self._database.execute("ALTER TABLE incoming RENAME TO credentials")
            _write_state(self._database, whole.version, whole.digest, whole.rules)
        return index

    def _insert(self, insert: str, row: StoredRow) -> None:
        try:
            self._database.execute(insert, row.columns)
        except sqlite3.IntegrityError as error:
            raise SetRefused(f"the set has credential {row.credential.ref} twice") from error

    def _write_change(
        self, version: int, digest: str, rules: Rules, gone: Iterable[StoredRow], come: Iterable[StoredRow]
    ) -> None:
        with _transaction(self._database):
            self._database.executemany("DELETE FROM credentials WHERE ref = ?", ((row.ref,) for row in gone))
            columns = (row.columns for row in come)
            self._database.executemany(INSERT.format(name="credentials"), columns)
            _write_state(self._database, version, digest, rules)


def _write_state(database: sqlite3.Connection, version: int, digest: str, rules: Rules) -> None:
    row = (version, digest, rules.model_dump_json())
    database.execute("UPDATE state SET version = ?, digest = ?, rules = ?", row)


@contextmanager
def _transaction(database: sqlite3.Connection) -> Iterator[None]:
    """All or nothing, on a connection in autocommit mode."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
        database.execute("COMMIT")
    except BaseException:  # raised on; only no half transaction is left
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise


def _with_breath(rows: Iterable[StoredRow]) -> Iterator[StoredRow]:
    for number, row in enumerate(rows, 1):
        if number % _ROWS_PER_BREATH == 0:
            time.sleep(_BREATH_S)
        yield row


def _shares(rows: Iterable[StoredRow]) -> Iterator[int]:
    return (int.from_bytes(row.share, "big") for row in rows)


def _read_row(columns: tuple[Any, ...]) -> StoredRow:
    try:
        return StoredRow.read(columns)
    except (ValueError, TypeError, AttributeError) as error:
        raise _Untrustworthy(f"a row cannot be read: {error}") from error


def _read_rules(text: str) -> Rules:
    try:
        return Rules.model_validate(json.loads(text))
    except ValueError as error:
        raise _Untrustworthy(f"its rules cannot be read: {error}") from error


def _fingerprint(card_key: bytes) -> str:
    return hashlib.sha256(b"gatehouse card key" + card_key).hexdigest()[:16]


def _move_aside(path: Path) -> Path:
    """Move a database and its companions to the first free name, for an expert to look at."""
    number = 1
    while (target := path.with_name(f"{path.name}.bad-{number}")).exists():
        number += 1
    path.rename(target)
    for suffix in ("-wal", "-shm"):
        companion = path.with_name(path.name + suffix)
        if companion.exists():
            companion.rename(target.with_name(target.name + suffix))
    return target
