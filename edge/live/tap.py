"""Listens to a camera's packets: keeps the last group of pictures, and feeds the queues of whoever watches.

`LiveTap` is a `PacketSink`: the camera's thread never waits here. A queue is bounded in bytes and in seconds; when the
uplink does not keep up, all that waits goes and nothing is taken before the next key frame, so that what is sent can
always be decoded. What went is counted.
"""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from edge.video.packets import StreamHead, VideoPacket

GROUP_BYTES = 4 << 20
GROUP_PACKETS = 400
"""At 25 pictures a second, 16 s. A longer group is not kept: whoever comes then waits for the next key frame."""
QUEUE_BYTES = 4 << 20
QUEUE_S = 3.0
_RATE_WINDOW_S = 4.0


@dataclass(frozen=True, slots=True)
class Taken:
    """A packet from a queue, and the head that it belongs to; `run` is another number with each head."""

    run: int
    head: StreamHead
    packet: VideoPacket


class PacketQueue:
    """One watcher's packets. `take` is for his thread; everything else is called by the tap under its lock.

    Args:
        wake: called when there is something new; returns at once.
    """

    def __init__(self, wake: Callable[[], None], most_bytes: int = QUEUE_BYTES, most_s: float = QUEUE_S) -> None:
        self._wake, self._most_bytes, self._most_s = wake, most_bytes, most_s
        self._lock = threading.Lock()
        self._waiting: deque[tuple[Taken, float]] = deque()
        self._size_bytes = 0
        self._needs_key = True
        self._head: StreamHead | None = None
        self._run = 0
        self.dropped = 0
        """Packets that were left out as the watcher was too slow."""

    @property
    def is_fed(self) -> bool:
        """Whether the camera is connected."""
        return self._head is not None

    def take(self) -> Taken | None:
        """The next packet; None if there is none now."""
        with self._lock:
            if not self._waiting:
                return None
            taken, _ = self._waiting.popleft()
            self._size_bytes -= len(taken.packet.data)
            return taken

    def begin(self, head: StreamHead) -> None:
        """Packets of this head follow; those before it are of no use any more."""
        with self._lock:
            self._clear()
            self._head, self._run = head, self._run + 1
        self._wake()

    def end(self) -> None:
        """The camera is gone; what waits is still sent."""
        with self._lock:
            self._head = None
        self._wake()

    def put(self, packet: VideoPacket, since_s: float) -> None:
        """Add a packet that waits since `since_s` (monotonic seconds)."""
        with self._lock:
            if self._head is None:
                return
            if self._is_full(packet, since_s):
                self.dropped += len(self._waiting)
                self._clear()
            if self._needs_key and not packet.is_keyframe:
                self.dropped += 1
                return
            self._needs_key = False
            self._waiting.append((Taken(self._run, self._head, packet), since_s))
            self._size_bytes += len(packet.data)
        self._wake()

    def _is_full(self, packet: VideoPacket, since_s: float) -> bool:
        if not self._waiting:
            return False
        too_old = since_s - self._waiting[0][1] > self._most_s
        return too_old or self._size_bytes + len(packet.data) > self._most_bytes

    def _clear(self) -> None:
        self._waiting.clear()
        self._size_bytes = 0
        self._needs_key = True


class LiveTap:
    """One stream of one camera."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._head: StreamHead | None = None
        self._group: list[VideoPacket] = []
        self._group_bytes = 0
        self._queues: list[PacketQueue] = []
        self._recent: deque[tuple[float, int]] = deque()

    # --- the camera's thread ---

    def begin(self, head: StreamHead) -> None:
        with self._lock:
            self._head = head
            self._forget()
            for queue in self._queues:
                queue.begin(head)

    def take(self, packet: VideoPacket) -> None:
        with self._lock:
            self._remember(packet)
            for queue in self._queues:
                queue.put(packet, packet.at_s)

    def end(self) -> None:
        with self._lock:
            self._head = None
            self._forget()
            for queue in self._queues:
                queue.end()

    # --- whoever watches ---

    def join(self, queue: PacketQueue) -> None:
        """Feed a queue from now on, the last group of pictures first: nothing is missed or doubled in between."""
        with self._lock:
            self._queues.append(queue)
            if self._head is None:
                return
            queue.begin(self._head)
            for packet in self._group:
                queue.put(packet, self._group[-1].at_s)

    def leave(self, queue: PacketQueue) -> None:
        """Feed it no more."""
        with self._lock:
            if queue in self._queues:
                self._queues.remove(queue)

    def group(self) -> tuple[StreamHead, tuple[VideoPacket, ...]] | None:
        """The last group of pictures, from its key frame on; None while there is none."""
        with self._lock:
            return (self._head, tuple(self._group)) if self._head is not None and self._group else None

    @property
    def head(self) -> StreamHead | None:
        """What the camera sends; None while it is away."""
        return self._head

    @property
    def watchers(self) -> int:
        return len(self._queues)

    @property
    def bytes_per_s(self) -> float:
        """What the whole stream takes, over the last seconds."""
        with self._lock:
            if len(self._recent) < 2:
                return 0.0
            passed_s = self._recent[-1][0] - self._recent[0][0]
            return sum(size for _, size in self._recent) / max(passed_s, 0.5)

    def _remember(self, packet: VideoPacket) -> None:
        self._recent.append((packet.at_s, len(packet.data)))
        while packet.at_s - self._recent[0][0] > _RATE_WINDOW_S:
            self._recent.popleft()
        if packet.is_keyframe:
            self._group, self._group_bytes = [packet], len(packet.data)
        elif self._group:
            self._group.append(packet)
            self._group_bytes += len(packet.data)
            if self._group_bytes > GROUP_BYTES or len(self._group) > GROUP_PACKETS:
                self._group, self._group_bytes = [], 0

    def _forget(self) -> None:
        self._group, self._group_bytes = [], 0
        self._recent.clear()
