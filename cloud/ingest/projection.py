"""What state an event puts a door, reader or camera into."""

from typing import NamedTuple

from protocols.access_events import (
    DoorClosed,
    DoorForced,
    DoorHeld,
    DoorOpened,
    ReaderOffline,
    ReaderOnline,
    ReaderTamper,
)
from protocols.event_reading import EventFields
from protocols.events import CameraOffline, CameraOnline


class DeviceMove(NamedTuple):
    """A device's kind and the state it came into."""

    kind: str
    state: str


_TAMPER = DeviceMove("reader", "tamper")
_STATES = {
    DoorOpened.TYPE: DeviceMove("door", "open"),
    DoorClosed.TYPE: DeviceMove("door", "closed"),
    DoorHeld.TYPE: DeviceMove("door", "held"),
    DoorForced.TYPE: DeviceMove("door", "forced"),
    ReaderOnline.TYPE: DeviceMove("reader", "online"),
    ReaderOffline.TYPE: DeviceMove("reader", "offline"),
    ReaderTamper.TYPE: DeviceMove("reader", "online"),
    CameraOnline.TYPE: DeviceMove("camera", "online"),
    CameraOffline.TYPE: DeviceMove("camera", "offline"),
}


def move_of(event: EventFields) -> DeviceMove | None:
    """The state that an event tells of, if any. A closed tamper switch means the reader is online again."""
    if event["type"] == ReaderTamper.TYPE and event["data"]["active"]:
        return _TAMPER
    return _STATES.get(event["type"])
