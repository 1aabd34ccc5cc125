"""The drivers at work: each is made and started by itself, so that one that cannot start takes no other down.

One that fails to start is told as its readers being offline, with the cause, and tried again with back-off for ever.
What a driver raises when it is called is logged and counted, never handed on to a door.
"""

import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edge.access.config import KeyFileFault
from edge.access.drivers.interface import (
    Deliver,
    Driver,
    DriverReport,
    DriverRestarted,
    Feedback,
    ReaderDown,
    Roster,
    Rotated,
)
from edge.backoff import Backoff
from edge.counters import Counters
from edge.worker import Worker
from protocols.access_events import ReaderOfflineReason

FIRST_RETRY_S = 1.0
LONGEST_RETRY_S = 60.0
STOP_S = 5.0
"""A driver that has not ended by then is left behind: its threads die with the process."""
_LOOK_EVERY_S = 0.2
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DriverSource:
    """A driver that can be made: its name, which is its bus's or device's id, and the readers that it serves."""

    name: str
    readers: tuple[str, ...]
    make: Callable[[], Driver]


@dataclass
class _Place:
    source: DriverSource
    backoff: Backoff
    driver: Driver | None = None
    why: str = ""
    retry_at_s: float = 0.0
    attempts: int = 0


class RunningDrivers:
    """All drivers of a gateway, by name. `start` and `stop` by its owner; the rest from any thread."""

    def __init__(
        self,
        sources: Sequence[DriverSource],
        counters: Counters,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._places = {
            source.name: _Place(source, Backoff(FIRST_RETRY_S, LONGEST_RETRY_S, jitter)) for source in sources
        }
        self._counters = counters
        self._retrying = Worker("drivers", self._retry)

    def start(self, deliver: Deliver) -> None:
        """Start each; what cannot start is tried again."""
        self._deliver = deliver
        for place in self._places.values():
            self._start(place)
        self._retrying.start()

    def stop(self) -> None:
        """Stop all of them side by side; at most some seconds."""
        self._retrying.stop(1.0)
        threads = [
            threading.Thread(target=self._stop, args=(place.driver,), daemon=True, name=f"stop-{name}")
            for name, place in self._places.items()
            if place.driver is not None
        ]
        for thread in threads:
            thread.start()
        deadline_s = time.monotonic() + STOP_S
        for thread in threads:
            thread.join(max(0.0, deadline_s - time.monotonic()))
            if thread.is_alive():
                self._counters.add("drivers_not_stopped")
                _log.error("a driver did not stop in time", extra={"driver": thread.name.removeprefix("stop-")})

    def set_output(self, line: str, reader: str, output: int, for_s: float | None, ticket: int) -> bool:
        """As in `interface.Driver`; False as well while the driver does not run, or if it raises."""
        driver = self._places[line].driver
        if driver is None:
            return False
        try:
            return driver.set_output(reader, output, for_s, ticket)
        except Exception:  # noqa: BLE001 - a fault of one make's driver must not keep a door's events from being told
            self._note_fault("set_output", line)
            return False

    def feedback(self, line: str, reader: str, feedback: Feedback) -> None:
        """As in `interface.Driver`."""
        driver = self._places[line].driver
        if driver is None:
            return
        try:
            driver.feedback(reader, feedback)
        except Exception:  # noqa: BLE001 - a light that fails must not keep a door's events from being told
            self._note_fault("feedback", line)

    def lines_with_roster(self) -> dict[str, tuple[str, ...]]:
        """The readers of each driver whose device keeps a list of its own."""
        return {
            name: place.source.readers
            for name, place in self._places.items()
            if callable(getattr(place.driver, "set_roster", None))
        }

    def set_roster(self, line: str, roster: Roster) -> None:
        """Hand a driver what its devices are to keep."""
        take = getattr(self._places[line].driver, "set_roster", None)
        if take is None:
            return
        try:
            take(roster)
        except Exception:  # noqa: BLE001 - a fault with one make's list must not keep the others from theirs
            self._note_fault("set_roster", line)

    def reports(self) -> dict[str, DriverReport]:
        """What each driver tells of itself; one that does not run, or counts nothing, has nothing to tell."""
        return {name: self._report(name, place.driver) for name, place in self._places.items()}

    def answer_s(self, line: str) -> float:
        """How long a command to this line's outputs may take to be confirmed; 0: no longer than any other."""
        answer_s = getattr(self._places[line].driver, "answer_s", 0.0)
        return float(answer_s)

    def _report(self, line: str, driver: Driver | None) -> DriverReport:
        report = getattr(driver, "report", None)
        if report is None:
            return DriverReport({})
        try:
            told: DriverReport = report()
        except Exception:  # noqa: BLE001 - a fault of one make's driver must not keep the others from being told of
            self._note_fault("report", line)
            return DriverReport({})
        return told

    def rotate_key(self, line: str, reader: str, say: Callable[[str], None]) -> Rotated:
        """Change a reader's key; takes some seconds."""
        place = self._places[line]
        if place.driver is None:
            return Rotated(False, f'the driver of reader "{reader}" does not run: {place.why}')
        rotate: Callable[[str, Callable[[str], None]], Rotated] | None = getattr(place.driver, "rotate_key", None)
        if rotate is None:
            return Rotated(False, f'reader "{reader}" is on a device, not on an OSDP bus, and has no key to change')
        return rotate(reader, say)

    def _note_fault(self, call: str, line: str) -> None:
        self._counters.add("driver_faults")
        _log.exception("a driver failed when called", extra={"call": call, "driver": line})

    def _start(self, place: _Place) -> None:
        try:
            driver = place.source.make()
        except Exception as error:  # noqa: BLE001 - whatever a make's driver raises, the other doors go on
            self._failed(place, error)
            return
        try:
            driver.start(self._deliver)
        except Exception as error:  # noqa: BLE001 - as above
            self._stop(driver)
            self._failed(place, error)
            return
        place.driver = driver
        if place.attempts:
            self._deliver(DriverRestarted(place.source.name, place.why, place.attempts))

    def _failed(self, place: _Place, error: Exception) -> None:
        self._counters.add("driver_start_failures")
        place.attempts += 1
        place.retry_at_s = time.monotonic() + place.backoff.next_s()
        is_key = isinstance(error, KeyFileFault)
        place.why = str(error) if is_key or isinstance(error, OSError) else f"{type(error).__name__}: {error}"
        _log.error("a driver cannot start", extra={"driver": place.source.name, "reason": place.why})
        reason = ReaderOfflineReason.KEY if is_key else ReaderOfflineReason.WORKER
        for reader in place.source.readers:
            self._deliver(ReaderDown(reader, reason, f"its driver cannot start: {place.why}"))

    def _retry(self, stopping: threading.Event) -> None:
        while not stopping.wait(_LOOK_EVERY_S):
            for place in self._places.values():
                if place.driver is None and time.monotonic() >= place.retry_at_s:
                    self._start(place)

    def _stop(self, driver: Driver) -> None:
        try:
            driver.stop()
        except Exception:  # noqa: BLE001 - the others still have to be stopped
            self._note_fault("stop", driver.name)
