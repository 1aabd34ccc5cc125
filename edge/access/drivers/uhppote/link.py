"""Requests to one board and their replies, over UDP or TCP, one at a time and never for long.

The packets are `uhppoted`'s; its sockets are not used: over TCP it spins for ever when a board closes the connection,
over UDP it takes a reply from any address and waits anew after each packet of another size (0.9.1). Here a try has one
deadline, its own socket, so that a late reply cannot answer a later request, and takes only the board's own reply.
"""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from protocols.uhppote import PACKET_BYTES, START

TRY_S = 0.7
"""A board answers within milliseconds."""
TRIES = 3

_SERIAL = slice(4, 8)


class NoAnswer(Exception):
    """The board did not answer."""


class Link:
    """The way to one board. Safe to use from several threads; what is asked in the background waits for the rest.

    Args:
        serial: the board's; a reply with another one is none.
        tcp: over TCP, not UDP.
        try_s: how long each of `TRIES` tries takes at most.
    """

    def __init__(self, address: str, port: int, serial: int, *, tcp: bool, try_s: float = TRY_S) -> None:
        self._peer = (address, port)
        self._serial = serial.to_bytes(4, "little")
        self._try = self._try_tcp if tcp else self._try_udp
        self._try_s = try_s
        self._turn = threading.Condition()
        self._busy = False
        self._waiting = 0

    def ask(self, request: bytes, *, background: bool = False, tries: int = TRIES) -> bytes:
        """Send a request and return the reply's 64 bytes; its start, function and serial number are right.

        A request may reach the board several times, so it must be one that can.

        Raises:
            NoAnswer: if the board gave none in time.
        """
        with self._my_turn(background):
            why = ""
            for _ in range(tries):
                try:
                    return self._try(bytes(request), time.monotonic() + self._try_s)
                except OSError as error:
                    why = error.strerror or "no reply"
        raise NoAnswer(f"the board at {self._peer[0]} port {self._peer[1]} does not answer ({why})")

    def own_address(self) -> str:
        """The address from which this machine reaches the board.

        Raises:
            NoAnswer: if no route leads there.
        """
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect(self._peer)
            except OSError as error:
                raise NoAnswer(f"there is no route to {self._peer[0]} ({error.strerror})") from error
            return str(probe.getsockname()[0])

    @contextmanager
    def _my_turn(self, background: bool) -> Iterator[None]:
        with self._turn:
            if background:
                self._turn.wait_for(lambda: not self._busy and not self._waiting)
            else:
                self._waiting += 1
                self._turn.wait_for(lambda: not self._busy)
                self._waiting -= 1
            self._busy = True
        try:
            yield
        finally:
            with self._turn:
                self._busy = False
                self._turn.notify_all()

    def _try_udp(self, request: bytes, deadline_s: float) -> bytes:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.connect(self._peer)  # the kernel drops what comes from any other address
            udp.send(request)
            while True:
                udp.settimeout(_left_s(deadline_s))
                reply = udp.recv(PACKET_BYTES + 1)
                if self._answers(reply, request):
                    return reply

    def _try_tcp(self, request: bytes, deadline_s: float) -> bytes:
        with socket.create_connection(self._peer, _left_s(deadline_s)) as tcp:
            tcp.sendall(request)
            reply = b""
            while len(reply) < PACKET_BYTES:
                tcp.settimeout(_left_s(deadline_s))
                part = tcp.recv(PACKET_BYTES - len(reply))
                if not part:
                    raise ConnectionResetError(0, "it closed the connection")
                reply += part
        if not self._answers(reply, request):
            raise ConnectionResetError(0, "it answered something else")
        return reply

    def _answers(self, reply: bytes, request: bytes) -> bool:
        return (
            len(reply) == PACKET_BYTES
            and reply[0] == START
            and reply[1] == request[1]
            and (reply[_SERIAL] == self._serial or not any(request[_SERIAL]))
        )


def _left_s(deadline_s: float) -> float:
    """What is left of a try; at the deadline it is over."""
    left_s = deadline_s - time.monotonic()
    if left_s <= 0:
        raise TimeoutError
    return left_s
