"""Appends entries to the audit and checks their chain. Never changes or deletes an entry: the database refuses it too.

`hash` is the SHA-256 of the entry's own fields and the hash before it, so an entry that was altered, removed from the
middle or put in later breaks the chain. Cutting off the newest entries cannot be seen from the table alone: keep the
last hash elsewhere (it is printed by the check) to notice that too.
"""

import hashlib
import json
import threading
from collections.abc import Callable, Mapping
from datetime import datetime
from uuid import UUID

from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError, OperationalError

from cloud.database.engine import Database
from cloud.database.tables import AuditEntry
from cloud.database.types import to_us

FIRST_HASH = "0" * 64
_ATTEMPTS = 20
_BATCH = 1000

Detail = Mapping[str, str | int]


class AuditError(Exception):
    """An entry that could not be written. What was to be audited must then not happen."""


class BrokenChain(AuditError):
    """An entry whose hash does not follow from its fields and the entry before it."""


class AuditLog:
    """Safe to call from several threads; several processes take turns by the entry's number, which is the key.

    Args:
        database: the hub's database.
        now: the wall clock, UTC.
    """

    def __init__(self, database: Database, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now
        self._turn = threading.Lock()

    def append(self, action: str, account_id: UUID | None, detail: Detail) -> int:
        """Write one entry in a transaction of its own and return its number.

        Raises:
            AuditError: if the database would not take it.
        """
        last: Exception | None = None
        with self._turn:
            for _ in range(_ATTEMPTS):
                try:
                    return self._append_once(action, account_id, detail)
                except (IntegrityError, OperationalError) as error:  # another process took this number, or is writing
                    last = error
        raise AuditError(f"the audit entry {action!r} could not be written") from last

    def _append_once(self, action: str, account_id: UUID | None, detail: Detail) -> int:
        moment = self._now()
        with self._database.write() as connection:
            newest = connection.execute(
                select(AuditEntry.number, AuditEntry.hash).order_by(AuditEntry.number.desc()).limit(1)
            ).first()
            number, previous = (newest.number + 1, newest.hash) if newest else (1, FIRST_HASH)
            connection.execute(
                insert(AuditEntry).values(
                    number=number,
                    time=moment,
                    account_id=account_id,
                    action=action,
                    detail=dict(detail),
                    previous_hash=previous,
                    hash=entry_hash(number, moment, account_id, action, detail, previous),
                )
            )
        return number


def entry_hash(
    number: int, moment: datetime, account_id: UUID | None, action: str, detail: Detail, previous: str
) -> str:
    """SHA-256 over a JSON list of the entry's fields, 64 hex digits."""
    fields = [number, to_us(moment), str(account_id) if account_id else None, action, dict(detail), previous]
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def verify_chain(database: Database) -> tuple[int, str]:
    """Check every entry from the first, in batches; returns how many there are and the last hash.

    Raises:
        BrokenChain: naming the first entry that does not fit.
    """
    count, previous = 0, FIRST_HASH
    with database.read() as connection:
        while True:
            query = select(AuditEntry.__table__).where(AuditEntry.number > count).order_by(AuditEntry.number)
            batch = connection.execute(query.limit(_BATCH)).all()
            for row in batch:
                expected = entry_hash(row.number, row.time, row.account_id, row.action, row.detail, previous)
                if (row.number, row.previous_hash, row.hash) != (count + 1, previous, expected):
                    raise BrokenChain(f"audit entry {count + 1} was altered, removed or put in later")
                count, previous = row.number, row.hash
            if len(batch) < _BATCH:
                return count, previous
