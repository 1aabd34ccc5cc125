"""Requests for a person's history. The first of a day are open at once; above the limit another person confirms each.

A request is good for a day, for who asked and nobody else. It is never deleted here: it is a record like the audit's.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Connection, Row, func, insert, or_, select, update

from cloud.access.errors import NotNow, NotThere
from cloud.access.reach import Reach
from cloud.accounts.scope import Scope
from cloud.database.tables import Account, EventRecord, HistoryLook
from cloud.disclosure.values import HistoryAnswer, HistoryRequest, HistoryState, HistoryValue
from cloud.live.rows import newest_first, read_rows

DAILY_HISTORIES = 5
"""Of an account, in any 24 hours."""
GOOD_FOR = timedelta(days=1)
MAX_EVENTS = 500


class Passages(NamedTuple):
    """Where some persons went, read at once rather than one person at a time."""

    persons: Sequence[UUID]
    purpose: str
    case_number: str
    since: datetime
    until: datetime


@dataclass(frozen=True)
class Histories:
    """The requests.

    Args:
        daily: how many an account may open in 24 hours by itself.
    """

    make_id: Callable[[], UUID]
    daily: int = DAILY_HISTORIES

    def ask(
        self, connection: Connection, person: UUID, wanted: HistoryRequest, account: UUID, now: datetime
    ) -> HistoryValue:
        """Ask for the history of a person who was checked."""
        passages = Passages((person,), wanted.purpose, wanted.case_number, wanted.since, wanted.until)
        needs_second = _count_of_a_day(connection, account, now) >= self.daily
        (identifier,) = self._note(connection, passages, account, now, needs_second=needs_second)
        return _value(connection.execute(_REQUESTS.where(HistoryLook.id == identifier)).one(), now)

    def read_at_once(self, connection: Connection, passages: Passages, account: UUID, now: datetime) -> None:
        """Count what is read without a request of its own; persons whose history is open for this case count once.

        The first of a day is told whatever it counts for: a dwelling of many people could not be read at all otherwise.

        Raises:
            NotNow: if that would be more than an account may open by itself in 24 hours.
        """
        count = _count_of_a_day(connection, account, now)
        open_ones = select(HistoryLook.person_id).where(
            HistoryLook.asked_by == account,
            HistoryLook.asked_at > now - GOOD_FOR,
            HistoryLook.case_number == passages.case_number,
            or_(HistoryLook.needs_second.is_(False), HistoryLook.confirmed_by.is_not(None)),
        )
        known = set(connection.scalars(open_ones))
        fresh = [each for each in passages.persons if each not in known]
        if fresh and count > 0 and count + len(fresh) > self.daily:
            raise NotNow(
                "history",
                f"more than {self.daily} persons' histories in a day need another person",
                "ask for the history of each person, and let a colleague confirm it",
            )
        self._note(connection, passages._replace(persons=fresh), account, now, needs_second=False)

    def _note(
        self, connection: Connection, passages: Passages, account: UUID, now: datetime, *, needs_second: bool
    ) -> list[UUID]:
        rows: list[dict[str, Any]] = [
            {
                "id": self.make_id(),
                "person_id": person,
                "purpose": passages.purpose,
                "case_number": passages.case_number,
                "since": passages.since,
                "until": passages.until,
                "asked_by": account,
                "asked_at": now,
                "needs_second": needs_second,
                "confirmed_by": None,
                "confirmed_at": None,
            }
            for person in passages.persons
        ]
        if rows:
            connection.execute(insert(HistoryLook), rows)
        return [row["id"] for row in rows]


def _count_of_a_day(connection: Connection, account: UUID, now: datetime) -> int:
    """How many an account has asked for in 24 hours; two that ask at once go one after the other."""
    connection.execute(select(Account.id).where(Account.id == account).with_for_update())
    recent = select(func.count()).select_from(HistoryLook)
    recent = recent.where(HistoryLook.asked_by == account, HistoryLook.asked_at > now - GOOD_FOR)
    return connection.execute(recent).scalar_one()


def waiting(connection: Connection, reach: Reach) -> list[HistoryValue]:
    """The requests about people within reach that wait for another person."""
    query = _REQUESTS.where(
        HistoryLook.needs_second,
        HistoryLook.confirmed_by.is_(None),
        HistoryLook.asked_at > reach.now - GOOD_FOR,
        reach.covers(HistoryLook.person_id),
    )
    rows = connection.execute(query.order_by(HistoryLook.asked_at).limit(100))
    return [_value(row, reach.now) for row in rows]


def find(connection: Connection, identifier: UUID, reach: Reach) -> HistoryValue:
    """One request, about a person within reach.

    Raises:
        NotThere: if there is none.
    """
    query = _REQUESTS.where(HistoryLook.id == identifier, reach.covers(HistoryLook.person_id))
    row = connection.execute(query).first()
    if row is None:
        raise NotThere("history", "there is no such request", "ask anew")
    return _value(row, reach.now)


def confirm(connection: Connection, identifier: UUID, account: UUID, reach: Reach) -> HistoryValue:
    """Agree to another person's request.

    Raises:
        NotThere: if there is none.
        NotNow: for who asked, or if it does not wait.
    """
    found = find(connection, identifier, reach)
    if found.asked_by == account:
        raise NotNow("history", "the person who asked cannot confirm", "let another person confirm")
    waits = (HistoryLook.id == identifier) & HistoryLook.needs_second & HistoryLook.confirmed_by.is_(None)
    if found.state is HistoryState.WAITING:
        changed = update(HistoryLook).where(waits).values(confirmed_by=account, confirmed_at=reach.now)
        if connection.execute(changed).rowcount == 1:
            return find(connection, identifier, reach)
    raise NotNow("history", "it does not wait for anybody", "look at its state")


def opened(connection: Connection, identifier: UUID, account: UUID, reach: Reach) -> HistoryValue:
    """One's own request, to be read now.

    Raises:
        NotThere: if there is none of this account's.
        NotNow: if it waits, or is over.
    """
    found = find(connection, identifier, reach)
    if found.asked_by != account:
        raise NotThere("history", "there is no such request", "ask anew")
    if found.state is HistoryState.WAITING:
        raise NotNow("history", "another person has to confirm it first", "ask a colleague who may read histories")
    if found.state is HistoryState.OVER:
        raise NotNow("history", "a request is good for a day", "ask anew")
    return found


def read(connection: Connection, request: HistoryValue, scope: Scope) -> HistoryAnswer:
    """The person's events in that time, within a scope; for the purpose that the request states."""
    scope = scope.with_purpose()
    query = (
        select(EventRecord.id)
        .where(
            EventRecord.person_id == request.person,
            EventRecord.time >= request.since,
            EventRecord.time < request.until,
            scope.covers_event(),
        )
        .order_by(EventRecord.time.desc())
        .limit(MAX_EVENTS + 1)
    )
    ids = connection.execute(query).scalars().all()
    rows = newest_first(read_rows(connection, ids[:MAX_EVENTS], scope))
    return HistoryAnswer(events=tuple(rows), more=len(ids) > MAX_EVENTS)


_REQUESTS = select(HistoryLook.__table__)


def _value(row: Row[*tuple[Any, ...]], now: datetime) -> HistoryValue:
    if now >= row.asked_at + GOOD_FOR:
        state = HistoryState.OVER
    else:
        state = HistoryState.WAITING if row.needs_second and row.confirmed_by is None else HistoryState.OPEN
    return HistoryValue(
        id=row.id,
        person=row.person_id,
        state=state,
        purpose=row.purpose,
        case_number=row.case_number,
        since=row.since,
        until=row.until,
        asked_by=row.asked_by,
        asked_at=row.asked_at,
        confirmed_by=row.confirmed_by,
    )
