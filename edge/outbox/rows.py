"""What one row of the outbox is, and which rows are given up first when there is no room."""

from dataclasses import dataclass
from enum import IntEnum

from protocols.events import EVENT_TYPES, OutboxGap
from protocols.topics import EventClass


class Priority(IntEnum):
    """The higher the number, the sooner a row is dropped. `GAP` rows are folded together but never dropped."""

    GAP = 0
    DOOR = 1
    DEVICE = 2
    VIDEO = 3


_BY_CLASS = {
    EventClass.ACCESS: Priority.DOOR,
    EventClass.ALARM: Priority.DOOR,
    EventClass.DEVICE: Priority.DEVICE,
    EventClass.VIDEO: Priority.VIDEO,
}


@dataclass(frozen=True)
class OutboxRow:
    """A committed event: its number in the stream, its topic class and its JSON, complete with the number."""

    seq: int
    event_class: EventClass
    body: bytes


def priority_of(type_name: str) -> Priority:
    """How long an event of this type is kept when there is no room."""
    if type_name == OutboxGap.TYPE:
        return Priority.GAP
    return _BY_CLASS[EVENT_TYPES[type_name].EVENT_CLASS]
