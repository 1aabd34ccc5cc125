"""The bounded queue between the broker's connection and the thread that stores batches.

When it is full, the connection's thread waits: the broker then holds its messages back, as the acknowledgements are
missing anyway. Nothing is dropped here.
"""

import threading
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

MAX_MESSAGES = 5_000
MAX_BYTES = 64 * 1024 * 1024


class Delivery(NamedTuple):
    """A message and what its acknowledgement needs. `generation` numbers the connection that brought it."""

    generation: int
    packet_id: int
    qos: int
    topic: str
    payload: bytes


class Inbox:
    """First in, first out. `put` blocks while full; `take` gives what came, after a short wait for company."""

    def __init__(
        self, on_full: Callable[[], None], max_messages: int = MAX_MESSAGES, max_bytes: int = MAX_BYTES
    ) -> None:
        self._on_full = on_full
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._waiting: deque[Delivery] = deque()
        self._bytes = 0
        self._closed = False
        self._changed = threading.Condition()
        self._ripe = threading.Event()
        self._ripe_at: tuple[int, int] | None = None
        """Messages and bytes for which `take` stops waiting; None while it does not wait."""

    def put(self, delivery: Delivery) -> None:
        """Add a message; waits while the inbox is full. After `close` it is dropped, unacknowledged."""
        with self._changed:
            if self._is_full():
                self._on_full()
                self._changed.wait_for(lambda: self._closed or not self._is_full())
            if self._closed:
                return
            self._waiting.append(delivery)
            self._bytes += len(delivery.payload)
            if len(self._waiting) == 1:
                self._changed.notify_all()
            if self._ripe_at is not None and self._makes_batch(*self._ripe_at):
                self._ripe.set()

    def take(self, max_messages: int, max_bytes: int, linger_s: float, timeout_s: float | None) -> list[Delivery]:
        """The oldest messages, at least one, unless `timeout_s` passes or the inbox is closed.

        After the first message it waits `linger_s` for more, or until there are enough for a batch, without waking up
        for each: that costs more than the wait.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._closed or self._waiting, timeout_s) or self._closed:
                return []
            self._ripe.clear()
            self._ripe_at = (max_messages, max_bytes)
            is_ripe = self._makes_batch(max_messages, max_bytes)
        if not is_ripe:
            self._ripe.wait(linger_s)
        with self._changed:
            self._ripe_at = None
            taken = [self._pop() for _ in range(self._count(max_messages, max_bytes))]
            self._changed.notify_all()
        return taken

    def close(self) -> None:
        """Wake everyone up; nothing more comes in or out."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._ripe.set()

    def _makes_batch(self, max_messages: int, max_bytes: int) -> bool:
        return len(self._waiting) >= max_messages or self._bytes >= max_bytes

    def _is_full(self) -> bool:
        return len(self._waiting) >= self._max_messages or self._bytes >= self._max_bytes

    def _count(self, max_messages: int, max_bytes: int) -> int:
        """How many of the oldest make a batch: one at least, of whatever size."""
        count = size = 0
        for delivery in self._waiting:
            size += len(delivery.payload)
            if count == max_messages or (count and size > max_bytes):
                break
            count += 1
        return count

    def _pop(self) -> Delivery:
        delivery = self._waiting.popleft()
        self._bytes -= len(delivery.payload)
        return delivery
