"""Who was let in at one door and has not been seen to pass yet. Times are monotonic seconds.

The contact tells who passed: all who were let in before it opens. Where there is none, or the door stands open or free
already, being let in is passing.
"""

import math
from collections import deque
from dataclasses import dataclass

from edge.access.decision import Decision

MAX_WAITING = 8
"""Of one door. Policy when full: the oldest is given up, as one who did not pass."""


@dataclass(frozen=True)
class Passage:
    """Somebody who was let in through a reader, and until when the door may open for it."""

    reader: str
    decision: Decision
    until_s: float


class Passages:
    """One door's."""

    def __init__(self) -> None:
        self._waiting: deque[Passage] = deque()

    @property
    def deadline_s(self) -> float:
        """When `given_up` has something to tell; infinity: never."""
        return min((passage.until_s for passage in self._waiting), default=math.inf)

    def expect(self, passage: Passage) -> None:
        self._waiting.append(passage)

    def opened(self) -> list[Passage]:
        """The door opened: these passed."""
        passed, self._waiting = list(self._waiting), deque()
        return passed

    def given_up(self, now_s: float) -> list[Passage]:
        """Those for whom the door did not open in time, or who are too many."""
        gone = [passage for passage in self._waiting if passage.until_s <= now_s]
        self._waiting = deque(passage for passage in self._waiting if passage.until_s > now_s)
        while len(self._waiting) > MAX_WAITING:
            gone.append(self._waiting.popleft())
        return gone
