"""Events of the cameras' rules: what a site wants to be told of, beyond who came into a zone and left it.

Each names the `rule` that told it; `subject` is the camera. A track has a number and no identity. `since` is when what
is told began; `box` is where in the frame it was seen. Times are the gateway's.
"""

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from protocols.base import DeviceId, Instant
from protocols.event_data import Box, EventData, Fraction, Seconds, Snapshot, VehicleKind
from protocols.topics import EventClass

Track = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=1)]


class _OfRule(EventData):
    rule: DeviceId
    snapshot: Snapshot | None = None


class _OfTrack(_OfRule):
    track: Track
    score: Fraction
    box: Box
    since: Instant


class _InZone(_OfTrack):
    """`zone` None: the whole picture."""

    EVENT_CLASS: ClassVar[EventClass] = EventClass.ALARM
    zone: DeviceId | None = None


class PersonIntruded(_InZone):
    """A person was in a forbidden zone or came over a forbidden line, or was there in forbidden hours."""

    TYPE: ClassVar[str] = "person.intruded.v1"
    line: DeviceId | None = None
    direction: DeviceId | None = None


class VehicleIntruded(_InZone):
    """A vehicle where or when none may be."""

    TYPE: ClassVar[str] = "vehicle.intruded.v1"
    line: DeviceId | None = None
    direction: DeviceId | None = None
    kind: VehicleKind


class PersonLoitered(_InZone):
    """A person stayed for `dwell_s`, perhaps under several tracks where one was lost for a moment."""

    TYPE: ClassVar[str] = "person.loitered.v1"
    dwell_s: Seconds


class _CrossedLine(_OfTrack):
    """`count` crossings in this direction since `since`: the local day's beginning, or the gateway's start."""

    EVENT_CLASS: ClassVar[EventClass] = EventClass.VIDEO
    line: DeviceId
    direction: DeviceId
    count: Count


class PersonCrossedLine(_CrossedLine):
    """A person's foot point crossed a line."""

    TYPE: ClassVar[str] = "person.crossed_line.v1"


class VehicleCrossedLine(_CrossedLine):
    """A vehicle's foot point crossed a line."""

    TYPE: ClassVar[str] = "vehicle.crossed_line.v1"
    kind: VehicleKind


class CrowdFormed(_OfRule):
    """At least as many people as the rule says have been there since `since`; `count` of them now."""

    TYPE: ClassVar[str] = "person.crowd_formed.v1"
    EVENT_CLASS: ClassVar[EventClass] = EventClass.ALARM
    zone: DeviceId | None = None
    count: Count
    box: Box
    since: Instant


class _Passed(_OfRule):
    """`persons` came through `door` since `since`, for whom it had let `grants` in; `track` is the last of them."""

    EVENT_CLASS: ClassVar[EventClass] = EventClass.ALARM
    door: DeviceId
    track: Track
    box: Box
    persons: Count
    grants: Annotated[int, Field(ge=0)]
    since: Instant


class PersonTailgated(_Passed):
    """More people came through a door than were let in."""

    TYPE: ClassVar[str] = "person.tailgated.v1"


class PersonPassedUnbidden(_Passed):
    """Somebody came through a door though nobody had been let in."""

    TYPE: ClassVar[str] = "person.passed_without_credential.v1"


class VehicleStood(_InZone):
    """A vehicle has stood still for `still_s` where none may stand (a fire lane); once per visit."""

    TYPE: ClassVar[str] = "vehicle.stood.v1"
    kind: VehicleKind
    still_s: Seconds


class TwoWheelerInside(_InZone):
    """A bicycle, e-bike or motorcycle in a lift or lobby."""

    TYPE: ClassVar[str] = "vehicle.two_wheeler_inside.v1"
    kind: VehicleKind


class VehicleLeftBehind(_InZone):
    """A vehicle was put down and nobody was near it for as long as the rule says."""

    TYPE: ClassVar[str] = "vehicle.left_behind.v1"
    kind: VehicleKind


class VehicleTaken(_InZone):
    """A vehicle that had stood still since `since` is no longer there."""

    TYPE: ClassVar[str] = "vehicle.taken.v1"
    kind: VehicleKind


class SceneFault(StrEnum):
    """Why a camera that gives pictures does not see what it should."""

    COVERED = "covered"
    BLURRED = "blurred"
    TURNED = "turned"
    FROZEN = "frozen"
    DARK = "dark"


class CameraImpaired(_OfRule):
    """A camera no longer sees its learnt scene, since `since`."""

    TYPE: ClassVar[str] = "camera.impaired.v1"
    EVENT_CLASS: ClassVar[EventClass] = EventClass.ALARM
    fault: SceneFault
    since: Instant


class CameraRestored(_OfRule):
    """A camera sees its scene again, or has learnt a new one, `after_s` after the fault began."""

    TYPE: ClassVar[str] = "camera.restored.v1"
    EVENT_CLASS: ClassVar[EventClass] = EventClass.DEVICE
    fault: SceneFault
    after_s: Seconds


CAMERA_EVENTS: tuple[type[EventData], ...] = (
    PersonIntruded,
    VehicleIntruded,
    PersonLoitered,
    PersonCrossedLine,
    VehicleCrossedLine,
    CrowdFormed,
    PersonTailgated,
    PersonPassedUnbidden,
    VehicleStood,
    TwoWheelerInside,
    VehicleLeftBehind,
    VehicleTaken,
    CameraImpaired,
    CameraRestored,
)
