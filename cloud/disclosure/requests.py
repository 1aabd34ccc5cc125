"""What persons ask of their data (to have it, to have it erased), and holds of a person's data for a case.

At the console a request is one person's, and another has to confirm it: it concerns everything there is. It is good for
a week, for who asked. Requests are never deleted: they are a record like the audit's.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Row, and_, exists, insert, not_, select, update

from cloud.access.errors import NotNow, NotThere
from cloud.access.reach import Reach
from cloud.accounts.scope import IdColumn
from cloud.database.tables import Person, PersonHold, Residency, SubjectRequest
from cloud.disclosure.values import HoldValue, RequestState, SubjectRequestValue, SubjectWanted

GOOD_FOR = timedelta(days=7)


class RequestKind(StrEnum):
    EXPORT = "export"
    ERASE = "erase"


def lives_within(reach: Reach, person_id: IdColumn) -> ColumnElement[bool]:
    """The condition on a column of person ids: the reach covers the person and every dwelling that he ever had."""
    if reach.scope.is_whole:
        return reach.covers(person_id)
    elsewhere = exists().where(Residency.person_id == person_id, not_(reach.scope.covers_place(Residency.dwelling_id)))
    return and_(reach.covers(person_id), not_(elsewhere))


def check_whole_person(connection: Connection, person: UUID, reach: Reach) -> None:
    """That all of a person's life here lies within the account's reach.

    Raises:
        NotThere: if not.
    """
    if connection.execute(select(Person.id).where(Person.id == person, lives_within(reach, Person.id))).first() is None:
        raise NotThere("person", "there is no such person whom this account may answer", "ask who has the whole hub")


def ask(
    connection: Connection,
    make_id: Callable[[], UUID],
    person: UUID,
    wanted: SubjectWanted,
    by: UUID | None,
    now: datetime,
) -> SubjectRequestValue:
    """Write a request about a person who was checked down; at the command line (`by` None) nobody else confirms it."""
    values = {
        "id": make_id(),
        "person_id": person,
        "kind": wanted.kind,
        "purpose": wanted.purpose,
        "case_number": wanted.case_number,
        "asked_by": by,
        "asked_at": now,
        "is_left": False,
    }
    connection.execute(insert(SubjectRequest).values(**values))
    return _value(connection.execute(_REQUESTS.where(SubjectRequest.id == values["id"])).one(), now)


def waiting(connection: Connection, reach: Reach) -> list[SubjectRequestValue]:
    """The requests about people within reach that wait for another person, are open, or could not be carried out."""
    recent = SubjectRequest.done_at.is_(None) & (SubjectRequest.asked_at > reach.now - GOOD_FOR)
    query = _REQUESTS.where(recent | SubjectRequest.is_left, lives_within(reach, SubjectRequest.person_id))
    rows = connection.execute(query.order_by(SubjectRequest.asked_at).limit(100))
    return [_value(row, reach.now) for row in rows]


def find(connection: Connection, identifier: UUID, reach: Reach) -> SubjectRequestValue:
    """One request, about a person within reach.

    Raises:
        NotThere: if there is none.
    """
    query = _REQUESTS.where(SubjectRequest.id == identifier, lives_within(reach, SubjectRequest.person_id))
    row = connection.execute(query).first()
    if row is None:
        raise NotThere("request", "there is no such request", "ask anew")
    return _value(row, reach.now)


def confirm(connection: Connection, identifier: UUID, account: UUID, reach: Reach) -> SubjectRequestValue:
    """Agree to another person's request.

    Raises:
        NotThere: if there is none.
        NotNow: for who asked, or if it does not wait.
    """
    found = find(connection, identifier, reach)
    if found.asked_by == account:
        raise NotNow("request", "the person who asked cannot confirm", "let another person confirm")
    waits = (SubjectRequest.id == identifier) & SubjectRequest.confirmed_by.is_(None)
    if found.state is RequestState.WAITING:
        changed = update(SubjectRequest).where(waits).values(confirmed_by=account, confirmed_at=reach.now)
        if connection.execute(changed).rowcount == 1:
            return find(connection, identifier, reach)
    raise NotNow("request", "it does not wait for anybody", "look at its state")


def opened(
    connection: Connection, identifier: UUID, kind: RequestKind, account: UUID, reach: Reach
) -> SubjectRequestValue:
    """One's own request, to be carried out now.

    Raises:
        NotThere: if there is none of this account's of that kind.
        NotNow: if it waits, is done or over.
    """
    found = find(connection, identifier, reach)
    if found.asked_by != account or found.kind != kind:
        raise NotThere("request", "there is no such request", "ask anew")
    if found.state is not RequestState.OPEN:
        raise NotNow("request", f"it is {found.state.value}", "another person confirms it; it is good for a week")
    return found


def close(connection: Connection, identifier: UUID, now: datetime, *, is_left: bool = False) -> None:
    """Note that a request was carried out; `is_left`: an erasure of which something is left."""
    done = update(SubjectRequest).where(SubjectRequest.id == identifier)
    connection.execute(done.values(done_at=now, is_left=is_left))


def unfinished_erasures(connection: Connection) -> list[tuple[UUID, UUID]]:
    """The erasures of which something is left: request and person."""
    query = select(SubjectRequest.id, SubjectRequest.person_id).where(SubjectRequest.is_left)
    return [(row.id, row.person_id) for row in connection.execute(query.order_by(SubjectRequest.asked_at).limit(100))]


_REQUESTS = select(SubjectRequest.__table__)


def _value(row: Row[*tuple[Any, ...]], now: datetime) -> SubjectRequestValue:
    if row.is_left:
        state = RequestState.LEFT
    elif row.done_at is not None:
        state = RequestState.DONE
    elif now >= row.asked_at + GOOD_FOR:
        state = RequestState.OVER
    else:
        state = RequestState.WAITING if row.confirmed_by is None and row.asked_by is not None else RequestState.OPEN
    return SubjectRequestValue(
        id=row.id,
        person=row.person_id,
        kind=row.kind,
        state=state,
        purpose=row.purpose,
        case_number=row.case_number,
        asked_by=row.asked_by,
        asked_at=row.asked_at,
        confirmed_by=row.confirmed_by,
    )


# --- Holds


def hold(
    connection: Connection,
    make_id: Callable[[], UUID],
    person: UUID,
    purpose: str,
    case: str,
    by: UUID | None,
    now: datetime,
) -> UUID:
    """Let nothing of a person's data go while a case needs it; the hold's id.

    Raises:
        NotThere: if there is no such person.
        NotNow: if this case holds it already.
    """
    if connection.execute(select(Person.id).where(Person.id == person).with_for_update()).first() is None:
        raise NotThere("person", "there is no such person", "look up the residents of the dwelling")
    known = (PersonHold.person_id == person, PersonHold.case_number == case, PersonHold.ended_at.is_(None))
    if connection.execute(select(PersonHold.id).where(*known)).first() is not None:
        raise NotNow("case_number", "this case holds the person's data already", "end that hold when the case is over")
    identifier = make_id()
    values = {"person_id": person, "case_number": case, "purpose": purpose, "held_at": now, "held_by": by}
    connection.execute(insert(PersonHold).values(id=identifier, **values))
    return identifier


def end_hold(connection: Connection, identifier: UUID, by: UUID | None, reach: Reach) -> HoldValue:
    """End a hold of a person within reach.

    Raises:
        NotThere: if there is none that is not ended.
    """
    found = next((each for each in holds(connection, reach) if each.id == identifier), None)
    if found is None:
        raise NotThere("hold", "there is no such hold", "the list shows those there are")
    connection.execute(update(PersonHold).where(PersonHold.id == identifier).values(ended_at=reach.now, ended_by=by))
    return found


def holds(connection: Connection, reach: Reach) -> list[HoldValue]:
    """The holds of people within reach that are not ended, the oldest first."""
    query = select(PersonHold.__table__).where(PersonHold.ended_at.is_(None), reach.covers(PersonHold.person_id))
    rows = connection.execute(query.order_by(PersonHold.held_at, PersonHold.id))
    return [
        HoldValue(
            id=row.id, person=row.person_id, purpose=row.purpose, case_number=row.case_number, held_at=row.held_at
        )
        for row in rows
    ]
