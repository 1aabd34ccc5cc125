"""Output commands on their way to a reader: who waits for each, and since when its card was read. Bounded."""

import itertools
import queue
from dataclasses import dataclass

from edge.access.status import ReleaseOutcome

MAX_PENDING = 1024
"""Policy when full: the oldest is forgotten, and who waits for it learns that no confirmation came in time."""


@dataclass(frozen=True)
class Pending:
    """An output command on its way: since when its card was read (monotonic), and who waits for it."""

    read_ns: int | None
    answer: "queue.Queue[ReleaseOutcome] | None"


class PendingOutputs:
    """By ticket; one thread."""

    def __init__(self) -> None:
        self._tickets = itertools.count(1)
        self._pending: dict[int, Pending] = {}

    def add(self, pending: Pending) -> int:
        """Its ticket, under which the driver tells what became of it."""
        ticket = next(self._tickets)
        self._pending[ticket] = pending
        while len(self._pending) > MAX_PENDING:
            del self._pending[next(iter(self._pending))]
        return ticket

    def take(self, ticket: int) -> Pending | None:
        """What waited under a ticket; None if it was forgotten or taken before."""
        return self._pending.pop(ticket, None)
