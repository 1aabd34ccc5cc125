"""What befalls the other two communities: one incident for each kind of alarm that the demo's own doors do not give."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from protocols.access_events import (
    AccessDenied,
    AccessDuress,
    AccessGranted,
    AccessMethod,
    DenialReason,
    DoorForced,
    DoorHeld,
    FireInput,
    ReaderLockedOut,
    ReaderOffline,
    ReaderOfflineReason,
    ReaderTamper,
)
from protocols.camera_events import (
    CameraImpaired,
    CrowdFormed,
    PersonIntruded,
    PersonLoitered,
    PersonTailgated,
    SceneFault,
    TwoWheelerInside,
    VehicleStood,
)
from protocols.event_data import Box, EventData, VehicleKind
from protocols.events import CameraFault, CameraOffline, ClockJumped, GapReason, OutboxGap
from protocols.topics import EventClass

Seen = tuple[str, datetime, EventData]
DOOR, READER, CAMERA, GATEWAY = "d-gate", "r-gate", "c-gate", "gateway"
_BOX = Box(left=0.4, top=0.3, right=0.5, bottom=0.7)
_DAYS_OF_PASSAGES = 6
_DENIALS = 5


def granted(credential: UUID) -> AccessGranted:
    return AccessGranted(
        reader=READER, method=AccessMethod.CARD, credential=credential, policy_version=1, decision_us=300
    )


def _denied(reason: DenialReason, credential: UUID | None) -> AccessDenied:
    return AccessDenied(
        reader=READER, method=AccessMethod.CARD, reason=reason, credential=credential, policy_version=1, decision_us=300
    )


def at_the_door(resident: UUID, revoked: UUID) -> Iterator[Seen]:
    """Door, reader and cards: a resident's credential, and one that was revoked a moment ago."""
    now = datetime.now(UTC)
    yield DOOR, now, FireInput(active=True)
    yield DOOR, now, AccessDuress(reader=READER, credential=resident)
    yield DOOR, now, DoorForced()
    yield DOOR, now, DoorHeld(open_s=60)
    for number in range(_DENIALS):
        yield DOOR, now + timedelta(milliseconds=number), _denied(DenialReason.UNKNOWN_CREDENTIAL, None)
    yield READER, now, ReaderLockedOut(for_s=60)
    yield DOOR, now, _denied(DenialReason.ANTI_PASSBACK, resident)
    yield DOOR, now, _denied(DenialReason.UNKNOWN_CREDENTIAL, revoked)
    yield DOOR, now, granted(revoked)
    yield READER, now, ReaderTamper(active=True)
    yield READER, now, ReaderOffline(reason=ReaderOfflineReason.NO_ANSWER)


def before_the_camera() -> Iterator[Seen]:
    """People and vehicles; then its lens is covered, and it is gone."""
    now = datetime.now(UTC)
    track = {"rule": "r-gate", "track": 1, "score": 0.8, "box": _BOX, "since": now}
    group = {"rule": "r-gate", "box": _BOX, "since": now}
    yield CAMERA, now, PersonTailgated(**group, door=DOOR, track=1, persons=2, grants=1)
    yield CAMERA, now, PersonLoitered(**track, dwell_s=60)
    yield CAMERA, now, PersonIntruded(**track)
    yield CAMERA, now, CrowdFormed(**group, count=8)
    yield CAMERA, now, VehicleStood(**track, kind=VehicleKind.CAR, still_s=60)
    yield CAMERA, now, TwoWheelerInside(**track, kind=VehicleKind.MOTORCYCLE)
    yield CAMERA, now, CameraImpaired(rule="r-lens", fault=SceneFault.COVERED, since=now)
    yield "c-lane", now, CameraOffline(fault=CameraFault.SILENT)


def of_the_gateway() -> Iterator[Seen]:
    """A clock that jumps, and events that a full disk cost."""
    now = datetime.now(UTC)
    yield GATEWAY, now, ClockJumped(delta_s=-3600)
    yield GATEWAY, now, OutboxGap(reason=GapReason.DISK_FULL, ranges=((1000, 1009),), dropped={EventClass.VIDEO: 10})


def passages(credentials: Sequence[UUID]) -> Iterator[Seen]:
    """These credentials, once a day, over the last days: told late, as by a gateway that had no link."""
    now = datetime.now(UTC)
    for days in range(_DAYS_OF_PASSAGES, 0, -1):
        for number, credential in enumerate(credentials):
            yield DOOR, now - timedelta(days=days) + timedelta(minutes=number), granted(credential)
