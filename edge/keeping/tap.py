"""Listens to the events on their way to the outbox: which want a clip, and of which cameras.

An event goes to the outbox first and at once; whoever records it (a door among others) waits for nothing. Only then is
the want left in a bounded queue; when that is full the new want goes, and is counted: the event stays.
"""

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from edge.counters import Counters
from edge.observations import Observation, Recorder

MAX_WAITING_WANTS = 500


@dataclass(frozen=True)
class Want:
    """An event, its id, and the cameras that see where it happened; `is_trigger` asks for their clips."""

    event_id: UUID
    observation: Observation
    cameras: Sequence[str]
    is_trigger: bool


class Tap:
    """A `Recorder` before the outbox.

    Args:
        record: the outbox.
        new_id: makes a UUIDv7; called under a lock.
        wanted: the event types that get a clip.
        cameras_of: device id -> the cameras concerned: a camera itself, or those that see a door's place.
        wake: called when a want is left; returns at once.
    """

    def __init__(
        self,
        record: Recorder,
        new_id: Callable[[], UUID],
        wanted: frozenset[str],
        cameras_of: Mapping[str, Sequence[str]],
        counters: Counters,
        wake: Callable[[], None],
    ) -> None:
        self._record, self._new_id, self._wanted = record, new_id, wanted
        self._cameras_of, self._counters, self._wake = cameras_of, counters, wake
        self._lock = threading.Lock()
        self._wants: deque[Want] = deque()

    def __call__(self, observation: Observation) -> None:
        """Pass an observation on; never blocks, never raises."""
        cameras = self._cameras_of.get(observation.device)
        is_trigger = observation.data.TYPE in self._wanted
        is_of_camera = cameras is not None and cameras == (observation.device,)
        if not cameras or not (is_trigger or is_of_camera):
            self._record(observation)
            return
        with self._lock:
            event_id = observation.id or self._new_id()
        observation = replace(observation, id=event_id)
        self._record(observation)
        with self._lock:
            if len(self._wants) >= MAX_WAITING_WANTS:
                self._counters.add("clips_wants_dropped")
                return
            self._wants.append(Want(event_id, observation, cameras, is_trigger))
        if is_trigger:
            self._wake()

    def take(self) -> list[Want]:
        """The wants left since the last call."""
        with self._lock:
            wants = list(self._wants)
            self._wants.clear()
        return wants
