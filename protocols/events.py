"""The event envelope and every event type (CloudEvents 1.0 attribute names; docs/contract.md).

An event is an `Event` whose `data` is one of the `EventData` models, found by `type`. A type that this version does not
know keeps its data as a plain dictionary, so that nothing is lost. `data` never holds a name, a category or a face.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Annotated, Any, ClassVar, Literal, Union
from uuid import UUID

from pydantic import (
    AfterValidator,
    Field,
    PlainValidator,
    SerializeAsAny,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    create_model,
)
from pydantic_core import from_json, to_json

from protocols.base import (
    MAX_EVENTS_PER_MESSAGE,
    DeviceId,
    GatewayId,
    Hex128,
    Hex256,
    Instant,
    Message,
    PlaceCode,
    ProtocolError,
)
from protocols.topics import EventClass

Text = Annotated[str, StringConstraints(max_length=300)]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Seconds = Annotated[float, Field(ge=0.0)]
TypeName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z_]*(\.[a-z][a-z_]*)+\.v[1-9][0-9]*$", max_length=80)]


class ClockState(StrEnum):
    """Whether the gateway's wall clock was synchronised (NTP) when the event was made."""

    SYNCED = "synced"
    UNSYNCED = "unsynced"


class Clock(Message):
    """The gateway's clocks beside the event's `time`: their state, and milliseconds since the gateway's boot."""

    state: ClockState
    monotonic_ms: Annotated[int, Field(ge=0)]


class EventData(Message):
    """What one type of event says. `TYPE` and `EVENT_CLASS` are the type's name on the wire and its topic."""

    TYPE: ClassVar[str]
    EVENT_CLASS: ClassVar[EventClass]


class AccessMethod(StrEnum):
    """What was presented at the reader."""

    CARD = "card"


class DenialReason(StrEnum):
    """Why a door stayed shut; the first that applies, in this order."""

    UNREADABLE = "unreadable"
    UNKNOWN_CREDENTIAL = "unknown_credential"
    NOT_YET_VALID = "not_yet_valid"
    EXPIRED = "expired"
    NO_RIGHT_AT_DOOR = "no_right_at_door"
    OUTSIDE_SCHEDULE = "outside_schedule"


class ReleaseCause(StrEnum):
    """Why the strike let a door go."""

    CREDENTIAL = "credential"
    REQUEST_TO_EXIT = "request_to_exit"
    COMMAND = "command"
    UNKNOWN = "unknown"
    """Found open by a gateway that had just started, so that nobody knows."""


class AccessGranted(EventData):
    """A credential was presented and the strike was released. `subject` is the door."""

    TYPE: ClassVar[str] = "access.granted.v1"
    EVENT_CLASS: ClassVar[EventClass] = EventClass.ACCESS
    reader: DeviceId
    method: AccessMethod
    credential: UUID
    policy_version: Annotated[int, Field(ge=0)]
    decision_us: Annotated[int, Field(ge=0)]


class AccessDenied(EventData):
    """A credential was presented and the door stayed shut. An unknown one is told by its keyed hash alone."""

    TYPE: ClassVar[str] = "access.denied.v1"
    EVENT_CLASS: ClassVar[EventClass] = EventClass.ACCESS
    reader: DeviceId
    method: AccessMethod
    reason: DenialReason
    credential: UUID | None = None
    credential_hash: Hex128 | None = None
    policy_version: Annotated[int, Field(ge=0)]
    decision_us: Annotated[int, Field(ge=0)]


class DoorReleased(EventData):
    """The strike let the door go for another cause than a credential. `corr` is the command's, if it was one."""

    TYPE: ClassVar[str] = "door.released.v1"
    EVENT_CLASS: ClassVar[EventClass] = EventClass.ACCESS
    cause: ReleaseCause
    corr: UUID | None = None


class DoorOpened(EventData):
    """The door contact opened while the door was released."""

    TYPE: ClassVar[str] = "door.opened.v1"
    EVENT_CLASS: ClassVar[EventClass] = EventClass.ACCESS
    cause: ReleaseCause


class DoorClosed(EventData):
    """The door contact closed and the door is locked."""

    TYPE: ClassVar[str] = "door.closed.v1"
    EVENT_CLASS: ClassVar[EventClass] = EventClass.ACCESS
    open_s: Seconds


class DoorHeld(EventData):
    """The door stood open for longer than it may."""

    TYPE: ClassVar[str] = "door.held.v1"
    EVENT_CLASS: ClassVar[EventClass] = EventClass.ALARM
    open_s: Seconds


class DoorForced(EventData):
    """The door contact opened though nothing had released the door."""

    TYPE: ClassVar[str] = "door.forced.v1"
    EVENT_CLASS: ClassVar[EventClass] = EventClass.ALARM


class ReaderOfflineReason(StrEnum):
    """Why a reader cannot be used."""

    NO_ANSWER = "no_answer"
    KEY = "key"
    """It answers, but no secure channel comes about: it holds another key."""
    PORT = "port"
    WORKER = "worker"
    STOPPED = "stopped"


class ReaderOnline(EventData):
    """A reader answers, and whether its line is encrypted (OSDP secure channel). `subject` is the reader."""

    TYPE: ClassVar[str] = "reader.online.v1"
    EVENT_CLASS: ClassVar[EventClass] = EventClass.DEVICE
    secure_channel: bool


class ReaderOffline(EventData):
    """A reader stopped answering."""

    TYPE: ClassVar[str] = "reader.offline.v1"
    EVENT_CLASS: ClassVar[EventClass] = EventClass.DEVICE
    reason: ReaderOfflineReason
    detail: Text = ""


class ReaderTamper(EventData):
    """A reader's tamper switch opened (`active`) or closed."""

    TYPE: ClassVar[str] = "reader.tamper.v1"
    EVENT_CLASS: ClassVar[EventClass] = EventClass.ALARM
    active: bool


class Snapshot(Message):
    """A JPEG that is sent over HTTP beside the event, named by its SHA-256."""

    sha256: Hex256
    size_bytes: Annotated[int, Field(gt=0)]
    width: Annotated[int, Field(gt=0)]
    height: Annotated[int, Field(gt=0)]


class Box(Message):
    """An upright rectangle in fractions of the frame, origin at its top left."""

    left: Fraction
    top: Fraction
    right: Fraction
    bottom: Fraction


class VehicleKind(StrEnum):
    """What the detector calls a vehicle."""

    BICYCLE = "bicycle"
    CAR = "car"
    MOTORCYCLE = "motorcycle"
    BUS = "bus"
    TRUCK = "truck"


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
    AccessGranted,
    AccessDenied,
    DoorReleased,
    DoorOpened,
    DoorClosed,
    DoorHeld,
    DoorForced,
    ReaderOnline,
    ReaderOffline,
    ReaderTamper,
    PersonEnteredZone,
    PersonLeftZone,
    VehicleEnteredZone,
    VehicleLeftZone,
    CameraOnline,
    CameraOffline,
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

    def __eq__(self, other: object) -> bool:
        """By content: an event that was read is of a class of its type's own (`_known_types`)."""
        return self.__dict__ == other.__dict__ if isinstance(other, Event) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.id)


@cache
def _known_types() -> TypeAdapter[Event]:
    """Reads an event of a known type. `type` chooses the model of `data` within pydantic's core.

    It takes half the time of `Event`, where Python chooses. Made when first needed: a gateway reads no events.
    """
    models = [_model_of(name, kind) for name, kind in EVENT_TYPES.items()]
    union: Any = Annotated[Union[tuple(models)], Field(discriminator="type")]  # noqa: UP007 (there is no other way)
    return TypeAdapter(union)


def _model_of(name: str, kind: type[EventData]) -> type[Event]:
    literal: Any = Literal[name]
    return create_model(f"{kind.__name__}Event", __base__=Event, type=(literal, ...), data=(kind, ...))


def source_uri(gateway: str, device: str) -> str:
    """CloudEvents `source` of a gateway's device."""
    return f"/gw/{gateway}/{device}"


class EventMessage(Message):
    """The body of an event topic: one live event, or a batch."""

    v: Literal[1]
    events: Annotated[tuple[Event, ...], Field(min_length=1, max_length=MAX_EVENTS_PER_MESSAGE)]


@dataclass(frozen=True)
class Rejected:
    """An event that could not be read. Its place in the stream is known if at least that could be read."""

    raw: str
    reason: str
    stream: UUID | None
    seq: int | None


@dataclass(frozen=True)
class ReadEvents:
    """What a message held: the events that are sound, and the ones that are not.

    `raw` is the JSON of each event of `events` with every field that came, also those this version does not know.
    """

    events: Sequence[Event]
    raw: Sequence[str]
    rejected: Sequence[Rejected]


_HEAD, _TAIL = b'{"v":1,"events":[', b"]}"
_SEAM = '},{"specversion":'
_CUT = '}\n{"specversion":'


def read_events(body: bytes) -> ReadEvents:
    """Read the body of an event message; one bad event does not spoil the others.

    Raises:
        ProtocolError: if the message itself is malformed, of an unknown version, empty or too long.
    """
    if (read := _read_pieces(body)) is not None:
        return read
    try:
        events = EventMessage.model_validate_json(body).events
        return ReadEvents(events, [to_json(item).decode() for item in from_json(body)["events"]], ())
    except ValidationError as error:
        whole = explain(error)
    try:
        outer = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"event message is not JSON: {error}") from error
    items = outer.get("events") if isinstance(outer, dict) else None
    version_is_known = isinstance(outer, dict) and outer.get("v") == 1
    if not version_is_known or not isinstance(items, list) or not 0 < len(items) <= MAX_EVENTS_PER_MESSAGE:
        raise ProtocolError(f"event message: {whole}")
    return _read_each(items)


def _read_pieces(body: bytes) -> ReadEvents | None:
    """The events of a message as gateways write it, each with its own piece of the text; None if it is not like that.

    Where it is cut needs no trust: JSON values with commas between them are exactly the elements of an array, so if
    each piece by itself is a sound event, the message has these events and no others.
    """
    if not (body.startswith(_HEAD) and body.endswith(_TAIL)):
        return None
    try:
        inner = body[len(_HEAD) : -len(_TAIL)].decode()
        pieces = inner.replace(_SEAM, _CUT).split("\n") if _SEAM in inner else [inner]
        if len(pieces) > MAX_EVENTS_PER_MESSAGE:
            return None
        return ReadEvents(tuple(_read_piece(piece) for piece in pieces), pieces, ())
    except ValueError:
        return None


def _read_piece(piece: str) -> Event:
    try:
        return _known_types().validate_json(piece)
    except ValidationError:
        return Event.model_validate_json(piece)  # of an unknown type, or wrong


def _read_each(items: list[Any]) -> ReadEvents:
    events: list[Event] = []
    raw: list[str] = []
    rejected: list[Rejected] = []
    for item in items:
        try:
            text = json.dumps(item)
            events.append(Event.model_validate_json(text))
            raw.append(text)
        except ValidationError as error:
            rejected.append(_rejected(item, explain(error)))
    return ReadEvents(events, raw, rejected)


def _rejected(item: Any, reason: str) -> Rejected:
    fields = item if isinstance(item, dict) else {}
    try:
        stream = UUID(fields["stream"])
    except (KeyError, ValueError, TypeError, AttributeError):
        stream = None
    seq = fields.get("seq")
    sound = stream is not None and type(seq) is int and 1 <= seq <= 2**53
    return Rejected(json.dumps(item), reason, stream if sound else None, seq if sound else None)


def explain(error: ValidationError) -> str:
    """The first fault of a validation, in one line, without the offending value (it may be a secret)."""
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(step) for step in first["loc"]) or "message"
    return f"{where}: {first['msg']}"
