"""A plain MQTT 3.1.1 client that remembers what it saw; tests wait for conditions with a deadline."""

import threading
from collections.abc import Callable
from time import monotonic

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

DEADLINE_S = 30.0


class Probe:
    """One client; `messages` are (topic, payload, retained) in the order of arrival."""

    def __init__(
        self,
        host: str,
        port: int,
        client_id: str,
        username: str,
        password: str,
        reconnect: bool = False,
        clean_session: bool = True,
    ):
        self._where = (host, port)
        self._changed = threading.Condition()
        self._reconnect = reconnect
        self.messages: list[tuple[str, bytes, bool]] = []
        self.connected = False
        self.connects = 0
        self.refusal = ""
        self._granted: dict[int, list[ReasonCode]] = {}
        self._published: set[int] = set()
        self.client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            clean_session=clean_session,
            reconnect_on_failure=reconnect,
        )
        self.client.username_pw_set(username, password)
        self.client.on_connect = self._on_connect
        self.client.on_disconnect = self._on_disconnect
        self.client.on_message = self._on_message
        self.client.on_subscribe = self._on_subscribe
        self.client.on_publish = self._on_publish

    def connect(self, timeout_s: float = DEADLINE_S) -> "Probe":
        self.try_connect(timeout_s)
        assert self.connected, f"not connected: {self.refusal}"
        return self

    def try_connect(self, timeout_s: float = DEADLINE_S) -> bool:
        """Connect and wait for the broker's answer."""
        self.client.connect(*self._where, keepalive=30)
        self.client.loop_start()
        self.wait(lambda: self.connected or self.refusal != "", timeout_s)
        return self.connected

    def subscribe(self, topic_filter: str, qos: int = 1) -> bool:
        """Whether the broker granted it."""
        _, mid = self.client.subscribe(topic_filter, qos)
        assert mid is not None
        self.wait(lambda: mid in self._granted or not self.connected)
        return mid in self._granted and not any(code.is_failure for code in self._granted[mid])

    def publish(self, topic: str, payload: bytes, qos: int = 1, retain: bool = False) -> None:
        """Publish and wait for the acknowledgement, or for the connection's end."""
        info = self.client.publish(topic, payload, qos, retain)
        self.wait(lambda: info.mid in self._published or not self.connected)

    def wait(self, condition: Callable[[], bool], timeout_s: float = DEADLINE_S) -> None:
        with self._changed:
            deadline = monotonic() + timeout_s
            while not condition():
                left = deadline - monotonic()
                assert left > 0, f"waited {timeout_s} s in vain; seen: {self.messages[-5:]}"
                self._changed.wait(min(left, 0.1))

    def wait_for(self, topic: str, timeout_s: float = DEADLINE_S) -> bytes:
        """The payload of the first message on a topic."""
        self.wait(lambda: any(seen == topic for seen, _, _ in self.messages), timeout_s)
        return next(payload for seen, payload, _ in self.messages if seen == topic)

    def payloads(self, topic: str) -> list[bytes]:
        return [payload for seen, payload, _ in list(self.messages) if seen == topic]

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    def _on_connect(
        self, _client: object, _data: object, _flags: object, reason: ReasonCode, _properties: object
    ) -> None:
        with self._changed:
            if reason.is_failure:
                self.refusal = str(reason)
            else:
                self.connected, self.connects = True, self.connects + 1
            self._changed.notify_all()

    def _on_disconnect(
        self, _client: object, _data: object, _flags: object, reason: object, _properties: object
    ) -> None:
        with self._changed:
            self.connected = False
            self.refusal = self.refusal or str(reason)
            self._changed.notify_all()

    def _on_message(self, _client: object, _data: object, message: mqtt.MQTTMessage) -> None:
        with self._changed:
            self.messages.append((message.topic, message.payload, message.retain))
            self._changed.notify_all()

    def _on_subscribe(
        self, _client: object, _data: object, mid: int, codes: list[ReasonCode], _properties: object
    ) -> None:
        with self._changed:
            self._granted[mid] = codes
            self._changed.notify_all()

    def _on_publish(self, _client: object, _data: object, mid: int, _reason: object, _properties: object) -> None:
        with self._changed:
            self._published.add(mid)
            self._changed.notify_all()
