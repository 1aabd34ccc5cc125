"""Output commands on their way to a reader: who waits for each, and since when its card was read. Bounded."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass

from edge.access.status import Outcome

MAX_PENDING = 1024
"""Policy when full: the oldest is forgotten, and who waits for it learns that no confirmation came in time."""


Answer = Callable[[Outcome], None]
"""Tells whoever asked what became of it; called once at most, never blocks."""


@dataclass(frozen=True)
class Pending:
    """An output command on its way: to which reader, since when its card was read (monotonic), and who waits for it."""

    reader: str
    read_ns: int | None = None
    answer: Answer | None = None


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
