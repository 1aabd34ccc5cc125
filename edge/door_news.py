"""What the doors tell, passed on in process to whoever else on this gateway needs it: the cameras' rules.

The outbox comes first, and nobody can keep a door waiting: each listener has a bounded queue of its own, whose oldest
news is dropped when it is full (counted).
"""

import threading
from collections import deque

from edge.observations import Observation, Recorder
from protocols.access_events import AccessDenied, AccessGranted, DoorClosed, DoorModeChanged, DoorOpened, DoorReleased

MOST_WAITING = 256
_PASSED_ON = (AccessGranted, AccessDenied, DoorReleased, DoorOpened, DoorClosed, DoorModeChanged)


class Listener:
    """One reader of the news of some doors."""

    def __init__(self, doors: frozenset[str]) -> None:
        self.doors = doors
        self.lost = 0
        """News dropped because nobody took them in time."""
        self._lock = threading.Lock()
        self._waiting: deque[Observation] = deque()

    def take(self) -> list[Observation]:
        """What came since the last time, oldest first."""
        with self._lock:
            taken = list(self._waiting)
            self._waiting.clear()
        return taken

    def put(self, observation: Observation) -> None:
        with self._lock:
            if len(self._waiting) >= MOST_WAITING:
                self._waiting.popleft()
                self.lost += 1
            self._waiting.append(observation)


class DoorNews:
    """The doors' recorder: hands every observation to the outbox, and those about passing to the listeners.

    Listeners are added before the doors start, or at any time by another thread.
    """

    def __init__(self, record: Recorder) -> None:
        self._record = record
        self._listeners: tuple[Listener, ...] = ()

    def __call__(self, observation: Observation) -> None:
        """Take an observation; never blocks and never raises, as the outbox does not."""
        self._record(observation)
        if isinstance(observation.data, _PASSED_ON):
            for listener in self._listeners:
                if observation.device in listener.doors:
                    listener.put(observation)

    def listen(self, doors: frozenset[str]) -> Listener:
        """From now on, the news of these doors."""
        listener = Listener(doors)
        self._listeners = (*self._listeners, listener)
        return listener

    def leave(self, listener: Listener) -> None:
        """No more news for this one."""
        self._listeners = tuple(each for each in self._listeners if each is not listener)
