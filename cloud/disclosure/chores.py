"""Goes on with erasures that a case kept from going through, once it is over."""

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from prometheus_client import CollectorRegistry, Counter
from sqlalchemy.exc import SQLAlchemyError

from cloud.access.errors import NotThere
from cloud.audit import AuditError, AuditLog
from cloud.database.engine import Database
from cloud.disclosure.erasing import erase, forget_passes_of_erased, proof
from cloud.disclosure.requests import close, unfinished_erasures
from cloud.periodic import Periodic

EVERY_S = 600.0
FIRST_AFTER_S = 60.0


class ErasureChores:
    """Runs by itself in one thread of the console process; `run_once` is what it does every ten minutes."""

    def __init__(
        self, database: Database, audit: AuditLog, now: Callable[[], datetime], registry: CollectorRegistry
    ) -> None:
        self._database = database
        self._audit = audit
        self._now = now
        failures = Counter("gatehouse_erasure_chores_failures", "Runs that failed", registry=registry)
        faults = (SQLAlchemyError, AuditError)
        self._schedule = Periodic("erasure chores", self.run_once, FIRST_AFTER_S, EVERY_S, faults, failures)

    def start(self) -> None:
        """Begin the schedule."""
        self._schedule.start()

    def stop(self) -> None:
        """End it, at the latest after the run in hand."""
        self._schedule.stop()

    def run_once(self) -> int:
        """Erase what is free by now; how many erasures came to their end."""
        finished = 0
        with self._database.read() as connection:
            waiting = unfinished_erasures(connection)
        for request, person in waiting:
            finished += self._go_on(request, person)
        with self._database.write() as connection:
            forget_passes_of_erased(connection)
        return finished

    def _go_on(self, request: UUID, person: UUID) -> bool:
        with self._database.write() as connection:
            now = self._now()
            try:
                done = erase(connection, person, now)
            except NotThere:  # another request has erased the person meanwhile
                close(connection, request, now)
                return False
            if done.is_whole:
                close(connection, request, now)
        if done.is_whole:
            self._audit.append("person.erased", None, proof(done), subjects=(person,))
        return done.is_whole
