"""What a driver delivered in a test, in order, and waiting for it."""

import threading
import time
from typing import TypeVar

from edge.access.drivers.interface import DriverEvent, OutputDone

Event = TypeVar("Event")


class Deliveries:
    """A `Deliver` that keeps everything."""

    def __init__(self) -> None:
        self.all: list[DriverEvent] = []
        self._changed = threading.Condition()

    def __call__(self, event: DriverEvent) -> None:
        with self._changed:
            self.all.append(event)
            self._changed.notify_all()

    def of(self, kind: type[Event]) -> list[Event]:
        """Those of one kind."""
        return [event for event in list(self.all) if isinstance(event, kind)]

    def wait_for(self, kind: type[Event], count: int = 1, timeout_s: float = 30.0) -> Event:
        """The `count`-th of one kind, when it is there."""
        deadline_s = time.monotonic() + timeout_s
        with self._changed:
            while len(seen := self.of(kind)) < count:
                left_s = deadline_s - time.monotonic()
                assert left_s > 0, f"{len(seen)} of {count} {kind.__name__} within {timeout_s} s: {self.all[-8:]}"
                self._changed.wait(left_s)
            return seen[count - 1]

    def done(self, ticket: int, timeout_s: float = 30.0) -> OutputDone:
        """What became of a command."""
        deadline_s = time.monotonic() + timeout_s
        with self._changed:
            while not (seen := [each for each in self.of(OutputDone) if each.ticket == ticket]):
                left_s = deadline_s - time.monotonic()
                assert left_s > 0, f"no OutputDone for ticket {ticket} within {timeout_s} s: {self.all[-8:]}"
                self._changed.wait(left_s)
            return seen[0]
