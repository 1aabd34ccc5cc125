"""paho's client, with fewer system calls: it reads ahead, and acknowledges a whole batch in one packet.

paho reads a message in four calls and some 20 us of Python, and wakes its thread for every acknowledgement; each call
also hands the interpreter lock to and fro between the two threads, which costs more than the call. So a PUBLISH that
lies in the buffer as a whole is taken from there (MQTT 3.1.1, section 3.3), and everything else is left to paho. What
is used of paho beyond its public methods: those by which its own TLS and WebSocket sockets come in, those by which its
own packets go out, and whether it is within a packet; the tests of the worker run through all.
"""

import socket
import ssl
import struct
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MessageType, MQTTErrorCode

if TYPE_CHECKING:
    from paho.mqtt.client import SocketLike

_READ_AHEAD_BYTES = 65536
_PUBACK = struct.Struct(">BBH")
_ACKS_PER_PACKET = 250
"""Acknowledgements in one write: 1,000 bytes, below any segment size."""


class Published(NamedTuple):
    """A message as it came; `packet_id` is 0 for QoS 0."""

    topic: str
    payload: bytes
    packet_id: int
    qos: int


def read_publish(data: bytes, at: int) -> tuple[Published, int] | None:
    """The PUBLISH of QoS 0 or 1 that begins at `at`, and where it ends; None if another packet or not all of it does.

    Bytes that break the standard are None too: whoever reads them next may refuse them.
    """
    if at >= len(data) or data[at] & 0xF4 != MessageType.PUBLISH:
        return None
    qos = data[at] >> 1 & 1
    length = shift = 0
    for start in range(at + 1, min(at + 5, len(data))):
        length |= (data[start] & 127) << shift
        if data[start] < 128:
            break
        shift += 7
    else:
        return None
    start, end = start + 1, start + 1 + length
    named = start + 2 + (data[start] << 8 | data[start + 1]) if start + 2 <= end <= len(data) else end + 1
    body = named + 2 * qos
    if body > end:
        return None
    topic = data[start + 2 : named].decode("utf-8", "replace")
    packet_id = data[named] << 8 | data[named + 1] if qos else 0
    return Published(topic, data[body:end], packet_id, qos), end


class ReadAheadSocket:
    """A socket that reads as much as there is, and hands it out in the pieces that are asked for."""

    def __init__(self, inner: "SocketLike") -> None:
        self._inner = inner
        self._read = b""
        self._at = 0

    def recv(self, size: int) -> bytes:
        """As a socket's; raises BlockingIOError (or an SSL error) when nothing is there."""
        if self._at >= len(self._read):
            self._read, self._at = self._inner.recv(_READ_AHEAD_BYTES), 0
        part = self._read[self._at : self._at + size]
        self._at += len(part)
        return part

    def published(self) -> Iterator[Published]:
        """The messages that are next in the buffer and there as a whole; reads once if the buffer is empty."""
        if self._at >= len(self._read):
            try:
                self._read, self._at = self._inner.recv(_READ_AHEAD_BYTES), 0
            except OSError:
                return  # nothing there, or whoever reads next finds the same fault
        while (found := read_publish(self._read, self._at)) is not None:
            message, self._at = found
            yield message

    def pending(self) -> int:
        """Bytes that were read already, so that no `select` tells of them."""
        below = self._inner.pending() if isinstance(self._inner, ssl.SSLSocket) else 0
        return len(self._read) - self._at + below

    def send(self, data: bytes | bytearray) -> int:
        return self._inner.send(data)

    def fileno(self) -> int:
        return self._inner.fileno()

    def setblocking(self, flag: bool) -> None:
        self._inner.setblocking(flag)

    def close(self) -> None:
        self._inner.close()


class BatchingClient(mqtt.Client):
    """A client of MQTT 3.1.1 with manual acknowledgement; `ack_all` may be called from any thread.

    Args:
        on_published: gets every message, on the connection's thread.
    """

    def __init__(self, client_id: str, on_published: Callable[[Published], None]) -> None:
        super().__init__(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            clean_session=False,
            manual_ack=True,
            protocol=mqtt.MQTTv311,
        )
        self._on_published = on_published
        self.on_message = self._on_paho_message

    def ack_all(self, packet_ids: Iterable[int]) -> None:
        """Acknowledge QoS 1 messages of the present connection (MQTT 3.1.1, section 3.4: four bytes each)."""
        ids = list(packet_ids)
        for i in range(0, len(ids), _ACKS_PER_PACKET):
            packet = b"".join(_PUBACK.pack(MessageType.PUBACK, 2, mid) for mid in ids[i : i + _ACKS_PER_PACKET])
            self._packet_queue(MessageType.PUBACK, packet, 0, 0)

    def loop_read(self, max_packets: int = 1) -> MQTTErrorCode:
        """Take everything that was read ahead, before the next `select`."""
        while True:
            ahead = self.socket()
            if isinstance(ahead, ReadAheadSocket) and self._in_packet["command"] == 0:
                for message in ahead.published():
                    self._on_published(message)
            code = super().loop_read(max_packets)
            ahead = self.socket()
            if code != MQTTErrorCode.MQTT_ERR_SUCCESS or not isinstance(ahead, ReadAheadSocket) or not ahead.pending():
                return code

    def _on_paho_message(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        self._on_published(Published(message.topic, bytes(message.payload), message.mid, message.qos))

    def _create_socket(self) -> "SocketLike":
        inner = super()._create_socket()
        if isinstance(inner, socket.socket):
            inner.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return ReadAheadSocket(inner)
