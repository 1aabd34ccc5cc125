"""The port to which a board pushes its events.

A pushed packet carries no proof of who sent it, so it only wakes the driver, which then asks the board itself. What is
not 64 bytes of an event from the board's address with its serial number is counted and dropped.
"""

import contextlib
import socket
import threading
import time
from collections.abc import Callable

from edge.counters import Counters
from protocols.uhppote import PACKET_BYTES, BrokenPacket, parse_status

_LOOK_S = 0.5
_PAUSE_S = 0.05
"""After an error of the socket, so that one that stays cannot take the processor."""


class Listener:
    """One board's port.

    Args:
        pushed: called for each event, with when it came (monotonic clock, nanoseconds). Never blocks.

    Raises:
        OSError: if the port cannot be had.
    """

    def __init__(
        self, port: int, board_address: str, serial: int, counters: Counters, pushed: Callable[[int], None]
    ) -> None:
        self._board_address, self._serial, self._counters, self._pushed = board_address, serial, counters, pushed
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self._socket.bind(("0.0.0.0", port))
            self._socket.settimeout(_LOOK_S)
        except OSError:
            self._socket.close()
            raise
        self.port: int = self._socket.getsockname()[1]
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"uhppote-{serial}-events", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Give the port back."""
        self._stopping.set()
        with contextlib.suppress(OSError):
            self._socket.sendto(b"", ("127.0.0.1", self.port))  # wakes the thread at once
        self._thread.join()
        self._socket.close()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                packet, sender = self._socket.recvfrom(PACKET_BYTES + 1)
            except TimeoutError:
                continue
            except OSError:
                self._counters.add("listen_errors")
                self._stopping.wait(_PAUSE_S)
                continue
            if not self._stopping.is_set():
                self._take(packet, sender[0])

    def _take(self, packet: bytes, sender: str) -> None:
        if sender != self._board_address:
            self._counters.add("foreign_senders")
            return
        try:
            status = parse_status(packet)
        except BrokenPacket:
            self._counters.add("broken_packets")
            return
        if status.serial != self._serial:
            self._counters.add("foreign_boards")
            return
        self._counters.add("pushed")
        self._pushed(time.monotonic_ns())
