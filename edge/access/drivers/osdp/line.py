"""The serial line of a bus: a device or pseudo-terminal in raw mode, never blocking; and who was heard on it.

`libosdp` reads and writes through `Line` as its channel. A port that fails is told by `fault`, not by an exception,
since exceptions inside the library's call-backs are swallowed.
"""

import errno
import fcntl
import os
import termios
import time
import tty
from collections.abc import Iterable

_START = b"\x53"
_REPLY = 0x80
_BAUD = {rate: getattr(termios, f"B{rate}") for rate in (9600, 19200, 38400, 57600, 115200, 230400)}


class Line:
    """One open port; the channel of every reader on it.

    Args:
        port: path of the device.
        addresses: the OSDP addresses on the bus.

    Raises:
        OSError: if the port cannot be opened or is no terminal; EBUSY if another process of ours has it open: two
            control panels on one line would take each other's replies.
    """

    def __init__(self, port: str, baud_rate: int, addresses: Iterable[int]) -> None:
        self.id = 1
        self.fault: OSError | None = None
        self.is_muted = False
        """What is written is lost, as it may be on any wire."""
        self.read_ns = 0
        """`time.monotonic_ns()` when the newest bytes were taken from the port."""
        self._replies = {address | _REPLY: address for address in addresses}
        self._heard: set[int] = set()
        self._last = b""
        self._descriptor = os.open(port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _make_raw(self._descriptor, baud_rate)
        except BlockingIOError as error:
            os.close(self._descriptor)
            raise OSError(errno.EBUSY, "another gateway, or a command of ours, uses this port") from error
        except termios.error as error:
            os.close(self._descriptor)
            raise OSError(error.args[0], f"not a serial port: {error.args[1]}") from error

    def fileno(self) -> int:
        return self._descriptor

    def close(self) -> None:
        os.close(self._descriptor)

    def take_heard(self) -> set[int]:
        """The addresses from which the start of a reply came since the last call."""
        heard, self._heard = self._heard, set()
        return heard

    def read(self, max_bytes: int) -> bytes:
        """What has arrived, for libosdp; nothing is b""."""
        if self.fault is not None:
            return b""
        try:
            data = os.read(self._descriptor, max_bytes)
        except BlockingIOError:
            return b""
        except OSError as error:
            self.fault = error
            return b""
        if data:
            self.read_ns = time.monotonic_ns()
            self._listen(data)
        return data

    def write(self, data: bytes) -> int:
        """Send what fits, for libosdp."""
        if self.fault is not None:
            return 0
        if self.is_muted:
            return len(data)
        try:
            return os.write(self._descriptor, data)
        except BlockingIOError:
            return 0
        except OSError as error:
            self.fault = error
            return 0

    def flush(self) -> None:
        """Throw away what arrived and was not read, for libosdp."""
        while self.read(4096):
            pass

    def _listen(self, data: bytes) -> None:
        data = self._last + data
        place = data.find(_START)
        while 0 <= place < len(data) - 1:
            address = self._replies.get(data[place + 1])
            if address is not None:
                self._heard.add(address)
            place = data.find(_START, place + 1)
        self._last = _START if data.endswith(_START) else b""


def _make_raw(descriptor: int, baud_rate: int) -> None:
    tty.setraw(descriptor, termios.TCSANOW)
    settings = termios.tcgetattr(descriptor)
    settings[2] |= termios.CLOCAL | termios.CREAD
    settings[4] = settings[5] = _BAUD[baud_rate]
    termios.tcsetattr(descriptor, termios.TCSANOW, settings)
