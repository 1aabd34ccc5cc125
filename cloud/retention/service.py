"""Events, pictures, clips, dead letters and sessions end here. The audit itself is never shortened.

Each batch is a transaction of its own, so that ingest never waits long for a large deletion. A file goes
before its row: a crash between leaves a row without a file, which the next run deletes.
"""

import logging
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Annotated, Any

from prometheus_client import CollectorRegistry, Counter
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import delete, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import InstrumentedAttribute

from cloud.audit import AuditError, AuditLog
from cloud.database.engine import Database
from cloud.database.tables import Clip, DeadLetter, EventRecord, LoginSession, Picture
from cloud.media.clips import ClipStore
from cloud.media.store import PictureStore
from cloud.periodic import Periodic

BATCH = 500
EVERY_S = 3600.0
FIRST_AFTER_S = 30.0
_PAUSE_S = 0.05
"""Between batches, so that other writers get their turn."""
_log = logging.getLogger(__name__)

Days = Annotated[int, Field(ge=1, le=3650)]


class RetentionDays(BaseModel):
    """How many days after the hub received it a thing is kept."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    events: Days = 180
    pictures: Days = 30
    clips: Days = 30
    dead_letters: Days = 30


class RetentionService:
    """Runs by itself in one thread of the console process; `run_once` is what it does every hour."""

    def __init__(
        self,
        database: Database,
        pictures: PictureStore,
        clips: ClipStore,
        audit: AuditLog,
        now: Callable[[], datetime],
        days: RetentionDays,
        registry: CollectorRegistry,
    ) -> None:
        self._database = database
        self._pictures = pictures
        self._clips = clips
        self._audit = audit
        self._now = now
        self._days = days
        self._stopping = threading.Event()
        self._deleted = Counter(
            "gatehouse_retention_deleted", "What was deleted by schedule", ["what"], registry=registry
        )
        faults = (SQLAlchemyError, OSError, AuditError)
        failures = Counter("gatehouse_retention_failures", "Runs that failed", registry=registry)
        self._schedule = Periodic("retention", self.run_once, FIRST_AFTER_S, EVERY_S, faults, failures)

    def start(self) -> None:
        """Begin the schedule."""
        self._schedule.start()

    def stop(self) -> None:
        """End it, at the latest after the batch in hand."""
        self._stopping.set()
        self._schedule.stop()

    def run_once(self) -> dict[str, int]:
        """Delete what is past its days; returns how much of each, and audits it if there was any."""
        now = self._now()
        counts = {
            "events": self._expire(EventRecord.id, EventRecord.received_at, now - timedelta(days=self._days.events)),
            "pictures": self._expire_pictures(now - timedelta(days=self._days.pictures)),
            "clips": self._expire_clips(now - timedelta(days=self._days.clips)),
            "dead_letters": self._expire(
                DeadLetter.id, DeadLetter.received_at, now - timedelta(days=self._days.dead_letters)
            ),
            "sessions": self._expire(LoginSession.token_hash, LoginSession.expires_at, now),
        }
        for what, count in counts.items():
            self._deleted.labels(what).inc(count)
        if any(counts.values()):
            self._audit.append("retention", None, counts)
        return counts

    def _expire(
        self,
        key: InstrumentedAttribute[Any],
        moment: InstrumentedAttribute[datetime],
        before: datetime,
        first: Callable[[str], None] = lambda _key: None,
    ) -> int:
        """Delete the rows whose `moment` is earlier, in batches; `first` is called with each key beforehand."""
        count = 0
        while not self._stopping.is_set():
            with self._database.read() as connection:
                keys = connection.scalars(select(key).where(moment < before).order_by(moment).limit(BATCH)).all()
            if not keys:
                break
            for value in keys:
                first(value)
            with self._database.write() as connection:
                connection.execute(delete(key.class_).where(key.in_(keys)))
            count += len(keys)
            self._stopping.wait(_PAUSE_S)
        return count

    def _expire_pictures(self, before: datetime) -> int:
        count = self._expire(Picture.sha256, Picture.received_at, before, self._pictures.remove)
        for name in self._pictures.files_older_than(before):
            self._pictures.remove(name)
        return count

    def _expire_clips(self, before: datetime) -> int:
        count = self._expire(Clip.sha256, Clip.received_at, before, self._clips.remove)
        self._clips.remove_files_older_than(before)
        return count
