"""What doors need done by the clock: warnings of leases that end, passes that are over, lockdowns nobody confirmed."""

import logging
from collections.abc import Callable
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter
from sqlalchemy.exc import SQLAlchemyError

from cloud.access import leases, passes
from cloud.access.lockdown import lapse_old
from cloud.database.engine import Database
from cloud.periodic import Periodic

EVERY_S = 60.0
FIRST_AFTER_S = 5.0
_log = logging.getLogger(__name__)


class AccessChores:
    """Runs by itself in one thread of the console process; `run_once` is what it does every minute."""

    def __init__(self, database: Database, now: Callable[[], datetime], registry: CollectorRegistry) -> None:
        self._database = database
        self._now = now
        self._warnings = Counter(
            "gatehouse_lease_warnings", "Warnings that a lease ends, by days before", ["days"], registry=registry
        )
        self._dropped = Counter("gatehouse_passes_dropped", "Passes that were over", registry=registry)
        failures = Counter("gatehouse_access_chores_failures", "Runs that failed", registry=registry)
        self._schedule = Periodic("access chores", self.run_once, FIRST_AFTER_S, EVERY_S, (SQLAlchemyError,), failures)

    def start(self) -> None:
        """Begin the schedule."""
        self._schedule.start()

    def stop(self) -> None:
        """End it, at the latest after the run in hand."""
        self._schedule.stop()

    def run_once(self) -> None:
        """Tell the warnings that are due, drop what is over."""
        now = self._now()
        with self._database.write() as connection:
            told = leases.tell_warnings(connection, now)
            dropped = passes.drop_over(connection, now)
            lapse_old(connection, now)
        for days, count in told.items():
            self._warnings.labels(days).inc(count)
            _log.warning("%d leases end within %d days: see /api/v1/access/leases", count, days)
        self._dropped.inc(dropped)
