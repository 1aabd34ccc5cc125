"""Links events anew by itself when the register was changed: one thread of the console process."""

import logging
import threading
from collections.abc import Callable
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter
from sqlalchemy.exc import SQLAlchemyError

from cloud.database.engine import Database
from cloud.linking.relinking import Relinker
from cloud.periodic import Periodic

EVERY_S = 5.0
_PAUSE_S = 0.05
"""Between batches, so that other writers get their turn."""
_log = logging.getLogger(__name__)


class RelinkingChores:
    """Runs by itself; `run_once` deals with every mark that is there."""

    def __init__(self, database: Database, now: Callable[[], datetime], registry: CollectorRegistry) -> None:
        self._relinker = Relinker(database, now)
        self._stopping = threading.Event()
        self._examined = Counter(
            "gatehouse_relinking_examined", "Events looked at after a change of the register", registry=registry
        )
        self._corrected = Counter(
            "gatehouse_relinking_corrected", "Events whose links were corrected", registry=registry
        )
        failures = Counter("gatehouse_relinking_failures", "Runs that failed", registry=registry)
        self._schedule = Periodic("relinking", self.run_once, EVERY_S, EVERY_S, (SQLAlchemyError,), failures)

    def start(self) -> None:
        """Begin the schedule."""
        self._schedule.start()

    def stop(self) -> None:
        """End it, at the latest after the batch in hand; the rest waits in the database."""
        self._stopping.set()
        self._schedule.stop()

    def run_once(self) -> int:
        """Deal with the marks; how many events were corrected."""
        corrected = 0
        while not self._stopping.is_set() and (done := self._relinker.step()) is not None:
            corrected += done.corrected
            self._examined.inc(done.examined)
            self._corrected.inc(done.corrected)
            self._stopping.wait(_PAUSE_S)
        if corrected:
            _log.info("the register was changed: %d events are linked otherwise", corrected)
        return corrected
