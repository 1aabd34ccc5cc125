"""A pseudo-terminal as an RS-485 line: several played readers share it, and one may spoil what it sends."""

import contextlib
import os
import random
import tty
from pathlib import Path

_BUFFER_BYTES = 4096


class Tap:
    """One reader's side of a shared line: it gets every byte of the line and may spoil what it sends."""

    def __init__(self, line: "PtyLine", chance: random.Random) -> None:
        self.id = line.number
        self.corrupt_rate = 0.0
        self._line, self._chance = line, chance
        self._buffer = b""

    def feed(self, data: bytes) -> None:
        self._buffer = (self._buffer + data)[-_BUFFER_BYTES:]

    def read(self, max_bytes: int) -> bytes:
        data, self._buffer = self._buffer[:max_bytes], self._buffer[max_bytes:]
        return data

    def write(self, data: bytes) -> int:
        if self._chance.random() < self.corrupt_rate:
            place = self._chance.randrange(len(data))
            flipped = data[place] ^ 1 << self._chance.randrange(8)
            data = data[:place] + bytes([flipped]) + data[place + 1 :]
        return self._line.write(data)

    def flush(self) -> None:
        self._buffer = b""


class PtyLine:
    """A pseudo-terminal whose other end the gateway opens by `link`."""

    def __init__(self, number: int, link: Path) -> None:
        self.number = number
        self._master, self._slave = os.openpty()
        tty.setraw(self._master)
        tty.setraw(self._slave)  # stays open here, so that a gateway may come and go
        os.set_blocking(self._master, False)
        self._link = link
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(os.ttyname(self._slave))
        self.taps: list[Tap] = []

    def fileno(self) -> int:
        return self._master

    def pump(self) -> None:
        """Give what arrived to every reader of the line."""
        with contextlib.suppress(BlockingIOError):
            data = os.read(self._master, _BUFFER_BYTES)
            for tap in self.taps:
                tap.feed(data)

    def write(self, data: bytes) -> int:
        try:
            return os.write(self._master, data)
        except BlockingIOError:
            return len(data)  # nobody reads the line: the bytes are lost, as on a wire

    def close(self) -> None:
        self._link.unlink(missing_ok=True)
        os.close(self._master)
        os.close(self._slave)
