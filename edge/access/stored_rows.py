"""How the credential set lies in its SQLite file: the tables, and one credential as a row. Opens no connection."""

import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from edge.access.credential_index import ALWAYS_US, NEVER_US, IndexedRow, Kind, StoredCredential
from protocols.credentials import CredentialRow

SCHEMA = 2
"""The file's `user_version`. A file of the first Gatehouse says 0 and has plain cards alone; `upgrade` leads here."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LATER_COLUMNS = (
    "kind INTEGER NOT NULL DEFAULT 0",
    "holder BLOB",
    "pin BLOB",
    "duress_pin BLOB",
    "duress INTEGER NOT NULL DEFAULT 0",
    "uses INTEGER",
    "offline_s INTEGER",
    "first INTEGER NOT NULL DEFAULT 0",
    "number TEXT",
)
TABLE = (
    """CREATE TABLE {name} (
    ref BLOB PRIMARY KEY, hash BLOB NOT NULL, not_before_us INTEGER NOT NULL, not_after_us INTEGER NOT NULL,
    groups TEXT NOT NULL, share BLOB NOT NULL, """
    + ", ".join(_LATER_COLUMNS)
    + ") WITHOUT ROWID"
)
STATE = """CREATE TABLE IF NOT EXISTS state (
    id INTEGER PRIMARY KEY CHECK (id = 1), version INTEGER NOT NULL, digest TEXT NOT NULL, rules TEXT NOT NULL,
    card_key TEXT NOT NULL)"""
INSERT = "INSERT INTO {name} VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


def upgrade(database: sqlite3.Connection) -> None:
    """Give a file of schema 0 the columns of schema 2; called within a transaction."""
    for column in _LATER_COLUMNS:
        database.execute(f"ALTER TABLE credentials ADD COLUMN {column}")


@dataclass(frozen=True, slots=True)
class StoredRow:
    """One credential as the table has it; `share` is its part of the set's digest."""

    hash: bytes
    credential: StoredCredential
    number: str | None
    share: bytes

    @property
    def ref(self) -> bytes:
        return self.credential.ref.bytes

    @property
    def indexed(self) -> IndexedRow:
        return self.hash, self.credential, self.number

    @staticmethod
    def of(row: CredentialRow) -> "StoredRow":
        before, after = row.not_before, row.not_after
        credential = StoredCredential(
            row.ref,
            ALWAYS_US if before is None else (before - _EPOCH) // _MICROSECOND,
            NEVER_US if after is None else (after - _EPOCH) // _MICROSECOND,
            row.groups,
            Kind[row.kind.name],
            _bytes(row.holder),
            _bytes(row.pin),
            _bytes(row.duress_pin),
            row.duress,
            row.uses,
            row.offline_s,
            row.first,
        )
        return StoredRow(bytes.fromhex(row.hash), credential, row.number, row.digest().to_bytes(32, "big"))

    @staticmethod
    def read(columns: tuple[Any, ...]) -> "StoredRow":
        """A row of the table, in the order of its columns.

        Raises:
            ValueError: if no gateway wrote it.
        """
        ref, row_hash, before_us, after_us, groups, share, kind, *rest = columns
        holder, pin, duress_pin, duress, uses, offline_s, first, number = rest
        credential = StoredCredential(
            UUID(bytes=ref),
            before_us,
            after_us,
            tuple(groups.split()),
            Kind(kind),
            holder,
            pin,
            duress_pin,
            bool(duress),
            uses,
            offline_s,
            bool(first),
        )
        return StoredRow(row_hash, credential, number, share)

    @property
    def columns(self) -> tuple[object, ...]:
        row = self.credential
        return (
            *(row.ref.bytes, self.hash, row.not_before_us, row.not_after_us, " ".join(row.groups), self.share),
            *(int(row.kind), row.holder, row.pin, row.duress_pin, row.duress, row.uses, row.offline_s, row.first),
            self.number,
        )


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else bytes.fromhex(text)
