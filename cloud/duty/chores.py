"""Counts what needs somebody's eye: handovers that nobody accepted in time."""

from collections.abc import Callable
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Gauge
from sqlalchemy.exc import SQLAlchemyError

from cloud.database.engine import Database
from cloud.duty.handover import count_overdue
from cloud.periodic import Periodic

EVERY_S = 60.0
FIRST_AFTER_S = 5.0


class DutyChores:
    """Runs by itself in one thread of the console process; `run_once` is what it does every minute."""

    def __init__(self, database: Database, now: Callable[[], datetime], registry: CollectorRegistry) -> None:
        self._database = database
        self._now = now
        self._overdue = Gauge(
            "gatehouse_duty_handovers_overdue", "Handovers that nobody accepted in time", registry=registry
        )
        failures = Counter("gatehouse_duty_chores_failures", "Runs that failed", registry=registry)
        self._schedule = Periodic("duty chores", self.run_once, FIRST_AFTER_S, EVERY_S, (SQLAlchemyError,), failures)

    def start(self) -> None:
        """Begin the schedule."""
        self._schedule.start()

    def stop(self) -> None:
        """End it, at the latest after the run in hand."""
        self._schedule.stop()

    def run_once(self) -> None:
        """Count."""
        with self._database.read() as connection:
            self._overdue.set(count_overdue(connection, self._now()))
