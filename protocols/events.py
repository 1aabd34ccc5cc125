"""The event envelope and every event type (CloudEvents 1.0 attribute names; docs/contract.md).

An event is an `Event` whose `data` is one of the `EventData` models, found by `type`. A type that this version does not
know keeps its data as a plain dictionary, so that nothing is lost. `data` never holds a name, a category or a face.
"""

from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal
from uuid import UUID

from pydantic import (
    AfterValidator,
    Field,
    PlainValidator,
    SerializeAsAny,
    StringConstraints,
    ValidationInfo,
)

from protocols.access_events import ACCESS_EVENTS
from protocols.base import (
    MAX_EVENTS_PER_MESSAGE,
    DeviceId,
    GatewayId,
    Instant,
    Message,
    PlaceCode,
)
from protocols.camera_events import CAMERA_EVENTS
from protocols.clip_events import CLIP_EVENTS
from protocols.event_data import Box as Box
from protocols.event_data import EventData, Fraction, Seconds, Text
from protocols.event_data import Snapshot as Snapshot
from protocols.event_data import VehicleKind as VehicleKind
from protocols.topics import EventClass

TypeName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z_]*(\.[a-z][a-z_]*)+\.v[1-9][0-9]*$", max_length=80)]


class ClockState(StrEnum):
    """Whether the gateway's wall clock was synchronised (NTP) when the event was made."""

    SYNCED = "synced"
    UNSYNCED = "unsynced"


class Clock(Message):
    """The gateway's clocks beside the event's `time`: their state, and milliseconds since the gateway's boot."""

    state: ClockState
    monotonic_ms: Annotated[int, Field(ge=0)]


class _Entered(EventData):
    EVENT_CLASS: ClassVar[EventClass] = EventClass.VIDEO
    zone: DeviceId
    track: Annotated[int, Field(ge=1)]
    score: Fraction
    box: Box
    snapshot: Snapshot | None = None


class _Left(EventData):
    EVENT_CLASS: ClassVar[EventClass] = EventClass.VIDEO
    zone: DeviceId
    track: Annotated[int, Field(ge=1)]
    dwell_s: Seconds
    snapshot: Snapshot | None = None


class PersonEnteredZone(_Entered):
    """A tracked person's foot point came into a zone. A track has a number and no identity. `subject` is the camera."""

    TYPE: ClassVar[str] = "person.entered_zone.v1"


class PersonLeftZone(_Left):
    """A tracked person left a zone, or was no longer seen; `snapshot` is the best view of the track."""

    TYPE: ClassVar[str] = "person.left_zone.v1"


class VehicleEnteredZone(_Entered):
    """A tracked vehicle's foot point came into a zone."""

    TYPE: ClassVar[str] = "vehicle.entered_zone.v1"
    kind: VehicleKind


class VehicleLeftZone(_Left):
    """A tracked vehicle left a zone, or was no longer seen."""

    TYPE: ClassVar[str] = "vehicle.left_zone.v1"
    kind: VehicleKind


class CameraFault(StrEnum):
    """Why a camera gives no pictures."""

    UNREACHABLE = "unreachable"
    REFUSED = "refused"
    UNAUTHORISED = "unauthorised"
    NOT_FOUND = "not_found"
    SILENT = "silent"
    UNDECODABLE = "undecodable"
    ENDED = "ended"
    STOPPED = "stopped"


class CameraOnline(EventData):
    """A camera gives pictures. `subject` is the camera."""

    TYPE: ClassVar[str] = "camera.online.v1"
    EVENT_CLASS: ClassVar[EventClass] = EventClass.DEVICE
    width: Annotated[int, Field(gt=0)]
    height: Annotated[int, Field(gt=0)]
    codec: Annotated[str, StringConstraints(max_length=40)]


class CameraOffline(EventData):
    """A camera stopped giving pictures."""

    TYPE: ClassVar[str] = "camera.offline.v1"
    EVENT_CLASS: ClassVar[EventClass] = EventClass.DEVICE
    fault: CameraFault
    detail: Text = ""


class GatewayStarted(EventData):
    """The gateway's daemon started. `subject` is the gateway, as in the other events about itself."""

    TYPE: ClassVar[str] = "gateway.started.v1"
    EVENT_CLASS: ClassVar[EventClass] = EventClass.DEVICE
    version: Annotated[str, StringConstraints(max_length=40)]
    session: Annotated[int, Field(ge=1)]


class ClockJumped(EventData):
    """The wall clock moved against the monotonic clock by `delta_s` (negative: back)."""

    TYPE: ClassVar[str] = "gateway.clock_jumped.v1"
    EVENT_CLASS: ClassVar[EventClass] = EventClass.ALARM
    delta_s: float


class SourceRestarted(EventData):
    """A part of the gateway failed and was started again."""

    TYPE: ClassVar[str] = "gateway.source_restarted.v1"
    EVENT_CLASS: ClassVar[EventClass] = EventClass.DEVICE
    source: Annotated[str, StringConstraints(max_length=80)]
    reason: Text
    attempt: Annotated[int, Field(ge=1)]


class GapReason(StrEnum):
    """Why events were dropped before they were sent."""

    QUOTA = "quota"
    DISK_FULL = "disk_full"


class OutboxGap(EventData):
    """Events with these numbers of this stream were dropped and will never come; counts are by topic class."""

    TYPE: ClassVar[str] = "outbox.gap.v1"
    EVENT_CLASS: ClassVar[EventClass] = EventClass.ALARM
    reason: GapReason
    ranges: Annotated[tuple[tuple[int, int], ...], Field(max_length=500)]
    dropped: dict[EventClass, int]


_TYPES: tuple[type[EventData], ...] = (
    *ACCESS_EVENTS,
    *CLIP_EVENTS,
    PersonEnteredZone,
    PersonLeftZone,
    VehicleEnteredZone,
    VehicleLeftZone,
    CameraOnline,
    CameraOffline,
    *CAMERA_EVENTS,
    GatewayStarted,
    ClockJumped,
    SourceRestarted,
    OutboxGap,
)
EVENT_TYPES: dict[str, type[EventData]] = {kind.TYPE: kind for kind in _TYPES}


def _version_7(value: UUID) -> UUID:
    number = value.int
    if number >> 76 & 0xF != 7 or number >> 62 & 0b11 != 0b10:  # `value.version`, at a third of the time
        raise ValueError("an event's id is a UUIDv7")
    return value


def _by_type(value: Any, info: ValidationInfo) -> EventData | dict[str, Any]:
    model = EVENT_TYPES.get(info.data.get("type", ""))
    if model is not None:
        return model.model_validate(value)
    if not isinstance(value, dict):
        raise ValueError("an event's data is an object")
    return value


class Event(Message):
    """One event as it travels and is stored. `seq` counts from 1 within `stream`, a gateway's outbox file."""

    specversion: Literal["1.0"] = "1.0"
    id: Annotated[UUID, AfterValidator(_version_7)]
    source: Annotated[str, StringConstraints(max_length=120)]
    type: TypeName
    time: Instant
    subject: DeviceId
    gateway: GatewayId
    place: PlaceCode
    stream: UUID
    seq: Annotated[int, Field(ge=1, le=2**53)]
    clock: Clock
    data: Annotated[SerializeAsAny[EventData] | dict[str, Any], PlainValidator(_by_type)]


def source_uri(gateway: str, device: str) -> str:
    """CloudEvents `source` of a gateway's device."""
    return f"/gw/{gateway}/{device}"


class EventMessage(Message):
    """The body of an event topic: one live event, or a batch."""

    v: Literal[1]
    events: Annotated[tuple[Event, ...], Field(min_length=1, max_length=MAX_EVENTS_PER_MESSAGE)]
