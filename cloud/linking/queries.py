"""What staff ask of stored events, one call each. Every query is answered by an index of its own and is bounded.

What lies outside the asker's scope is not there: neither the dwelling or door itself, nor an event at a place outside.
Rows are masked where they are made (`cloud.live.rows`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Select, and_, exists, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute, aliased

from cloud.accounts.scope import Scope
from cloud.database.tables import Credential, Door, EventRecord, Household, Place, PlaceKind, Residency
from cloud.live.masking import dwelling_text
from cloud.live.rows import EventRow, read_rows
from protocols.access_events import AccessGranted, DenialReason

MAX_ROWS = 500
_Parent, _Grandparent = aliased(Place), aliased(Place)


class NotFound(LookupError):
    """There is no such thing, or the asker's scope does not cover it: nobody is told which."""


@dataclass(frozen=True)
class Span:
    """The events' time: `since` <= time < `until`."""

    since: datetime
    until: datetime


@dataclass(frozen=True)
class Found:
    """Events, the latest first; `more`: there are earlier ones than the `limit` let in."""

    rows: Sequence[EventRow]
    more: bool


@dataclass(frozen=True)
class QuietHousehold:
    """A household without a passage. It has no name; its dwelling is told."""

    id: UUID
    code: str
    dwelling: str | None
    last_passage: datetime | None
    """None: none that is still kept."""


def persons_of_dwelling(connection: Connection, scope: Scope, dwelling: UUID, span: Span) -> tuple[UUID, ...]:
    """Who lived in a dwelling within a time.

    Raises:
        NotFound: no such dwelling within the scope.
    """
    _require(connection, _dwelling_within(scope, dwelling))
    lived = (Residency.since < span.until, or_(Residency.until.is_(None), Residency.until > span.since))
    query = select(Residency.person_id).where(Residency.dwelling_id == dwelling, *lived).distinct()
    return tuple(connection.scalars(query.order_by(Residency.person_id)))


def holder_of(connection: Connection, scope: Scope, credential: UUID, now: datetime) -> UUID:
    """Who holds a credential, or held it last.

    Raises:
        NotFound: no such credential, or its holder lives outside the scope.
    """
    query = select(Credential.person_id).where(Credential.id == credential)
    found = connection.scalar(query.where(scope.covers_person(Credential.person_id, now)))
    if found is None:
        raise NotFound
    return found


def dwelling_events(connection: Connection, scope: Scope, dwelling: UUID, span: Span, limit: int) -> Found:
    """What those who lived in a dwelling did, and guests of theirs, at doors within the scope.

    Raises:
        NotFound: no such dwelling within the scope.
    """
    _require(connection, _dwelling_within(scope, dwelling))
    return _read(connection, events_of(EventRecord.dwelling_id, dwelling, span, limit, scope), limit, scope)


def door_events(connection: Connection, scope: Scope, gateway: str, device: str, span: Span, limit: int) -> Found:
    """What happened at a door.

    Raises:
        NotFound: no such door within the scope.
    """
    door = select(Door.id).where(Door.gateway_id == gateway, Door.device == device, scope.covers_place(Door.place_id))
    _require(connection, door)
    return _read(connection, events_at_door(gateway, device, span, limit), limit, scope, with_clips=True)


def credential_events(connection: Connection, scope: Scope, credential: UUID, span: Span, limit: int) -> Found:
    """Where a credential was shown, at places within the scope; nothing for one that was never shown there."""
    return _read(connection, events_of(EventRecord.credential_id, credential, span, limit, scope), limit, scope)


def expired_uses(connection: Connection, scope: Scope, span: Span, limit: int) -> Found:
    """Who was refused because a credential had expired, at places within the scope."""
    query = events_of(EventRecord.denied_for, DenialReason.EXPIRED.value, span, limit, scope)
    return _read(connection, query, limit, scope)


def quiet_households(
    connection: Connection, scope: Scope, since: datetime, now: datetime, limit: int, after: str = ""
) -> tuple[list[QuietHousehold], bool]:
    """Households that are there now and of which nobody, guests aside, has passed a door since, by their codes.

    A household that began later than `since` has had no time to be missed. Its last passage is told as far back as the
    scope lets events be told.

    Args:
        after: the code of the last one that was read before; empty for the first page.

    Returns:
        At most `limit` of them, and whether there are more.
    """
    rows = connection.execute(quiet_query(scope, since, now, limit + 1, after)).all()
    return [QuietHousehold(row.id, row.code, _dwelling(row), row.last_passage) for row in rows[:limit]], len(
        rows
    ) > limit


# --- The queries, whose plans are tested


def events_of(column: InstrumentedAttribute[Any], value: object, span: Span, limit: int, scope: Scope) -> Select[UUID]:
    """The ids of the latest events that have this in a column, at places within the scope; one more than `limit`."""
    query = _latest(and_(column == value, *_within(span)), limit)
    return query if scope.is_whole else query.where(scope.covers_place(EventRecord.place_id))


def events_at_door(gateway: str, device: str, span: Span, limit: int) -> Select[UUID]:
    """The ids of a door's latest events; one more than `limit`."""
    at_door = and_(EventRecord.gateway_id == gateway, EventRecord.subject == device)
    return _latest(and_(at_door, *_within(span)), limit)


def quiet_query(scope: Scope, since: datetime, now: datetime, limit: int, after: str) -> Select[*tuple[Any, ...]]:
    """Households without a passage since, with their last one before that and the names of their dwellings."""
    passage = (
        EventRecord.household_id == Household.id,
        EventRecord.person_id.is_not(None),
        EventRecord.type == AccessGranted.TYPE,
    )
    told = () if scope.recent is None else (EventRecord.time >= scope.recent.since,)  # the index has no time of receipt
    last = select(func.max(EventRecord.time)).where(*passage, *told).scalar_subquery()
    return (
        select(
            Household.id,
            Household.code,
            last.label("last_passage"),
            Place.name,
            _Parent.name.label("parent_name"),
            _Parent.kind.label("parent_kind"),
            _Grandparent.name.label("grandparent_name"),
            _Grandparent.kind.label("grandparent_kind"),
        )
        .join(Place, Place.id == Household.dwelling_id)
        .outerjoin(_Parent, _Parent.id == Place.parent_id)
        .outerjoin(_Grandparent, _Grandparent.id == _Parent.parent_id)
        .where(
            Household.code > after,
            Household.since <= since,
            or_(Household.until.is_(None), Household.until > now),
            scope.covers_place(Household.dwelling_id),
            ~exists().where(*passage, EventRecord.time >= since),
        )
        .order_by(Household.code)
        .limit(limit)
    )


def _latest(condition: Any, limit: int) -> Select[UUID]:
    query = select(EventRecord.id).where(condition)
    return query.order_by(EventRecord.time.desc(), EventRecord.id.desc()).limit(limit + 1)


def _within(span: Span) -> tuple[Any, Any]:
    return EventRecord.time >= span.since, EventRecord.time < span.until


def _dwelling_within(scope: Scope, dwelling: UUID) -> Select[UUID]:
    return select(Place.id).where(Place.id == dwelling, Place.kind == PlaceKind.DWELLING, scope.covers_place(Place.id))


def _require(connection: Connection, query: Select[UUID]) -> None:
    if connection.execute(query).first() is None:
        raise NotFound


def _read(connection: Connection, query: Select[UUID], limit: int, scope: Scope, *, with_clips: bool = False) -> Found:
    """The rows, as the scope may know them; clips are looked for around each receipt, which is cheap where the events
    lie close together."""
    ids = connection.scalars(query).all()
    rows = read_rows(connection, ids[:limit], scope, with_clips=with_clips)
    return Found(sorted(rows, key=lambda row: (row.time, row.id), reverse=True), len(ids) > limit)


def _dwelling(row: Any) -> str | None:
    above = ((row.grandparent_name, row.grandparent_kind), (row.parent_name, row.parent_kind))
    inside = (PlaceKind.BUILDING, PlaceKind.UNIT)
    return dwelling_text([*(name for name, kind in above if kind in inside), row.name])
