"""A row of the event list: what a guard may see of an event, read for many events in one query."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, ValidationError
from sqlalchemy import Connection, Row, Select, and_, or_, select, true
from sqlalchemy.orm import aliased

from cloud.accounts.scope import WHOLE, Scope
from cloud.database.among import among
from cloud.database.tables import Door, EventRecord, Person, Place, PlaceKind
from cloud.live.clips import CLIP_TYPES, EventClip, clips_of
from cloud.live.masking import dwelling_text, masked_name
from protocols import access_events, camera_events, clip_events, events
from protocols.event_data import EventData
from protocols.topics import EventClass

LATE_AFTER = timedelta(seconds=60)
"""A row received so long after its event is marked as sent later: the gateway had been away."""


class RowKind(StrEnum):
    """What the event is about."""

    DOOR = "door"
    CAMERA = "camera"
    SYSTEM = "system"


class RowFilter(StrEnum):
    """What the page can be narrowed to."""

    ALL = "all"
    DOORS = "doors"
    CAMERAS = "cameras"
    ALARMS = "alarms"


class CredentialCheck(StrEnum):
    """Whether the credential that was presented let its holder in."""

    VALID = "valid"
    REFUSED = "refused"


class EventRow(BaseModel):
    """What a guard sees. The field names are the page's; the words are in its dictionaries."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: UUID
    gateway: str
    type: str
    kind: RowKind
    alarm: bool
    time: datetime
    received_at: datetime
    pushed_at: datetime | None = None
    """When the hub handed the row to the open pages; None in what is read over REST."""
    late: bool
    place: str | None
    device: str
    person: str | None = None
    dwelling: str | None = None
    credential: CredentialCheck | None = None
    method: str | None = None
    """How it was presented, such as `card` or `fingerprint`."""
    cause: str | None = None
    """The reason of a refusal, the cause of an opening or the fault of a device."""
    seconds: float | None = None
    """How long a door stood open or somebody stayed."""
    vehicle: str | None = None
    picture: str | None = None
    """SHA-256 of the snapshot."""
    clips: tuple[EventClip, ...] = ()
    """Of each camera that saw it; what is told of them later comes apart (`cloud.live.clips`)."""


_KINDS = {"access": RowKind.DOOR, "door": RowKind.DOOR, "reader": RowKind.DOOR}
_KINDS |= {"person": RowKind.CAMERA, "vehicle": RowKind.CAMERA, "camera": RowKind.CAMERA}
_ALARM_TYPES = tuple(
    name
    for name, kind in events.EVENT_TYPES.items()
    if kind.EVENT_CLASS is EventClass.ALARM or kind is access_events.AccessDenied
)
_Parent, _Grandparent, _Dwelling = aliased(Place), aliased(Place), aliased(Place)


def kind_of(event_type: str) -> RowKind:
    """What an event type is about; an unknown one is the system's."""
    return _KINDS.get(event_type.partition(".")[0], RowKind.SYSTEM)


def newest(
    limit: int, after: datetime | None = None, only: RowFilter = RowFilter.ALL, within: Scope = WHOLE
) -> Select[UUID, datetime]:
    """The ids of the newest events that make rows, by time of receipt, those after a moment, newest first."""
    query = select(EventRecord.id, EventRecord.received_at)
    query = query.where(EventRecord.type.not_in(CLIP_TYPES), within.covers_event())
    if after is not None:
        query = query.where(EventRecord.received_at > after)
    if only is RowFilter.ALARMS:
        query = query.where(EventRecord.type.in_(_ALARM_TYPES))
    elif only is not RowFilter.ALL:
        wanted = RowKind.DOOR if only is RowFilter.DOORS else RowKind.CAMERA
        prefixes = [prefix for prefix, kind in _KINDS.items() if kind is wanted]
        query = query.where(or_(*(EventRecord.type.startswith(f"{prefix}.") for prefix in prefixes)))
    return query.order_by(EventRecord.received_at.desc(), EventRecord.id.desc()).limit(limit)


def read_rows(
    connection: Connection, ids: Collection[UUID], within: Scope = WHOLE, *, with_clips: bool = True
) -> list[EventRow]:
    """The rows of these events that are within a scope, oldest receipt first.

    One query whatever their number, and one for their clips.

    Who passed is told if his dwelling is within it too: whoever comes from elsewhere is nobody's to name here.
    """
    if not ids:
        return []
    is_known = true() if within.is_whole else within.covers_place(EventRecord.dwelling_id)
    query = _JOINED.add_columns(is_known.label("is_known")).where(
        among(connection, EventRecord.id, ids), within.covers_event()
    )
    found = connection.execute(query).all()
    clips = clips_of(connection, found, within) if with_clips else {}
    return [_row(each, clips.get((each.gateway_id, each.id), ())) for each in found]


_JOINED = (
    select(
        EventRecord.id,
        EventRecord.gateway_id,
        EventRecord.type,
        EventRecord.subject,
        EventRecord.time,
        EventRecord.received_at,
        EventRecord.body,
        Place.name.label("place_name"),
        Door.name.label("door_name"),
        Person.name.label("person_name"),
        _Dwelling.name.label("dwelling_name"),
        _Parent.name.label("parent_name"),
        _Parent.kind.label("parent_kind"),
        _Grandparent.name.label("grandparent_name"),
        _Grandparent.kind.label("grandparent_kind"),
    )
    .outerjoin(Place, Place.id == EventRecord.place_id)
    .outerjoin(Door, and_(Door.gateway_id == EventRecord.gateway_id, Door.device == EventRecord.subject))
    .outerjoin(Person, Person.id == EventRecord.person_id)
    .outerjoin(_Dwelling, _Dwelling.id == EventRecord.dwelling_id)
    .outerjoin(_Parent, _Parent.id == _Dwelling.parent_id)
    .outerjoin(_Grandparent, _Grandparent.id == _Parent.parent_id)
    .order_by(EventRecord.received_at, EventRecord.id)
)


def _row(found: Row[*tuple[Any, ...]], clips: tuple[EventClip, ...]) -> EventRow:
    place_code, data = _content(found.body)
    details = _details(data)
    return EventRow(
        id=found.id,
        gateway=found.gateway_id,
        type=found.type,
        kind=kind_of(found.type),
        alarm=found.type in _ALARM_TYPES,
        time=found.time,
        received_at=found.received_at,
        late=found.received_at - found.time > LATE_AFTER,
        place=found.place_name or place_code,
        device=found.door_name or found.subject,
        person=masked_name(found.person_name) if found.person_name and found.is_known else None,
        dwelling=_dwelling(found) if found.is_known else None,
        clips=clips,
        **details,
    )


def _dwelling(found: Row[*tuple[Any, ...]]) -> str | None:
    above = ((found.grandparent_name, found.grandparent_kind), (found.parent_name, found.parent_kind))
    names = [name for name, kind in above if kind not in (None, PlaceKind.COMMUNITY)]
    return dwelling_text([*names, found.dwelling_name]) if found.dwelling_name else None


def _content(body: str) -> tuple[str | None, EventData | None]:
    """Place code and data of a stored event; an unknown type has no data that is shown."""
    try:
        event = events.Event.model_validate_json(body)
    except ValidationError:  # stored by another version of the hub: its columns still make a row
        return None, None
    return event.place, event.data if isinstance(event.data, EventData) else None


def _details(data: EventData | None) -> dict[str, Any]:
    """What is shown of an event's data, field by field: nothing passes that is not named here."""
    match data:
        case access_events.AccessGranted():
            return {"credential": CredentialCheck.VALID, "method": data.method.value}
        case access_events.AccessDuress():
            return {"credential": CredentialCheck.VALID}
        case access_events.AccessDenied():
            return {
                "credential": CredentialCheck.REFUSED,
                "method": data.method.value,
                "cause": data.reason.value,
            }
        case access_events.DoorReleased() | access_events.DoorOpened():
            return {"cause": data.cause.value}
        case access_events.DoorClosed() | access_events.DoorHeld():
            return {"seconds": data.open_s}
        case events.PersonEnteredZone() | events.VehicleEnteredZone():
            return {"picture": _picture(data.snapshot), "vehicle": _vehicle(data)}
        case events.PersonLeftZone() | events.VehicleLeftZone():
            return {"picture": _picture(data.snapshot), "vehicle": _vehicle(data), "seconds": data.dwell_s}
        case events.ClockJumped():
            return {"seconds": data.delta_s}
        case _:
            return _rule_details(data) or _device_details(data)


def _rule_details(data: EventData | None) -> dict[str, Any]:
    """Of what a camera's rule told."""
    if not isinstance(data, camera_events.CAMERA_EVENTS):
        return {}
    details: dict[str, Any] = {"picture": _picture(getattr(data, "snapshot", None)), "vehicle": _vehicle(data)}
    match data:
        case camera_events.PersonLoitered():
            details["seconds"] = data.dwell_s
        case camera_events.VehicleStood():
            details["seconds"] = data.still_s
        case camera_events.PersonCrossedLine() | camera_events.VehicleCrossedLine():
            details["cause"] = data.direction
        case camera_events.CameraImpaired():
            details["cause"] = data.fault.value
        case camera_events.CameraRestored():
            details |= {"cause": data.fault.value, "seconds": data.after_s}
    return details


def _device_details(data: EventData | None) -> dict[str, Any]:
    match data:
        case access_events.ReaderOffline() | events.OutboxGap():
            return {"cause": data.reason.value}
        case events.CameraOffline():
            return {"cause": data.fault.value}
        case access_events.ReaderTamper():
            return {"cause": "opened" if data.active else "closed"}
        case access_events.DoorModeChanged():
            return {"cause": data.mode.value}
        case access_events.LockdownChanged() | access_events.FireInput():
            return {"cause": "began" if data.active else "ended"}
        case access_events.ReaderPower():
            return {"cause": "failed" if data.failed else "returned"}
        case access_events.PolicyStale():
            return {"cause": "began" if data.stale else "ended"}
        case access_events.ReaderLockedOut():
            return {"seconds": data.for_s}
        case clip_events.KeepingChanged():
            return {"cause": data.level.value}
        case _:
            return {}


def _picture(snapshot: events.Snapshot | None) -> str | None:
    return snapshot.sha256 if snapshot else None


def _vehicle(data: EventData) -> str | None:
    kind = getattr(data, "kind", None)
    return kind.value if isinstance(kind, events.VehicleKind) else None


def newest_first(rows: Iterable[EventRow]) -> Sequence[EventRow]:
    """The order of the page."""
    return sorted(rows, key=lambda row: (row.received_at, row.id), reverse=True)
