"""The hub's own MQTT connection: its presence, and what it sends to gateways. Ingest has connections of its own.

While it has no connection it sends nothing and keeps nothing: a command would be stale, and heads are sent again.
"""

import logging
import threading
from collections import Counter
from collections.abc import Callable

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

from cloud.broker.access import HubAccess, MqttProtocol
from cloud.broker.mirror import Mirror
from protocols import topics
from protocols.presence import HubState, Presence

_QOS = 1
_KEEPALIVE_S = 15
_SENT_S = 2.0
_MAX_QUEUED = 10_000

log = logging.getLogger(__name__)


class HubClient:
    """Publishes for the hub. Reconnects by itself, with waits from 0.2 to 10 seconds.

    Args:
        session: this start's number, higher than that of every start before; None for a helper without presence.
        seal: (topic, body) -> the body under the hub's signature.
        connected: called after each connect, in the client's thread; must not block.
        stored: called when an ingest worker says that it stored events; as above.
        protocol: "3.1.1" or "5"; with 5, properties mirror what is in a command's payload.
    """

    def __init__(
        self,
        access: HubAccess,
        session: int | None,
        seal: Callable[[str, bytes], bytes],
        connected: Callable[[], None],
        stored: Callable[[], None],
        name: str = "hub-main",
        protocol: MqttProtocol = "3.1.1",
    ) -> None:
        self._access = access
        self._session = session
        self._seal = seal
        self._on_connected = connected
        self._on_stored = stored
        self._ready = threading.Event()
        self._announced = False
        self.counts: Counter[str] = Counter()
        """connects, refusals, sent, unsent."""
        whole = f"{name}-{access.client_suffix}" if access.client_suffix else name
        self._v5 = protocol == "5"
        client = _new_client(whole, self._v5)
        client.username_pw_set(access.username, access.password)
        if access.ca_file:
            client.tls_set(ca_certs=str(access.ca_file))
        client.reconnect_delay_set(0.2, 10.0)  # type: ignore[arg-type]  # paho takes fractions of a second
        client.max_queued_messages_set(_MAX_QUEUED)
        if session is not None:
            client.will_set(topics.HUB_STATE, self._state(session, Presence.OFFLINE), _QOS, retain=True)
        client.on_connect = self._connected
        client.on_disconnect = self._disconnected
        client.on_message = self._heard
        self._client = client

    @property
    def is_connected(self) -> bool:
        return self._ready.is_set()

    def start(self) -> None:
        """Begin to connect; `is_connected` says when it is done."""
        if self._v5:
            self._client.connect_async(self._access.host, self._access.port, _KEEPALIVE_S, clean_start=True)
        else:
            self._client.connect_async(self._access.host, self._access.port, _KEEPALIVE_S)
        self._client.loop_start()

    def announce(self) -> None:
        """Tell gateways that the hub is there: call it after each connection, once ingest has subscribed again."""
        self._announced = True
        if self._ready.is_set():
            self._publish_state(Presence.ONLINE)

    def stop(self) -> None:
        """Say offline and disconnect."""
        if self._ready.is_set() and self._announced:
            said = self._publish_state(Presence.OFFLINE)
            if said.rc == mqtt.MQTT_ERR_SUCCESS:
                said.wait_for_publish(_SENT_S)
        self._client.disconnect()
        self._client.loop_stop()

    def publish(self, topic: str, message: bytes, retained: bool) -> None:
        """Hand a message to the broker, QoS 1; without a connection it is dropped and counted."""
        self._publish(topic, message, retained)

    def send(self, topic: str, message: bytes, mirror: Mirror) -> bool:
        """As `publish`, not retained; whether there was a connection."""
        return self._publish(topic, message, retained=False, mirror=mirror)

    def _publish(self, topic: str, message: bytes, retained: bool, mirror: Mirror | None = None) -> bool:
        if not self._ready.is_set():
            self.counts["unsent"] += 1
            return False
        properties = mirror.properties() if mirror is not None and self._v5 else None
        info = self._client.publish(topic, message, _QOS, retained, properties)
        done = info.rc == mqtt.MQTT_ERR_SUCCESS
        self.counts["sent" if done else "unsent"] += 1
        return done

    def _publish_state(self, presence: Presence) -> mqtt.MQTTMessageInfo:
        return self._client.publish(topics.HUB_STATE, self._state(self._session or 1, presence), _QOS, retain=True)

    def _state(self, session: int, presence: Presence) -> bytes:
        body = HubState(state=presence, session=session).model_dump_json().encode()
        return self._seal(topics.HUB_STATE, body)

    def _connected(
        self, client: mqtt.Client, _data: object, _flags: object, reason: ReasonCode, _properties: object
    ) -> None:
        if reason.is_failure:
            self.counts["refusals"] += 1
            log.error("the broker refuses the hub: %s", reason)
            return
        self.counts["connects"] += 1
        client.subscribe(topics.HUB_STORED, qos=0)
        self._ready.set()
        self._on_connected()

    def _heard(self, _client: mqtt.Client, _data: object, _message: mqtt.MQTTMessage) -> None:
        self._on_stored()

    def _disconnected(
        self, _client: mqtt.Client, _data: object, _flags: object, reason: ReasonCode, _properties: object
    ) -> None:
        self._ready.clear()
        if reason.is_failure:
            log.warning("the hub's connection to the broker ended: %s", reason)


def _new_client(name: str, v5: bool) -> mqtt.Client:
    """A client without a session at the broker; MQTT 5 says so when it connects."""
    if v5:
        return mqtt.Client(CallbackAPIVersion.VERSION2, name, protocol=mqtt.MQTTv5)
    return mqtt.Client(CallbackAPIVersion.VERSION2, name, clean_session=True)
