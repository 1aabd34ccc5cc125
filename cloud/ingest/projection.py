"""What state an event puts a door, reader or camera into; the last by (stream, seq) counts, not the last to arrive."""

from collections.abc import Iterable
from typing import NamedTuple

from protocols.events import (
    CameraOffline,
    CameraOnline,
    DoorClosed,
    DoorForced,
    DoorHeld,
    DoorOpened,
    Event,
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


def latest_moves(events: Iterable[Event]) -> dict[tuple[str, str], tuple[Event, DeviceMove]]:
    """The last move of each (gateway, device) among these events, by (stream, seq), sorted by device.

    Streams are UUIDv7, so a gateway's later outbox has the higher one. The order lets workers lock rows alike.
    """
    last: dict[tuple[str, str], tuple[Event, DeviceMove]] = {}
    for event in events:
        move = move_of(event.data)
        if move is None:
            continue
        device = (event.gateway, event.subject)
        known = last.get(device)
        if known is None or (known[0].stream.int, known[0].seq) < (event.stream.int, event.seq):
            last[device] = (event, move)
    return dict(sorted(last.items()))
