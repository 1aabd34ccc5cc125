"""Somebody with their hands on an OSDP line: a relay between two pseudo-terminals that works frame by frame.

It drops, flips, delays and replays frames. It knows of a frame what anybody on the line can see: where it ends, its
address, its direction and, in clear also under a secure channel, its command or reply code.
"""

import contextlib
import os
import random
import select
import threading
import time
import tty
from collections import Counter, deque
from dataclasses import dataclass
from pathlib import Path

START = 0x53
RAW = 0x50
"""The reply that carries a card."""
_REPLY = 0x80
_MAX_FRAME = 1440


def code_of(frame: bytes) -> int:
    """The command or reply code."""
    return frame[5 + (frame[5] if frame[4] & 8 else 0)]


def is_reply(frame: bytes) -> bool:
    return bool(frame[1] & _REPLY)


def is_card(frame: bytes) -> bool:
    return is_reply(frame) and code_of(frame) == RAW


class Frames:
    """Cuts one direction of a line into OSDP frames; bytes between frames (marks, noise) are thrown away."""

    def __init__(self) -> None:
        self._rest = b""

    def receive(self, data: bytes) -> list[bytes]:
        self._rest += data
        frames = []
        while (start := self._rest.find(START)) >= 0:
            self._rest = self._rest[start:]
            if len(self._rest) < 4:
                break
            length = int.from_bytes(self._rest[2:4], "little")
            if not 7 <= length <= _MAX_FRAME:
                self._rest = self._rest[1:]
                continue
            if len(self._rest) < length:
                break
            frames.append(self._rest[:length])
            self._rest = self._rest[length:]
        return frames


@dataclass
class Mischief:
    """What is done to frames: each rate is a share from 0 to 1, of all frames of both directions."""

    drop_rate: float = 0.0
    flip_rate: float = 0.0
    flip_cards: bool = False
    """Flip one bit in every card frame."""
    delay_s: float = 0.0
    seed: int = 1


class LineInTheMiddle:
    """The gateway opens `link`; what it says and hears goes to and from the reader's line `far`.

    Cards and other frames draw their lots from two streams, so that for one seed the n-th card frame meets the same
    fate in every run, however many polls went before it.
    """

    def __init__(self, link: Path, far: Path, mischief: Mischief | None = None) -> None:
        self.link, self._far_path = link, far
        self.mischief = mischief or Mischief()
        self.seen: Counter[str] = Counter()
        """Frames by what became of them: passed, dropped, flipped, replayed; and `cards`, all that came."""
        self.recorded: deque[bytes] = deque(maxlen=4096)
        """The replies as the reader sent them, newest last."""
        self._lots = random.Random(self.mischief.seed)
        self._card_lots = random.Random(self.mischief.seed)
        self._instead: deque[bytes] = deque()
        self._late: deque[tuple[float, int, bytes]] = deque()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="line-in-the-middle")

    def __enter__(self) -> "LineInTheMiddle":
        self._near, self._slave = os.openpty()
        tty.setraw(self._near)
        tty.setraw(self._slave)
        self._far = os.open(self._far_path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        tty.setraw(self._far)
        os.set_blocking(self._near, False)
        self.link.symlink_to(os.ttyname(self._slave))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self.link.unlink()
        for descriptor in (self._near, self._slave, self._far):
            os.close(descriptor)

    def replay(self, *frames: bytes) -> None:
        """Put old frames in the place of the reader's next replies."""
        self._instead.extend(frames)

    def cards(self) -> list[bytes]:
        """The card frames as the reader sent them."""
        return [frame for frame in list(self.recorded) if is_card(frame)]

    def _run(self) -> None:
        near, far = Frames(), Frames()
        while not self._stop.is_set():
            wait_s = max(0.0, min(0.05, self._late[0][0] - time.monotonic())) if self._late else 0.05
            ready, _, _ = select.select([self._near, self._far], [], [], wait_s)
            if self._near in ready:
                for frame in near.receive(_read(self._near)):
                    self._pass(frame, self._far)
            if self._far in ready:
                for frame in far.receive(_read(self._far)):
                    self.recorded.append(frame)
                    self._pass(self._in_its_place(frame), self._near)
            while self._late and self._late[0][0] <= time.monotonic():
                _, to, frame = self._late.popleft()
                _write(to, frame)

    def _in_its_place(self, frame: bytes) -> bytes:
        if not self._instead:
            return frame
        self.seen["replayed"] += 1
        return self._instead.popleft()

    def _pass(self, frame: bytes, to: int) -> None:
        card = is_card(frame)
        self.seen["cards"] += card
        lots = self._card_lots if card else self._lots
        lot = lots.random()
        if lot < self.mischief.drop_rate:
            self.seen["dropped"] += 1
            self.seen["cards dropped"] += card
            return
        if lot < self.mischief.drop_rate + self.mischief.flip_rate or (card and self.mischief.flip_cards):
            self.seen["flipped"] += 1
            self.seen["cards flipped"] += card
            frame = flipped(frame, lots)
        else:
            self.seen["passed"] += 1
        if self.mischief.delay_s:
            self._late.append((time.monotonic() + self.mischief.delay_s, to, frame))
        else:
            _write(to, frame)


def flipped(frame: bytes, chance: random.Random) -> bytes:
    """The frame with one bit turned over."""
    place = chance.randrange(len(frame))
    return frame[:place] + bytes([frame[place] ^ 1 << chance.randrange(8)]) + frame[place + 1 :]


def _read(descriptor: int) -> bytes:
    with contextlib.suppress(BlockingIOError, OSError):
        return os.read(descriptor, 4096)
    return b""


def _write(descriptor: int, frame: bytes) -> None:
    with contextlib.suppress(BlockingIOError):  # nobody reads there: lost, as on a wire
        os.write(descriptor, frame)
