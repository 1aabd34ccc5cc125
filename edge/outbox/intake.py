"""The bounded queue between the doors and cameras and the outbox's writer.

Policy when full: the oldest observation of the lowest class goes, so a flood of video never costs a door's event; the
drop is counted by class and told to the hub in the next gap event. Putting something in never blocks and never raises.
"""

import itertools
import threading
from collections import Counter, deque
from concurrent.futures import Future
from dataclasses import dataclass, field

from edge.observations import Observation
from edge.outbox.rows import Priority, priority_of
from protocols.receipts import Receipt
from protocols.topics import EventClass

MAX_WAITING_RECEIPTS = 1000
"""Policy when full: the oldest goes; the hub answers every resend with a receipt again."""


@dataclass
class Entry:
    """One observation on its way to the disk. `number` gets the event's `seq` once it is durable, if someone waits."""

    observation: Observation
    arrival: int
    priority: Priority
    number: "Future[int] | None" = field(default=None, repr=False)


@dataclass(frozen=True)
class Work:
    """What the writer takes in one turn, in the order of arrival."""

    entries: list[Entry]
    receipts: list[Receipt]


class Intake:
    """Takes observations and receipts from any thread; one writer takes them out."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._ready = threading.Condition()
        self._queues: dict[Priority, deque[Entry]] = {priority: deque() for priority in sorted(Priority, reverse=True)}
        self._receipts: deque[Receipt] = deque(maxlen=MAX_WAITING_RECEIPTS)
        self._arrivals = itertools.count()
        self._dropped: Counter[EventClass] = Counter()
        self._total_dropped = 0
        self._closed = False

    def put(self, observation: Observation, number: "Future[int] | None" = None) -> None:
        """Queue an observation; when full, drop the oldest of the lowest class."""
        entry = Entry(observation, 0, priority_of(observation.data.TYPE), number)
        with self._ready:
            entry.arrival = next(self._arrivals)
            self._queues[entry.priority].append(entry)
            if self._length() > self._capacity:
                self._drop_one()
            self._ready.notify()

    def put_receipt(self, receipt: Receipt) -> None:
        with self._ready:
            self._receipts.append(receipt)
            self._ready.notify()

    def close(self) -> None:
        """Wake the writer for the last time: from now on `take` does not wait."""
        with self._ready:
            self._closed = True
            self._ready.notify_all()

    def take(self, at_most: int, wait_s: float, linger_s: float) -> Work:
        """Wait up to `wait_s` for the first thing, then up to `linger_s` for company, and take what is there."""
        with self._ready:
            self._ready.wait_for(lambda: self._closed or self._length() or self._receipts, wait_s)
            if self._length() and not self._closed:
                self._ready.wait_for(lambda: self._closed or self._length() >= at_most, linger_s)
            entries = [self._oldest() for _ in range(min(at_most, self._length()))]
            receipts = list(self._receipts)
            self._receipts.clear()
        return Work(entries, receipts)

    def take_dropped(self) -> Counter[EventClass]:
        """The drops since the last call, by class."""
        with self._ready:
            dropped, self._dropped = self._dropped, Counter()
        return dropped

    @property
    def waiting(self) -> int:
        with self._ready:
            return self._length()

    @property
    def total_dropped(self) -> int:
        return self._total_dropped

    def _length(self) -> int:
        return sum(len(queue) for queue in self._queues.values())

    def _oldest(self) -> Entry:
        return min((queue for queue in self._queues.values() if queue), key=lambda queue: queue[0].arrival).popleft()

    def _drop_one(self) -> None:
        victim = next(queue for queue in self._queues.values() if queue).popleft()
        self._dropped[victim.observation.data.EVENT_CLASS] += 1
        self._total_dropped += 1
        if victim.number is not None:
            victim.number.set_exception(OverflowError("the outbox's queue was full"))
