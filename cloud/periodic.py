"""Work that the hub does by the clock: one thread, one run at a time, and a run that failed waits for the next."""

import logging
import threading
from collections.abc import Callable

from prometheus_client import Counter

_log = logging.getLogger(__name__)


class Periodic:
    """Calls `run` every `every_s` seconds, the first time after `first_after_s`, from `start` until `stop`.

    Args:
        name: of the thread, and for the log.
        faults: what a run may fail with: it is logged and counted in `failures`, and the next run comes in its time.
    """

    def __init__(
        self,
        name: str,
        run: Callable[[], object],
        first_after_s: float,
        every_s: float,
        faults: tuple[type[Exception], ...],
        failures: Counter,
    ) -> None:
        self._name, self._run_once = name, run
        self._first_after_s, self._every_s = first_after_s, every_s
        self._faults, self._failures = faults, failures
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin the schedule."""
        self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End it, at the latest after the run in hand."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        wait_s = self._first_after_s
        while not self._stopping.wait(wait_s):
            wait_s = self._every_s
            try:
                self._run_once()
            except self._faults:
                self._failures.inc()
                _log.exception("%s: a run failed; the next is in %.0f s", self._name, self._every_s)
