"""What state an event puts a door, reader or camera into."""

from typing import NamedTuple

from protocols.events import (
    CameraOffline,
    CameraOnline,
    DoorClosed,
    DoorForced,
    DoorHeld,
    DoorOpened,
    ReaderOffline,
    ReaderOnline,
    ReaderTamper,
)


class DeviceMove(NamedTuple):
    """A device's kind and the state it came into."""

    kind: str
    state: str


_STATES: dict[type[object], DeviceMove] = {
    DoorOpened: DeviceMove("door", "open"),
    DoorClosed: DeviceMove("door", "closed"),
    DoorHeld: DeviceMove("door", "held"),
    DoorForced: DeviceMove("door", "forced"),
    ReaderOnline: DeviceMove("reader", "online"),
    ReaderOffline: DeviceMove("reader", "offline"),
    CameraOnline: DeviceMove("camera", "online"),
    CameraOffline: DeviceMove("camera", "offline"),
}


def move_of(data: object) -> DeviceMove | None:
    """The state that an event's data tells of, if any. A closed tamper switch means the reader is online again."""
    if isinstance(data, ReaderTamper):
        return DeviceMove("reader", "tamper" if data.active else "online")
    return _STATES.get(type(data))
