"""Tells officers beforehand that entries lapse: 30, 7 and 1 days before. To lapse, none needs a run."""

import logging
from collections import Counter as Count
from collections.abc import Callable
from datetime import datetime, timedelta

from prometheus_client import CollectorRegistry, Counter
from sqlalchemy import Connection, insert, select
from sqlalchemy.exc import SQLAlchemyError

from cloud.categories.entries import holds
from cloud.database.engine import Database
from cloud.database.tables import CategoryWarning, ServiceCategory
from cloud.periodic import Periodic

DAYS_BEFORE = (30, 7, 1)
EVERY_S = 600.0
FIRST_AFTER_S = 10.0
_log = logging.getLogger(__name__)


class CategoryChores:
    """Runs by itself in one thread of the console process; `run_once` is what it does every ten minutes."""

    def __init__(self, database: Database, now: Callable[[], datetime], registry: CollectorRegistry) -> None:
        self._database = database
        self._now = now
        self._told = Counter(
            "gatehouse_category_warnings",
            "Officers told that an entry lapses, by days before",
            ["days"],
            registry=registry,
        )
        failures = Counter("gatehouse_category_chores_failures", "Runs that failed", registry=registry)
        faults = (SQLAlchemyError,)
        self._schedule = Periodic("category chores", self.run_once, FIRST_AFTER_S, EVERY_S, faults, failures)

    def start(self) -> None:
        """Begin the schedule."""
        self._schedule.start()

    def stop(self) -> None:
        """End it, at the latest after the run in hand."""
        self._schedule.stop()

    def run_once(self) -> None:
        """Tell what is due."""
        with self._database.write() as connection:
            told = tell_warnings(connection, self._now())
        for days, count in told.items():
            self._told.labels(days).inc(count)
            _log.warning("%d service categories lapse within %d days: see /api/v1/categories/notices", count, days)


def tell_warnings(connection: Connection, now: datetime) -> Count[int]:
    """Record each warning that is due and was not told; how many by days before.

    After a pause of the hub only the nearest one is told, not those that were missed.
    """
    soon = now + timedelta(days=DAYS_BEFORE[0])
    query = select(ServiceCategory.id, ServiceCategory.review_at).where(holds(now), ServiceCategory.review_at <= soon)
    rows = connection.execute(query).all()
    known = select(CategoryWarning.entry_id, CategoryWarning.review_at, CategoryWarning.days)
    told = {tuple(row) for row in connection.execute(known.where(CategoryWarning.review_at.between(now, soon)))}
    due = [
        {"entry_id": row.id, "review_at": row.review_at, "days": days, "told_at": now}
        for row in rows
        if (row.id, row.review_at, days := _due(row.review_at, now)) not in told
    ]
    if due:
        connection.execute(insert(CategoryWarning), due)
    return Count(each["days"] for each in due)


def _due(review_at: datetime, now: datetime) -> int:
    """The nearest of the days before."""
    return min(days for days in DAYS_BEFORE if review_at - now <= timedelta(days=days))
