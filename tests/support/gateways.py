"""A gateway's core for tests, and the hub's half of the wire written from the contract: real keys, real bytes."""

import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import paho.mqtt.client as mqtt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from paho.mqtt.enums import CallbackAPIVersion
from pydantic import BaseModel

from edge.access.store import CredentialStore
from edge.clock import Clock, HubTime, SystemClock, now
from edge.counters import Counters
from edge.hub_http import HubHttp
from edge.identity import HubKey, Identity
from edge.observations import Observation
from edge.outbox import Outbox, OutboxLimits
from edge.uplink import Uplink, UplinkSettings
from edge.uplink.commands import Commands
from edge.uplink.credentials import CredentialSync
from edge.uplink.freshness import EchoMark, Freshness
from edge.uplink.nonces import CommandLedger
from edge.uplink.session import SessionCounter
from protocols import topics
from protocols.access_events import DoorForced, DoorMode, DoorOpened, ReaderTamper, ReleaseCause
from protocols.commands import (
    Action,
    Command,
    DoorModeSet,
    DoorRelease,
    EvidenceHold,
    FailureCode,
    Forgive,
    Lockdown,
    Reply,
)
from protocols.enrolment import BrokerAccess
from protocols.event_data import EventData
from protocols.events import ClockState, Event, EventMessage
from protocols.presence import Echo, GatewayState, HubState, Presence
from protocols.receipts import Receipt
from protocols.sealing import MacKey, fingerprint, open_with_mac, seal_with_signature
from tests.support.brokers import HUB_PASSWORD, RunningBroker

GATEWAY = "gw-test"
_ACTIONS: dict[type[object], Action] = {
    DoorModeSet: Action.DOOR_MODE,
    Lockdown: Action.LOCKDOWN,
    Forgive: Action.FORGIVE,
    EvidenceHold: Action.EVIDENCE_HOLD,
}


def eventually(condition: Callable[[], bool], timeout_s: float = 30.0, what: str | Callable[[], str] = "") -> None:
    """Wait for a condition; fail at the deadline, saying `what` was awaited."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {what() if callable(what) else what}"
        time.sleep(0.01)


@dataclass
class SetClock:
    """A clock that a test moves."""

    wall: float = field(default_factory=time.time)
    monotonic: float = 1000.0

    def wall_s(self) -> float:
        return self.wall

    def monotonic_s(self) -> float:
        return self.monotonic

    def advance(self, seconds: float) -> None:
        self.wall += seconds
        self.monotonic += seconds


@dataclass(frozen=True)
class Keys:
    """Both sides' keys of one enrolment."""

    hub: Ed25519PrivateKey
    message: bytes
    card: bytes

    @property
    def hub_public(self) -> bytes:
        return self.hub.public_key().public_bytes_raw()

    def identity(self, access: BrokerAccess, hub_url: str = "http://127.0.0.1:9", gateway: str = GATEWAY) -> Identity:
        return Identity(gateway, MacKey("k1", self.message), self.card, hub_url, HubKey(self.hub_public), access)

    def sign(self, topic: str, body: BaseModel | str) -> bytes:
        """A message sealed with the hub's signature for `topic`."""
        text = body if isinstance(body, str) else body.model_dump_json()
        return seal_with_signature(topic, text.encode(), fingerprint(self.hub_public), self.hub.sign)


def make_keys() -> Keys:
    return Keys(Ed25519PrivateKey.generate(), os.urandom(32), os.urandom(32))


def opened(number: int = 0, clock: Clock | None = None) -> Observation:
    return seen(DoorOpened(cause=ReleaseCause.CREDENTIAL), f"d-{number}", clock)


def seen(data: EventData, device: str = "d-east", clock: Clock | None = None) -> Observation:
    return Observation(device, "gate-east", data, now(clock or SystemClock()))


def forced() -> Observation:
    return seen(DoorForced())


def tampered() -> Observation:
    return seen(ReaderTamper(active=True))


def make_outbox(
    folder: Path, counters: Counters | None = None, limits: OutboxLimits | None = None, clock: Clock | None = None
) -> Outbox:
    return Outbox(
        folder,
        GATEWAY,
        "site",
        limits or OutboxLimits(),
        clock or SystemClock(),
        lambda: ClockState.SYNCED,
        os.urandom,
        counters or Counters(),
    )


@dataclass(frozen=True)
class Released:
    """What the test's doors answer."""

    done: bool = True
    reason: str = ""
    code: FailureCode | None = None


class PlayedDoors:
    """Doors that do nothing but remember; `release` may be a test's own."""

    def __init__(self, release: Callable[[str, UUID], Released] | None = None) -> None:
        self._release = release
        self.releases: list[tuple[str, UUID]] = []
        self.modes: list[tuple[str, DoorMode, float | None, UUID]] = []
        self.lockdowns: list[tuple[bool, UUID]] = []
        self.forgiven: list[str | None] = []

    def release(self, door: str, corr: UUID) -> Released:
        if self._release is not None:
            return self._release(door, corr)
        self.releases.append((door, corr))
        return Released()

    def set_mode(self, door: str, mode: DoorMode, until_s: float | None, corr: UUID) -> Released:
        self.modes.append((door, mode, until_s, corr))
        return Released()

    def lock_down(self, corr: UUID, *, active: bool) -> Released:
        self.lockdowns.append((active, corr))
        return Released()

    def forgive(self, area: str | None) -> Released:
        self.forgiven.append(area)
        return Released() if area != "a-unknown" else Released(False, "no such area", FailureCode.UNKNOWN_AREA)


class Gateway:
    """Outbox, uplink, commands and credentials of one gateway, in this process."""

    def __init__(
        self,
        folder: Path,
        identity: Identity,
        clock: Clock | None = None,
        release: Callable[[str, UUID], Released] | None = None,
        settings: UplinkSettings | None = None,
    ) -> None:
        self.counters = Counters()
        self.clock = clock or SystemClock()
        self.doors = PlayedDoors(release)
        self.heard_ago_s: list[float] = []
        self.hub_times: list[HubTime] = []
        self.outbox = make_outbox(folder, self.counters)
        self.store = CredentialStore(folder / "credentials.db", identity.card_key)
        self.ledger = CommandLedger(folder / "commands.db", self.counters)
        self.http = HubHttp(identity, self.clock)
        hub_key = identity.hub_key
        self.commands = Commands(identity.gateway, hub_key, self.doors, self.ledger, self.clock, self.counters)
        self.credentials = CredentialSync(identity, self.store, self.http, SystemClock(), random.random, self.counters)
        self.uplink = Uplink(
            identity,
            self.outbox,
            self.commands,
            self.credentials,
            SessionCounter(folder / "session", time.time),
            settings or UplinkSettings(),
            SystemClock(),
            lambda: ClockState.SYNCED,
            "0.1.0",
            random.random,
            self.counters,
            Freshness(
                hub_key,
                EchoMark(folder / "hub_echoes", hub_key),
                SystemClock(),
                os.urandom,
                self.counters,
                self.heard_ago_s.append,
                self.hub_times.append,
            ),
        )
        self._parts = (self.outbox, self.commands, self.credentials, self.uplink)
        for part in self._parts:
            part.start()

    @property
    def releases(self) -> list[tuple[str, UUID]]:
        return self.doors.releases

    @property
    def heard(self) -> int:
        """How often there was news of the hub."""
        return len(self.heard_ago_s)

    def close(self) -> None:
        for part in reversed(self._parts):
            assert part.stop(), f"{part} did not stop"
        self.outbox.close()
        self.store.close()
        self.ledger.close()
        self.http.close()


class HubHalf:
    """What the hub does on the wire: checks the code, stores each event once, answers a signed receipt.

    `stored` counts arrivals by event id; `answering` can be turned off to play a hub that commits nothing. It plays an
    older hub, which echoes no birth, unless it is `echoing`.
    """

    def __init__(self, broker: RunningBroker, keys: Keys, gateway: str = GATEWAY, session: int = 1) -> None:
        self.keys, self.gateway, self.session = keys, gateway, session
        self.answering = True
        self.echoing = False
        self.stored: dict[UUID, Event] = {}
        self.arrived_at: dict[UUID, float] = {}
        self.seqs: set[int] = set()
        self.arrivals: Counter[UUID] = Counter()
        self.messages: list[tuple[str, int]] = []
        self.states: list[GatewayState] = []
        self.replies: list[Reply] = []
        self.asks: list[bytes] = []
        self._lock = threading.Lock()
        self._marks: dict[UUID, int] = {}
        self._have: dict[UUID, set[int]] = {}
        self._subscribed = threading.Event()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, f"hub-test-{session}", clean_session=True)
        self._client.username_pw_set("hub", HUB_PASSWORD)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._on_message
        self._client.connect(*broker.hub_address)
        self._client.loop_start()
        assert self._subscribed.wait(30)

    def say(self, presence: Presence = Presence.ONLINE) -> None:
        """Publish the hub's state, retained."""
        state = HubState(state=presence, session=self.session)
        self.publish(topics.HUB_STATE, self.keys.sign(topics.HUB_STATE, state), retain=True)

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        self._client.publish(topic, payload, 1, retain).wait_for_publish(10)

    def echo(self, nonce: str, time: datetime | None = None) -> tuple[str, bytes]:
        """A signed echo, with its topic."""
        topic = topics.echo(self.gateway)
        return topic, self.keys.sign(topic, Echo(nonce=nonce, time=time or datetime.now(UTC)))

    def receipt(self, receipt: Receipt) -> None:
        topic = topics.receipt(self.gateway)
        self.publish(topic, self.keys.sign(topic, receipt))

    def take_over(self, former: "HubHalf") -> None:
        """Go on with the database of a hub that was closed."""
        with self._lock:
            for event in former.stored.values():
                self.stored.setdefault(event.id, event)
                self._have.setdefault(event.stream, set()).add(event.seq)
            self.arrivals.update(former.arrivals)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def command(
        self,
        door: str = "d-east",
        lifetime_s: float = 8.0,
        issued_in_s: float = 0.0,
        args: DoorModeSet | Lockdown | Forgive | EvidenceHold | None = None,
    ) -> Command:
        """A sound command, not sent yet: a door's release, unless there are other arguments."""
        corr = uuid4()
        issued = datetime.now(UTC) + timedelta(seconds=issued_in_s)
        return Command(
            corr=corr,
            nonce=os.urandom(16).hex(),
            issued=issued,
            expires=issued + timedelta(seconds=lifetime_s),
            issued_by=str(uuid4()),
            reply_to=topics.response(self.gateway, corr),
            action=Action.DOOR_RELEASE if args is None else _ACTIONS[type(args)],
            args=args or DoorRelease(door=door),
        )

    def send(self, command: Command, *, retain: bool = False) -> None:
        topic = topics.command(self.gateway, command.corr)
        self.publish(topic, self.keys.sign(topic, command), retain=retain)

    def states_of(self, corr: UUID) -> list[str]:
        return [str(reply.state) for reply in self.replies if reply.corr == corr]

    def _on_connect(self, client: mqtt.Client, *_: object) -> None:
        client.subscribe(topics.UP_FILTER, 1)

    def _on_message(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        if topics.parse_up(message.topic).gateway != self.gateway or not message.payload:
            return
        body = open_with_mac(message.topic, bytes(message.payload), MacKey("k1", self.keys.message))
        topic = topics.parse_up(message.topic)
        if topic.channel is topics.Channel.EVENT:
            self._store(topic.detail, body)
        elif topic.channel is topics.Channel.STATE:
            state = GatewayState.model_validate_json(body)
            self.states.append(state)
            if self.echoing and state.nonce is not None:
                self._client.publish(*self.echo(state.nonce), 1)
        elif topic.channel is topics.Channel.RESPONSE:
            self.replies.append(Reply.model_validate_json(body))
        else:
            self.asks.append(body)

    def _store(self, event_class: str, body: bytes) -> None:
        events = EventMessage.model_validate_json(body).events
        self.messages.append((event_class, len(events)))
        if not self.answering:
            return
        with self._lock:
            for event in events:
                self.arrivals[event.id] += 1
                self.seqs.add(event.seq)
                self.stored.setdefault(event.id, event)
                self.arrived_at.setdefault(event.id, time.time())
                self._have.setdefault(event.stream, set()).add(event.seq)
        stream = events[0].stream
        topic = topics.receipt(self.gateway)
        self._client.publish(topic, self.keys.sign(topic, self._receipt(stream)), 1)

    def _receipt(self, stream: UUID) -> Receipt:
        have, mark = self._have[stream], self._marks.get(stream, 0)
        while mark + 1 in have:
            mark += 1
            have.discard(mark)
        self._marks[stream] = mark
        ranges: list[tuple[int, int]] = []
        for seq in sorted(seq for seq in have if seq > mark)[:2000]:
            if ranges and ranges[-1][1] == seq - 1:
                ranges[-1] = (ranges[-1][0], seq)
            elif len(ranges) < 500:
                ranges.append((seq, seq))
        return Receipt(stream=stream, upto=mark, also=tuple(ranges))
