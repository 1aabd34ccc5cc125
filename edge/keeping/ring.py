"""The newest packets of one camera in memory, in whole groups of pictures, so that a clip can begin before its event.

The camera's thread puts packets in and never waits: a lock is held for a few appends. Whoever writes them to disk reads
from a number on, at his own pace. Bounded by bytes and seconds: the oldest group goes first. While a clip is being
written its packets are pinned, for at most as many bytes again; recording without an event never pins, so when the disk
is slow it is what loses packets first. What was lost is told to the reader by the gap in the numbers.
"""

import threading
from collections import deque
from dataclasses import dataclass, field
from itertools import islice, zip_longest

from edge.video.packets import StreamHead, VideoPacket

_FRESH_S = 2.0
"""So long after a connection's last packet it still counts as there."""
_READ_PACKETS = 500
"""The most that one reading copies while it holds the lock."""
PINNED_FACTOR = 2


@dataclass(frozen=True, slots=True)
class Numbered:
    """A packet, its number (rising by one from 0 for each camera) and the connection that it came over."""

    number: int
    run: int
    head: StreamHead
    packet: VideoPacket


@dataclass
class _Group:
    """A keyframe and what follows up to the next."""

    first: int
    run: int
    head: StreamHead
    packets: list[VideoPacket] = field(default_factory=list)
    size_bytes: int = 0

    @property
    def end(self) -> int:
        return self.first + len(self.packets)


@dataclass(frozen=True)
class RingStatus:
    """What a ring holds, and what it had to give up."""

    size_bytes: int
    seconds: float
    packets_taken: int
    groups_too_large: int
    """Groups of pictures given up in the middle, since they alone were larger than the quota."""


class CameraRing:
    """A `PacketSink`; the other methods may be called from any thread.

    Args:
        quota_bytes: of all packets together; twice as much while something is pinned.
        keep_s: how old a packet may get; the group that reaches back that far is kept whole.
    """

    def __init__(self, quota_bytes: int, keep_s: float) -> None:
        self._quota_bytes, self._keep_s = quota_bytes, keep_s
        self._lock = threading.Lock()
        self._groups: deque[_Group] = deque()
        self._head: StreamHead | None = None
        self._size_bytes = 0
        self._number = 0
        self._run = -1
        self._is_open = False
        self._pins: dict[object, float] = {}
        self._too_large = 0

    # --- the camera's thread ---

    def begin(self, head: StreamHead) -> None:
        with self._lock:
            self._run += 1
            self._head = head
            self._is_open = False

    def take(self, packet: VideoPacket) -> None:
        with self._lock:
            if packet.is_keyframe and self._head is not None:
                self._groups.append(_Group(self._number, self._run, self._head))
                self._is_open = True
            if not self._is_open:
                return  # nothing can be decoded before a keyframe
            group = self._groups[-1]
            group.packets.append(packet)
            group.size_bytes += len(packet.data)
            self._size_bytes += len(packet.data)
            self._number += 1
            self._make_room(packet.at_s)

    def end(self) -> None:
        with self._lock:
            self._is_open = False

    # --- whoever reads ---

    def number_at(self, at_s: float) -> int:
        """The number of the keyframe at or before `at_s`, or of the first after it if the camera was away just then."""
        with self._lock:
            for group, following in zip_longest(self._groups, islice(self._groups, 1, None)):
                is_same_run = following is not None and following.run == group.run
                end_s = following.packets[0].at_s if is_same_run else group.packets[-1].at_s + _FRESH_S
                if end_s > at_s:
                    return group.first
            return self._number

    @property
    def oldest_s(self) -> float | None:
        """When the oldest packet came; None of an empty ring."""
        with self._lock:
            return self._groups[0].packets[0].at_s if self._groups else None

    @property
    def next_number(self) -> int:
        """The number that the next packet will get."""
        return self._number

    def read(self, number: int) -> list[Numbered]:
        """The packets from `number` on, at most some hundreds; the first has a higher number if some were given up."""
        with self._lock:
            result: list[Numbered] = []
            for group in self._groups_from(number):
                start = max(number - group.first, 0)
                for offset in range(start, len(group.packets)):
                    result.append(Numbered(group.first + offset, group.run, group.head, group.packets[offset]))
                if len(result) >= _READ_PACKETS:
                    break
            return result

    def pin(self, owner: object, since_s: float) -> None:
        """Keep what is not older than `since_s`, even if that takes twice the quota, until the owner moves it."""
        with self._lock:
            self._pins[owner] = since_s

    def unpin(self, owner: object) -> None:
        """The owner needs nothing any more."""
        with self._lock:
            self._pins.pop(owner, None)

    def status(self) -> RingStatus:
        with self._lock:
            seconds = 0.0
            if self._groups and self._groups[-1].packets:
                seconds = self._groups[-1].packets[-1].at_s - self._groups[0].packets[0].at_s
            return RingStatus(self._size_bytes, seconds, self._number, self._too_large)

    def _groups_from(self, number: int) -> list[_Group]:
        """The groups that hold `number` and later ones, oldest first."""
        chosen: list[_Group] = []
        for group in reversed(self._groups):
            if group.end <= number:
                break
            chosen.append(group)
        chosen.reverse()
        return chosen

    def _make_room(self, now_s: float) -> None:
        pinned_s = min(self._pins.values(), default=float("inf"))
        while len(self._groups) > 1:
            oldest, second = self._groups[0], self._groups[1]
            second_s = second.packets[0].at_s if second.packets else now_s
            is_pinned = second_s > pinned_s
            quota_bytes = self._quota_bytes * PINNED_FACTOR if is_pinned else self._quota_bytes
            is_old = second_s <= now_s - self._keep_s and not is_pinned
            if self._size_bytes <= quota_bytes and not is_old:
                return
            self._groups.popleft()
            self._size_bytes -= oldest.size_bytes
        if self._size_bytes > self._quota_bytes * PINNED_FACTOR:
            self._groups.clear()
            self._size_bytes = 0
            self._is_open = False
            self._too_large += 1
