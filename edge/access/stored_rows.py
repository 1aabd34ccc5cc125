"""How the credential set lies in its SQLite file: the tables, and one credential as a row. Opens no connection."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from edge.access.credential_index import ALWAYS_US, NEVER_US
from protocols.credentials import CredentialRow

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

TABLE = """CREATE TABLE {name} (
    ref BLOB PRIMARY KEY, hash BLOB NOT NULL, not_before_us INTEGER NOT NULL, not_after_us INTEGER NOT NULL,
    groups TEXT NOT NULL, share BLOB NOT NULL) WITHOUT ROWID"""
STATE = """CREATE TABLE IF NOT EXISTS state (
    id INTEGER PRIMARY KEY CHECK (id = 1), version INTEGER NOT NULL, digest TEXT NOT NULL, rules TEXT NOT NULL,
    card_key TEXT NOT NULL)"""


@dataclass(frozen=True)
class StoredRow:
    """One credential as the table has it; `share` is its part of the set's digest."""

    ref: bytes
    hash: bytes
    not_before_us: int
    not_after_us: int
    groups: tuple[str, ...]
    share: int

    @staticmethod
    def of(row: CredentialRow) -> "StoredRow":
        before, after = row.not_before, row.not_after
        return StoredRow(
            row.ref.bytes,
            bytes.fromhex(row.hash),
            ALWAYS_US if before is None else (before - _EPOCH) // _MICROSECOND,
            NEVER_US if after is None else (after - _EPOCH) // _MICROSECOND,
            row.groups,
            row.digest(),
        )

    @property
    def columns(self) -> tuple[bytes, bytes, int, int, str, bytes]:
        share = self.share.to_bytes(32, "big")
        return self.ref, self.hash, self.not_before_us, self.not_after_us, " ".join(self.groups), share
