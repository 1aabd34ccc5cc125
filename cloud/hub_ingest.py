"""Keeps the ingest workers of a process storing: one whose storing thread died by a fault of the program is replaced.

What the dead worker had not acknowledged stays in its session at the broker, and its successor, with the same client
id, is sent it again: nothing is lost and nothing is stored twice. The waits grow, so that a message which brings down
every worker that reads it costs little while doors, console and the other workers go on.
"""

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from time import monotonic

from sqlalchemy.exc import SQLAlchemyError

from cloud.ingest.worker import IngestWorker

POLL_S = 0.5
FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 60.0
SOUND_AFTER_S = 300.0
"""A worker that stored for so long died of something new: its successor comes after the first wait."""
_STOP_S = 30.0

log = logging.getLogger(__name__)


@dataclass
class _Place:
    """A worker's number, who fills it now, since when, and how long and until when its next successor waits."""

    number: int
    worker: IngestWorker
    since_s: float
    wait_s: float = FIRST_WAIT_S
    due_s: float | None = None


class IngestKeeper:
    """Starts, watches, replaces and stops workers.

    Args:
        make: number -> a worker that was not started.
        numbers: those of the workers to keep.
    """

    def __init__(self, make: Callable[[int], IngestWorker], numbers: Iterable[int]) -> None:
        self._make = make
        self._places = [_Place(number, make(number), monotonic()) for number in numbers]
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="ingest keeper", daemon=True)
        self.counts: Counter[str] = Counter(replaced=0, failures=0)
        """replaced workers, failures to replace one."""

    @property
    def workers(self) -> list[IngestWorker]:
        return [place.worker for place in self._places]

    @property
    def is_sound(self) -> bool:
        """Whether every worker stores what the broker brings."""
        return all(worker.alive and worker.subscribed for worker in self.workers)

    def start(self) -> None:
        for worker in self.workers:
            worker.start()
        self._thread.start()

    def wait_until_subscribed(self, timeout_s: float) -> bool:
        """Whether the broker granted every worker its subscription in time."""
        deadline_s = monotonic() + timeout_s
        return all(worker.wait_until_subscribed(max(0.0, deadline_s - monotonic())) for worker in self.workers)

    def stop(self) -> None:
        """Let each worker finish the batch that it is storing, and end it."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(_STOP_S)
        for worker in self.workers:
            worker.stop()

    def _watch(self) -> None:
        while not self._stopping.wait(POLL_S):
            for place in self._places:
                if not place.worker.alive:
                    self._attend(place, monotonic())

    def _attend(self, place: _Place, now_s: float) -> None:
        """Set when a dead worker is replaced, or replace it once it is due."""
        if place.due_s is not None:
            if now_s >= place.due_s:
                self._replace(place)
            return
        if now_s - place.since_s > SOUND_AFTER_S:
            place.wait_s = FIRST_WAIT_S
        place.due_s = now_s + place.wait_s
        log.critical(
            "ingest worker %d died of a fault in the program, whose trace stands above; it is replaced in %.1f s",
            place.number,
            place.wait_s,
        )
        place.wait_s = min(place.wait_s * 2, LONGEST_WAIT_S)

    def _replace(self, place: _Place) -> None:
        try:
            successor = self._make(place.number)
            place.worker.stop()
        except (SQLAlchemyError, OSError) as error:
            self.counts["failures"] += 1
            log.error("ingest worker %d could not be replaced, trying again: %s", place.number, error)
            return
        successor.start()
        place.worker, place.since_s, place.due_s = successor, monotonic(), None
        self.counts["replaced"] += 1
