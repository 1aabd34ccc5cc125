"""A TCP connection between a gateway and a device, that can be made to stall, to break and to garble."""

import contextlib
import random
import select
import socket
import struct
import threading
from enum import Enum
from typing import Self

_RTSP_FRAME = 0x24
"""`$` begins an RTP packet within an RTSP connection (RFC 2326, 10.12)."""
_SPARED = 4 + 12
"""The frame's head and RTP's: what is garbled is the video alone, and the framing stays sound."""


class Mischief(Enum):
    """What the proxy does to what a device sends."""

    NONE = "none"
    STALL = "stall"
    GARBLE_VIDEO = "garble video"
    GARBLE_ALL = "garble all"


class TcpProxy:
    """Listens on loopback and passes everything to `port`. Use as a context manager."""

    def __init__(self, port: int) -> None:
        self.mischief = Mischief.NONE
        self._to = port
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(0.1)
        self._threads = [threading.Thread(target=self._accept)]

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._listener.getsockname()[1])

    def reset_all(self) -> None:
        """Break every connection at once, as a router that forgot them does (RST)."""
        with self._lock:
            for pair in self._pairs:
                for end in pair:
                    with contextlib.suppress(OSError):
                        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                        end.close()
            self._pairs.clear()

    def _accept(self) -> None:
        while not self._over.is_set():
            try:
                near, _ = self._listener.accept()
            except TimeoutError:
                continue
            try:
                far = socket.create_connection(("127.0.0.1", self._to), 2.0)
            except OSError:
                near.close()
                continue
            with self._lock:
                self._pairs.append((near, far))
            thread = threading.Thread(target=self._pass, args=(near, far))
            thread.start()
            self._threads.append(thread)

    def _pass(self, near: socket.socket, far: socket.socket) -> None:
        dice, rest = random.Random(1), b""
        try:
            while not self._over.is_set():
                ready, _, _ = select.select([near, far], [], [], 0.05)
                if near in ready:
                    said = near.recv(65536)
                    if not said:
                        return
                    far.sendall(said)
                if far in ready and self.mischief is not Mischief.STALL:
                    said = far.recv(65536)
                    if not said:
                        return
                    done, rest = _cut(rest + said)
                    near.sendall(b"".join(self._spoilt(part, dice) for part in done))
        except (OSError, ValueError):
            return  # one end is gone
        finally:
            near.close()
            far.close()

    def _spoilt(self, part: bytes, dice: random.Random) -> bytes:
        if self.mischief is Mischief.GARBLE_ALL:
            return dice.randbytes(len(part))
        if self.mischief is Mischief.GARBLE_VIDEO and part[0] == _RTSP_FRAME and part[1] == 0:
            return part[:_SPARED] + dice.randbytes(len(part) - _SPARED)
        return part

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()
        self._listener.close()


def _cut(data: bytes) -> tuple[list[bytes], bytes]:
    """RTP packets and the text between them, and what is not whole yet."""
    parts = []
    while data:
        if data[0] != _RTSP_FRAME:
            end = data.find(b"$")
            text, data = (data, b"") if end < 0 else (data[:end], data[end:])
            parts.append(text)
            continue
        length = 4 + int.from_bytes(data[2:4], "big") if len(data) >= 4 else len(data) + 1
        if len(data) < length:
            return parts, data
        parts.append(data[:length])
        data = data[length:]
    return parts, b""
