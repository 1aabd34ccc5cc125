"""Ties what a camera told to the door events of the same place within seconds.

Nothing is stored of it: a tie is a place and a time that two events have in common, so it is right at once for events
that come late, in any order, through two workers at the same time, and after a place was corrected. A tie is no
identity: it says which cards were shown while the camera saw somebody, and never who that was.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from pydantic import AwareDatetime, TypeAdapter, ValidationError
from pydantic_core import from_json
from sqlalchemy import Connection, Select, select

from cloud.accounts.scope import Scope
from cloud.database.tables import EventRecord

BEFORE, AFTER = timedelta(seconds=10), timedelta(seconds=5)
"""Around the event. A camera tells what it saw once it is sure, so that the card was often shown before."""

LONGEST = timedelta(seconds=60)
"""An event that says since when (`since`: a tailgating's, from the first grant) is tied from then on, so far back."""

MAX_TIES = 20
"""Of a camera's event; the nearest ones."""

MAX_EVENTS = 500
DOOR_TYPES = (
    "access.granted.v1",
    "access.denied.v1",
    "access.duress.v1",
    "door.released.v1",
    "door.opened.v1",
    "door.forced.v1",
    "door.held.v1",
    "door.closed.v1",
)
_CAMERA = ("person.", "vehicle.")
_moment = TypeAdapter(AwareDatetime)


@dataclass(frozen=True)
class Tie:
    """A door event beside a camera's event."""

    camera_event: UUID
    door_event: UUID
    type: str
    apart_s: float
    """The door event's time from the camera's; negative: before."""


def ties(connection: Connection, scope: Scope, events: Collection[UUID]) -> list[Tie]:
    """The door events beside each of these camera events, in the order of time; what is no camera's event has none, nor
    has one outside the scope or of long ago.

    Args:
        events: at most `MAX_EVENTS`.
    """
    query = select(EventRecord.id, EventRecord.type, EventRecord.time, EventRecord.place_id, EventRecord.body)
    found: list[Tie] = []
    seen = (scope.covers_place(EventRecord.place_id), scope.is_recent())
    within = query.where(EventRecord.id.in_(list(events)[:MAX_EVENTS]), *seen)
    for row in connection.execute(within.order_by(EventRecord.time, EventRecord.id)).all():
        if row.place_id is None or not row.type.startswith(_CAMERA):
            continue
        near = connection.execute(near_query(row.place_id, _began(row.body, row.time), row.time + AFTER)).all()
        tied = [Tie(row.id, each.id, each.type, (each.time - row.time).total_seconds()) for each in near]
        nearest = sorted(tied, key=lambda tie: abs(tie.apart_s))[:MAX_TIES]
        found += sorted(nearest, key=lambda tie: tie.apart_s)
    return found


def near_query(place: UUID, since: datetime, until: datetime) -> Select[UUID, str, datetime]:
    """The door events of a place within a time, both ends included."""
    return (
        select(EventRecord.id, EventRecord.type, EventRecord.time)
        .where(EventRecord.place_id == place, EventRecord.time >= since, EventRecord.time <= until)
        .where(EventRecord.type.in_(DOOR_TYPES))
        .order_by(EventRecord.time.desc(), EventRecord.id.desc())
        .limit(10 * MAX_TIES)
    )


def _began(body: str, time: datetime) -> datetime:
    """From when on door events are tied."""
    try:
        since = _moment.validate_python(from_json(body)["data"].get("since"))
    except (ValidationError, ValueError, KeyError, AttributeError):
        return time - BEFORE
    return max(time - LONGEST, min(since, time) - BEFORE)
