"""What the doors and cameras hand to the outbox: an event's data, not yet numbered."""

from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from edge.clock import Moment
from protocols.event_data import EventData
from protocols.events import Snapshot


@dataclass(frozen=True)
class Observation:
    """`data` was seen at `device` (door, reader, camera or the gateway itself), which stands at `place`.

    `id` is the event's, a UUIDv7, where something else must know it before the outbox gives it one.
    """

    device: str
    place: str
    data: EventData
    moment: Moment
    id: UUID | None = None


class Recorder(Protocol):
    """Takes observations for the outbox. Never blocks and never raises: a door calls it."""

    def __call__(self, observation: Observation) -> None: ...


class PictureStore(Protocol):
    """Keeps a JPEG on disk until it is uploaded."""

    def keep(self, jpeg: bytes, width: int, height: int) -> Snapshot | None:
        """Write it durably and name it by its SHA-256; None when the store is full or the disk refuses (counted)."""
        ...
