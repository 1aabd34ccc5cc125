"""A gateway of another community: enrolled as any other, it speaks the same MQTT, but says what the demo tells it.

So every kind of alarm is seen within half a minute, also those that need days to come about, a thief or a fire.
"""

import os
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from edge.identity import Identity, load_identity
from gatehouse.demo.processes import DemoError
from protocols import topics
from protocols.event_data import EventData
from protocols.events import Clock, ClockState, Event, EventMessage, GatewayStarted, source_uri
from protocols.ids import UuidV7Maker
from protocols.presence import GatewayState, Presence
from protocols.sealing import seal_with_mac
from protocols.topics import EventClass

_ANSWER_S = 20.0
_PER_MESSAGE = 20
_SESSION = 1


class PlayedGateway:
    """Connected from `arrive` until `leave`. Its clock is said to be `clock`, in its presence and in every event.

    Raises:
        DemoError: if the broker does not take what it says.
    """

    def __init__(self, state_dir: Path, place: str, clock: ClockState) -> None:
        self._identity: Identity = load_identity(state_dir)
        self._place, self._clock = place, clock
        self._new_id = UuidV7Maker(time.time, os.urandom)
        self._stream: UUID = self._new_id()
        self._seq = 0
        broker = self._identity.broker
        self._client = Client(
            CallbackAPIVersion.VERSION2, client_id=broker.username, protocol=MQTTProtocolVersion.MQTTv311
        )
        self._client.username_pw_set(broker.username, broker.password)
        self._client.will_set(*self._presence(Presence.OFFLINE), qos=1, retain=True)

    def arrive(self) -> None:
        """Connect and say so."""
        broker = self._identity.broker
        try:
            self._client.connect(broker.host, broker.port)
        except OSError as error:
            raise DemoError(f"the played gateway {self._identity.gateway} cannot connect: {error}") from error
        self._client.loop_start()
        self._publish(*self._presence(Presence.ONLINE), retain=True)
        self.tell([("gateway", datetime.now(UTC), GatewayStarted(version="played", session=_SESSION))])

    def leave(self) -> None:
        """Say nothing more, as if its power were gone: the broker publishes its last will."""
        self._client.loop_stop()
        socket = self._client.socket()
        if socket is not None:
            socket.close()

    def tell(self, seen: Iterable[tuple[str, datetime, EventData]]) -> None:
        """Publish events: at which device, when, what."""
        events = [self._event(*each) for each in seen]
        for first in range(0, len(events), _PER_MESSAGE):
            body = EventMessage(v=1, events=tuple(events[first : first + _PER_MESSAGE])).model_dump_json().encode()
            topic = topics.event(self._identity.gateway, EventClass.BATCH)
            self._publish(topic, seal_with_mac(topic, body, self._identity.mac_key))

    def _event(self, device: str, at: datetime, data: EventData) -> Event:
        self._seq += 1
        gateway = self._identity.gateway
        return Event(
            id=self._new_id(),
            source=source_uri(gateway, device),
            type=data.TYPE,
            time=at,
            subject=device,
            gateway=gateway,
            place=self._place,
            stream=self._stream,
            seq=self._seq,
            clock=Clock(state=self._clock, monotonic_ms=int(1000 * time.monotonic())),
            data=data,
        )

    def _presence(self, presence: Presence) -> tuple[str, bytes]:
        online = presence is Presence.ONLINE
        told = {"stream": self._stream, "clock": self._clock, "version": "played"} if online else {}
        body = GatewayState(state=presence, session=_SESSION, **told).model_dump_json(exclude_none=True).encode()
        topic = topics.state(self._identity.gateway)
        return topic, seal_with_mac(topic, body, self._identity.mac_key)

    def _publish(self, topic: str, payload: bytes, retain: bool = False) -> None:
        try:
            told = self._client.publish(topic, payload, qos=1, retain=retain)
            told.wait_for_publish(_ANSWER_S)
            published = told.is_published()
        except (RuntimeError, ValueError) as error:
            raise DemoError(f"the played gateway {self._identity.gateway} cannot publish: {error}") from error
        if not published:
            raise DemoError(f"the broker took nothing from the played gateway {self._identity.gateway}")
