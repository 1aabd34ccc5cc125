"""paho's client, with fewer system calls: it reads ahead, and acknowledges a whole batch in one packet.

paho reads a message in four calls and wakes its thread for every acknowledgement; each call also hands the interpreter
lock to and fro between the two threads, which costs more than the call. Measured (benchmarks/ingest.py, one event a
message) this is a third of ingest. The two methods of paho that are used beyond its public ones are those by which its
own TLS and WebSocket sockets come in, and by which its own packets go out; the tests of the worker run through both.
"""

import socket
import ssl
import struct
from collections.abc import Iterable
from typing import TYPE_CHECKING

import paho.mqtt.client as mqtt
from paho.mqtt.enums import MessageType, MQTTErrorCode

if TYPE_CHECKING:
    from paho.mqtt.client import SocketLike

_READ_AHEAD_BYTES = 65536
_PUBACK = struct.Struct(">BBH")
_ACKS_PER_PACKET = 250
"""Acknowledgements in one write: 1,000 bytes, below any segment size."""


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
    """A client with manual acknowledgement; `ack_all` may be called from any thread."""

    def ack_all(self, packet_ids: Iterable[int]) -> None:
        """Acknowledge QoS 1 messages of the present connection (MQTT 3.1.1, section 3.4: four bytes each)."""
        ids = list(packet_ids)
        for i in range(0, len(ids), _ACKS_PER_PACKET):
            packet = b"".join(_PUBACK.pack(MessageType.PUBACK, 2, mid) for mid in ids[i : i + _ACKS_PER_PACKET])
            self._packet_queue(MessageType.PUBACK, packet, 0, 0)

    def loop_read(self, max_packets: int = 1) -> MQTTErrorCode:
        """Take everything that was read ahead, before the next `select`."""
        code = super().loop_read(max_packets)
        while code == MQTTErrorCode.MQTT_ERR_SUCCESS:
            ahead = self.socket()
            if not isinstance(ahead, ReadAheadSocket) or not ahead.pending():
                break
            code = super().loop_read(max_packets)
        return code

    def _create_socket(self) -> "SocketLike":
        inner = super()._create_socket()
        if isinstance(inner, socket.socket):
            inner.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return ReadAheadSocket(inner)
