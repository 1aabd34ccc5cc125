"""One connection to the broker, driven by the uplink's own thread; a new object for every connection.

paho keeps unacknowledged messages over a reconnect and queues without bound while disconnected; with one client object
a connection neither can happen. Everything runs inside `turn`, so there is no lock and no callback from elsewhere.
"""

import select
import socket
import ssl
from dataclasses import dataclass, field
from uuid import UUID

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from protocols.enrolment import BrokerAccess

KEEPALIVE_S = 30
CONNECT_TIMEOUT_S = 5.0
_MAX_INFLIGHT = 1000
"""Above what the lanes ever have unacknowledged, so paho never queues by itself."""
_AUTH_CODES = {4, 5, 0x86, 0x87}
"""CONNACK: bad user name or password, not authorised (MQTT 3.1.1 section 3.2.2.3; MQTT 5 section 3.2.2.2)."""


class BrokerUnreachable(Exception):
    """No connection now; trying again later may help."""


class BrokerRefused(BrokerUnreachable):
    """The broker knows neither this gateway nor its password; only a person can put that right."""


@dataclass(frozen=True)
class Incoming:
    """A message as it came; `retained` is the broker's mark of an old one."""

    topic: str
    payload: bytes
    retained: bool


@dataclass
class Turn:
    """What one turn brought: messages, and the packet ids that the broker acknowledged."""

    messages: list[Incoming] = field(default_factory=list)
    acknowledged: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class Will:
    """What the broker publishes, retained, when the connection dies."""

    topic: str
    payload: bytes


class Connection:
    """A connected client of one gateway.

    Args:
        access: where the broker is, and the user name (also the client id) and password.
        protocol: "3.1.1" or "5"; with 5, properties mirror what is in the payload.
        will: set before CONNECT is sent.
    """

    def __init__(self, access: BrokerAccess, protocol: str, will: Will) -> None:
        self._access = access
        self._v5 = protocol == "5"
        self._connect_code: ReasonCode | None = None
        self._lost: str | None = None
        self._turn = Turn()
        self._client = self._new_client(will)

    def open(self) -> None:
        """Connect and wait for the broker's answer.

        Raises:
            BrokerRefused: for a wrong user name or password.
            BrokerUnreachable: for anything else.
        """
        access = self._access
        try:
            self._client.connect(access.host, access.port, KEEPALIVE_S)
        except (OSError, ValueError) as error:
            raise BrokerUnreachable(f"broker {access.host}:{access.port}: {error}") from error
        waited = 0.0
        while self._connect_code is None and self._lost is None and waited < CONNECT_TIMEOUT_S:
            self._drive(None, 0.1)
            waited += 0.1
        code = self._connect_code
        if code is not None and not code.is_failure:
            return
        self.close()
        if code is None:
            raise BrokerUnreachable(f"broker {access.host}:{access.port}: {self._lost or 'no answer to CONNECT'}")
        if code.value in _AUTH_CODES:
            raise BrokerRefused(
                f"broker {access.host}:{access.port} refuses gateway {access.username!r} ({code}): "
                "it was revoked or enrolled again elsewhere; enroll it anew"
            )
        raise BrokerUnreachable(f"broker {access.host}:{access.port}: {code}")

    @property
    def is_alive(self) -> bool:
        return self._lost is None

    @property
    def lost_because(self) -> str:
        return self._lost or ""

    def subscribe(self, filters: list[str]) -> None:
        self._client.subscribe([(name, 1) for name in filters])

    def publish(self, topic: str, payload: bytes, *, retain: bool = False, corr: UUID | None = None) -> int | None:
        """Send one message with QoS 1; its packet id, or None if the connection has gone."""
        properties = None
        if self._v5 and corr is not None:
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho has no types here
            properties.CorrelationData = corr.bytes
        info = self._client.publish(topic, payload, 1, retain, properties)
        return info.mid if info.rc == mqtt.MQTT_ERR_SUCCESS else None

    def turn(self, wake: socket.socket, timeout_s: float) -> Turn:
        """Read and write what there is, waiting at most `timeout_s` or until `wake` is readable."""
        self._drive(wake, timeout_s)
        result, self._turn = self._turn, Turn()
        return result

    def close(self) -> None:
        """Say goodbye, so that the broker does not publish the will, and close the socket."""
        self._client.disconnect()
        if (line := self._client.socket()) is not None:
            line.close()

    def _new_client(self, will: Will) -> mqtt.Client:
        name = self._access.username
        if self._v5:
            client = mqtt.Client(CallbackAPIVersion.VERSION2, name, protocol=mqtt.MQTTv5)
        else:
            client = mqtt.Client(CallbackAPIVersion.VERSION2, name, True, protocol=mqtt.MQTTv311)
        client.username_pw_set(name, self._access.password)
        client.will_set(will.topic, will.payload, 1, True)
        client.max_inflight_messages_set(_MAX_INFLIGHT)
        client.connect_timeout = CONNECT_TIMEOUT_S
        if self._access.ca_pem is not None:
            client.tls_set_context(ssl.create_default_context(cadata=self._access.ca_pem))
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        client.on_publish = self._on_publish
        return client

    def _drive(self, wake: socket.socket | None, timeout_s: float) -> None:
        line = self._client.socket()
        if line is None:
            self._lost = self._lost or "connection closed"
            return
        pending = line.pending() if isinstance(line, ssl.SSLSocket) else 0
        wanted = [line] if wake is None else [line, wake]
        writers = [line] if self._client.want_write() else []
        try:
            readable, writable, _ = select.select(wanted, writers, [], 0.0 if pending else timeout_s)
        except (OSError, ValueError) as error:
            self._lost = self._lost or str(error)
            return
        if wake is not None and wake in readable:
            _drain(wake)
        if writable:
            self._client.loop_write()
        if line in readable or pending:
            self._client.loop_read()
        self._client.loop_misc()

    def _on_connect(self, _client: object, _data: object, _flags: object, code: ReasonCode, _props: object) -> None:
        self._connect_code = code

    def _on_connect_fail(self, _client: object, _data: object) -> None:
        self._lost = self._lost or "connecting failed"

    def _on_disconnect(self, _client: object, _data: object, _flags: object, code: ReasonCode, _props: object) -> None:
        self._lost = self._lost or f"connection lost ({code})"

    def _on_message(self, _client: object, _data: object, message: mqtt.MQTTMessage) -> None:
        self._turn.messages.append(Incoming(message.topic, bytes(message.payload), message.retain))

    def _on_publish(self, _client: object, _data: object, mid: int, _code: object, _props: object) -> None:
        self._turn.acknowledged.append(mid)


def _drain(wake: socket.socket) -> None:
    try:
        while wake.recv(4096):
            pass
    except BlockingIOError:
        return
