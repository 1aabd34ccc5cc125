"""Appends entries to the audit and checks their chain. Never changes or deletes an entry: the database refuses it too.

`hash` is the SHA-256 of the entry's own fields and the hash before it, so an entry that was altered, removed from the
middle or put in later breaks the chain. Cutting off the newest entries cannot be seen from the table alone: keep the
last hash elsewhere to notice that too: `signed_head` gives it, and `verify_chain` checks a chain against it.

Entries about a person are found by `AuditSubject`, which the check holds against the entries themselves.
"""

import hashlib
import json
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Connection, Row, Select, insert, select
from sqlalchemy.exc import IntegrityError, OperationalError

from cloud.database.engine import Database
from cloud.database.tables import Account, AuditEntry, AuditSubject
from cloud.database.types import to_us

FIRST_HASH = "0" * 64
_ATTEMPTS = 20
_BATCH = 1000

ABOUT_A_PERSON = "person."
"""How the actions begin whose entries are found under a person."""

Detail = Mapping[str, str | int]


class AuditError(Exception):
    """An entry that could not be written. What was to be audited must then not happen."""


class BrokenChain(AuditError):
    """An entry whose hash does not follow from its fields and the entry before it."""


class Head(NamedTuple):
    """The last entry of the audit at a moment."""

    number: int
    hash: str


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

    def append(self, action: str, account_id: UUID | None, detail: Detail, subjects: Collection[UUID] = ()) -> int:
        """Write one entry in a transaction of its own and return its number.

        Args:
            subjects: the persons whom it is about; `detail` names one as `person`.

        Raises:
            AuditError: if the database would not take it.
        """
        last: Exception | None = None
        with self._turn:
            for _ in range(_ATTEMPTS):
                try:
                    return self._append_once(action, account_id, detail, subjects)
                except (IntegrityError, OperationalError) as error:  # another process took this number, or is writing
                    last = error
        raise AuditError(f"the audit entry {action!r} could not be written") from last

    def _append_once(self, action: str, account_id: UUID | None, detail: Detail, subjects: Collection[UUID]) -> int:
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
            if subjects:
                rows = [{"person_id": each, "number": number} for each in sorted(subjects)]
                connection.execute(insert(AuditSubject), rows)
        return number


def entry_hash(
    number: int, moment: datetime, account_id: UUID | None, action: str, detail: Detail, previous: str
) -> str:
    """SHA-256 over a JSON list of the entry's fields, 64 hex digits."""
    fields = [number, to_us(moment), str(account_id) if account_id else None, action, dict(detail), previous]
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def verify_chain(database: Database, kept: Collection[Head] = ()) -> tuple[int, str]:
    """Check every entry from the first, in batches; returns how many there are and the last hash.

    Args:
        kept: heads that were kept elsewhere and whose signatures were checked: the chain must still hold them.

    Raises:
        BrokenChain: naming the first entry that does not fit, or that is missing at the end.
    """
    count, previous = 0, FIRST_HASH
    wanted = {head.number: head.hash for head in kept}
    with database.read() as connection:
        while True:
            query = select(AuditEntry.__table__).where(AuditEntry.number > count).order_by(AuditEntry.number)
            batch = connection.execute(query.limit(_BATCH)).all()
            for row in batch:
                expected = entry_hash(row.number, row.time, row.account_id, row.action, row.detail, previous)
                if (row.number, row.previous_hash, row.hash) != (count + 1, previous, expected):
                    raise BrokenChain(f"audit entry {count + 1} was altered, removed or put in later")
                if wanted.pop(row.number, row.hash) != row.hash:
                    raise BrokenChain(f"audit entry {row.number} is not the one of the head that was kept")
                count, previous = row.number, row.hash
            _check_subjects(connection, batch)
            if len(batch) < _BATCH:
                break
    if wanted:
        raise BrokenChain(
            f"the audit ends at entry {count}, and a head was kept of entry {max(wanted)}: it was cut off"
        )
    return count, previous


def _check_subjects(connection: Connection, batch: Sequence[Row[*tuple[Any, ...]]]) -> None:
    """That each entry about a person is found under that person."""
    if not batch:
        return
    query = select(AuditSubject.number).where(AuditSubject.number.between(batch[0].number, batch[-1].number))
    listed = set(connection.execute(query).scalars())
    for row in batch:
        if row.action.startswith(ABOUT_A_PERSON) and row.number not in listed:
            raise BrokenChain(f"audit entry {row.number} is about a person and was taken from the person's list")


class LookRow(NamedTuple):
    """An entry about a person; `account` is the user name, None for the command line."""

    number: int
    time: datetime
    account: str | None
    action: str
    detail: dict[str, str | int]


def looks_at(database: Database, person: UUID, limit: int = 1000) -> list[LookRow]:
    """The entries about a person, newest first."""
    with database.read() as connection:
        return [LookRow(*row) for row in connection.execute(look_query(person).limit(limit))]


def look_query(person: UUID) -> Select[*tuple[Any, ...]]:
    """Every entry about a person, newest first."""
    return (
        select(
            AuditEntry.number, AuditEntry.time, Account.username.label("account"), AuditEntry.action, AuditEntry.detail
        )
        .join(AuditSubject, AuditSubject.number == AuditEntry.number)
        .outerjoin(Account, Account.id == AuditEntry.account_id)
        .where(AuditSubject.person_id == person)
        .order_by(AuditEntry.number.desc())
    )
