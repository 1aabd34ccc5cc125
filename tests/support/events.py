"""Events and sealed messages for tests of the hub, made as a gateway makes them."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

from cloud.ingest.arrival import Arrival, arrival_of
from protocols import topics
from protocols.access_events import AccessGranted, AccessMethod, DoorOpened, ReleaseCause
from protocols.event_data import EventData
from protocols.event_reading import fields_of
from protocols.events import Clock, ClockState, Event, EventMessage, source_uri
from protocols.ids import UuidV7Maker
from protocols.sealing import MacKey, seal_with_mac
from protocols.topics import EventClass

new_id = UuidV7Maker(time.time, os.urandom)
NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def opened() -> DoorOpened:
    return DoorOpened(cause=ReleaseCause.CREDENTIAL)


def granted(credential: UUID) -> AccessGranted:
    return AccessGranted(
        reader="r-east-in", method=AccessMethod.CARD, credential=credential, policy_version=1, decision_us=300
    )


@dataclass
class FakeGateway:
    """A gateway's half of the wire: numbers its events and seals its messages under its own key."""

    name: str
    key: MacKey = field(default_factory=lambda: MacKey("k1", os.urandom(32)))
    stream: UUID = field(default_factory=new_id)
    last_seq: int = 0

    def event(
        self,
        data: EventData,
        device: str = "d-east",
        at: datetime = NOON,
        place: str = "gate-east",
        seq: int | None = None,
    ) -> Event:
        """The next event of this gateway's stream."""
        if seq is None:
            self.last_seq += 1
            seq = self.last_seq
        return Event(
            id=new_id(),
            source=source_uri(self.name, device),
            type=data.TYPE,
            time=at,
            subject=device,
            gateway=self.name,
            place=place,
            stream=self.stream,
            seq=seq,
            clock=Clock(state=ClockState.SYNCED, monotonic_ms=1000),
            data=data,
        )

    def message(self, *events: Event) -> tuple[str, bytes]:
        """Topic and sealed payload of these events."""
        body = EventMessage(v=1, events=events).model_dump_json().encode()
        return self.sealed(topics.event(self.name, EventClass.BATCH), body)

    def sealed(self, topic: str, body: bytes) -> tuple[str, bytes]:
        return topic, seal_with_mac(topic, body, self.key)


class KnownKeys:
    """The keys of some gateways, as `cloud.ingest.reading.KeySource`."""

    def __init__(self, *gateways: FakeGateway) -> None:
        self.gateways = {gateway.name: gateway for gateway in gateways}

    def key(self, gateway_id: str) -> MacKey | None:
        found = self.gateways.get(gateway_id)
        return found.key if found else None


def arrivals(events: Sequence[Event]) -> list[Arrival]:
    """Events as they are read from a message."""
    return [arrival_of(fields_of(event), event.model_dump_json()) for event in events]
