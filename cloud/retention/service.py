"""Events, pictures, clips, visitors, reporters of matters, closed alarms and matters, lapsed categories, handovers,
notices, dead letters and sessions end here, but never the audit.

Each batch is a transaction of its own, so that ingest never waits long for a large deletion. A file goes
before its row: a crash between leaves a row without a file, which the next run deletes.
"""

import hashlib
import logging
import threading
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from prometheus_client import CollectorRegistry, Counter
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import ColumnElement, Select, and_, delete, exists, or_, select, true, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import InstrumentedAttribute

from cloud.alarms.states import Source
from cloud.audit import AuditError, AuditLog
from cloud.database.engine import Database
from cloud.database.tables import (
    AccessPass,
    Alarm,
    AlarmEvidence,
    AlarmStep,
    AlarmTold,
    CategoryWarning,
    Clip,
    Credential,
    DeadLetter,
    EventRecord,
    Guest,
    Handover,
    HandoverAcceptance,
    LoginSession,
    Matter,
    Notice,
    NoticeAttempt,
    NoticeMessage,
    Picture,
    RegisterHistory,
    ServiceCategory,
    WorkOrder,
)
from cloud.media.clips import ClipStore
from cloud.media.store import PictureStore
from cloud.periodic import Periodic
from cloud.retention.holds import Hold, active_holds, free_alarms, free_events, free_files, free_person

BATCH = 500
EVERY_S = 3600.0
FIRST_AFTER_S = 30.0
_PAUSE_S = 0.05
"""Between batches, so that other writers get their turn."""
_log = logging.getLogger(__name__)
_HANG_ON_ALARM = (
    AlarmStep.alarm_id,
    AlarmTold.alarm_id,
    AlarmEvidence.alarm_id,
    Notice.alarm_id,
    WorkOrder.alarm_id,
    Matter.id,
)
"""All that names an alarm by a foreign key goes with it."""

Days = Annotated[int, Field(ge=1, le=3650)]
DaysOfFigures = Annotated[int, Field(ge=430, le=3650)]
"""The longest span of figures, 400 days, and the same month of the year before can always be told."""


class RetentionDays(BaseModel):
    """How many days after the hub received it a thing is kept; what a case holds stays longer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    events: Days = 180
    pictures: Days = 30
    clips: Days = 30
    visitors: Days = 90
    """After a pass is over: whom or what it was for, in the host's words; after a guest's last day: the guest."""
    categories: Days = 30
    """After an entry lapsed or was ended; what is kept of its changes goes with it."""
    reporters: Days = 365
    """After a matter was closed: the name and phone number of who reported it."""
    alarms: DaysOfFigures = 1095
    """After an alarm was closed: it, its steps with their notes, who was told, orders and clips' holds. The database
    itself refuses before it is closed for a month."""
    matters: DaysOfFigures = 1095
    """After a matter was closed, likewise, with its text."""
    handovers: Annotated[int, Field(ge=30, le=3650)] = 365
    """Before a month is over the database itself refuses."""
    notices: Days = 180
    """What was told outside the console, with each attempt to send it."""
    dead_letters: Days = 30

    @property
    def figures(self) -> timedelta:
        """How far back no alarm and no matter has gone, so that figures are whole."""
        return timedelta(days=min(self.alarms, self.matters))


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
        """Delete what is past its days and needed by no hold or alarm; returns how much of each, and audits it.

        The audit's entry holds the counts, and for each kind the SHA-256 of the keys of what went, in their order, each
        with a line feed: whoever kept the keys can show that these went, and no others.
        """
        now, days = self._now(), self._days
        with self._database.read() as connection:
            holds = active_holds(connection)
        gone = {
            "events": self._expire(
                EventRecord.id,
                EventRecord.received_at,
                now - timedelta(days=days.events),
                and_(free_events(holds), free_person(EventRecord.person_id)),
            ),
            "pictures": self._expire_pictures(now - timedelta(days=days.pictures), free_files(Picture, holds)),
            "clips": self._expire_clips(now - timedelta(days=days.clips), free_files(Clip, holds)),
            "visitors": self._forget_visitors(now - timedelta(days=days.visitors)),
            "guests": self._expire_guests(now - timedelta(days=days.visitors)),
            "categories": self._expire_categories(now - timedelta(days=days.categories)),
            "reporters": self._forget_reporters(now - timedelta(days=days.reporters)),
            "handovers": self._expire_handovers(now - timedelta(days=days.handovers)),
            "alarms": self._expire_closed(Source.RULE, now - timedelta(days=days.alarms), holds),
            "matters": self._expire_closed(Source.MATTER, now - timedelta(days=days.matters), holds),
            "notices": self._expire_notices(now - timedelta(days=days.notices)),
            "dead_letters": self._expire(
                DeadLetter.id, DeadLetter.received_at, now - timedelta(days=days.dead_letters)
            ),
            "sessions": self._expire(LoginSession.token_hash, LoginSession.expires_at, now),
        }
        counts = {what: each.count for what, each in gone.items()}
        for what, count in counts.items():
            self._deleted.labels(what).inc(count)
        if any(counts.values()):
            proofs = {f"{what}_sha256": each.digest for what, each in gone.items() if each.count}
            self._audit.append("retention", None, {**counts, **proofs, "holds": len(holds)})
        return counts

    def _expire(
        self,
        key: InstrumentedAttribute[Any],
        moment: InstrumentedAttribute[datetime],
        before: datetime,
        free: ColumnElement[bool] | None = None,
        first: Callable[[str], None] = lambda _key: None,
        with_them: tuple[InstrumentedAttribute[UUID], ...] = (),
    ) -> "_Gone":
        """Delete the rows whose `moment` is earlier, in batches; before them the rows that name them in `with_them`;
        `first` is called with each key beforehand."""
        gone = _Gone()
        due = select(key).where(moment < before, true() if free is None else free)
        while not self._stopping.is_set():
            with self._database.read() as connection:
                keys = connection.scalars(due.order_by(moment).limit(BATCH)).all()
            if not keys:
                break
            for value in keys:
                first(value)
            with self._database.write() as connection:
                for column in with_them:
                    connection.execute(delete(column.class_).where(column.in_(keys)))
                connection.execute(delete(key.class_).where(key.in_(keys)))
            gone.add(keys)
            self._stopping.wait(_PAUSE_S)
        return gone

    def _expire_pictures(self, before: datetime, free: ColumnElement[bool]) -> "_Gone":
        gone = self._expire(Picture.sha256, Picture.received_at, before, free, self._pictures.remove)
        held = self._known(Picture.sha256, Picture.received_at, before)
        for name in self._pictures.files_older_than(before):
            if name not in held:
                self._pictures.remove(name)
        return gone

    def _expire_clips(self, before: datetime, free: ColumnElement[bool]) -> "_Gone":
        gone = self._expire(Clip.sha256, Clip.received_at, before, free, self._clips.remove)
        self._clips.remove_files_older_than(before, keep=self._known(Clip.sha256, Clip.received_at, before))
        return gone

    def _known(
        self, key: InstrumentedAttribute[str], moment: InstrumentedAttribute[datetime], before: datetime
    ) -> set[str]:
        """What is past its days and stays: a hold or an open alarm needs it."""
        with self._database.read() as connection:
            return set(connection.scalars(select(key).where(moment < before)))

    def _expire_handovers(self, before: datetime) -> "_Gone":
        """Those that were accepted by then or never; what was special then is told to nobody any more."""
        later = (HandoverAcceptance.handover_id == Handover.id, HandoverAcceptance.accepted_at >= before)
        return self._expire(
            Handover.id,
            Handover.written_at,
            before,
            ~exists().where(*later),
            with_them=(HandoverAcceptance.handover_id,),
        )

    def _expire_notices(self, before: datetime) -> "_Gone":
        """What is told or given up, and then the messages that tell of nothing any more."""
        ended = select(NoticeMessage.id).where(NoticeMessage.ended_at.is_not(None))
        over = or_(Notice.ended.is_not(None), Notice.message_id.in_(ended))
        gone = self._expire(Notice.id, Notice.made_at, before, over)
        unused = and_(NoticeMessage.ended_at.is_not(None), ~exists().where(Notice.message_id == NoticeMessage.id))
        self._expire(NoticeMessage.id, NoticeMessage.made_at, before, unused, with_them=(NoticeAttempt.message_id,))
        return gone

    def _forget_reporters(self, before: datetime) -> "_Gone":
        """Blank who reported a matter, once it is closed for long. The matter stays, for its own days."""
        closed = select(Alarm.id).where(Alarm.closed_at < before)
        over = select(Matter.id).where(Matter.reporter_sealed.is_not(None), Matter.id.in_(closed))
        gone = _Gone()
        while not self._stopping.is_set():
            with self._database.write() as connection:
                keys = connection.scalars(over.order_by(Matter.id).limit(BATCH)).all()
                if not keys:
                    break
                connection.execute(update(Matter).where(Matter.id.in_(keys)).values(reporter_sealed=None))
            gone.add(keys)
            self._stopping.wait(_PAUSE_S)
        return gone

    def _forget_visitors(self, before: datetime) -> "_Gone":
        """Blank whom or what a pass was for, once it is over for long, unless a case holds the data of who gave it. The
        pass stays: past events are linked to it."""
        over = (
            select(AccessPass.id)
            .join(Credential, Credential.id == AccessPass.id)
            .where(Credential.until < before, AccessPass.label != "", free_person(Credential.person_id))
        )
        gone = _Gone()
        while not self._stopping.is_set():
            with self._database.write() as connection:
                keys = connection.scalars(over.order_by(AccessPass.id).limit(BATCH)).all()
                if not keys:
                    break
                connection.execute(update(AccessPass).where(AccessPass.id.in_(keys)).values(label=""))
            gone.add(keys)
            self._stopping.wait(_PAUSE_S)
        return gone

    def _expire_guests(self, before: datetime) -> "_Gone":
        over = select(Guest.id).where(Guest.until < before).order_by(Guest.id)
        return self._expire_together(Guest.id, over, (RegisterHistory.entry_id,))

    def _expire_categories(self, before: datetime) -> "_Gone":
        """Entries that lapsed or were ended, with the warnings of them, unless a case holds the person's data."""
        over = or_(ServiceCategory.review_at < before, ServiceCategory.ended_at < before)
        due = select(ServiceCategory.id).where(over, free_person(ServiceCategory.person_id))
        with_them = (CategoryWarning.entry_id, RegisterHistory.entry_id)
        return self._expire_together(ServiceCategory.id, due.order_by(ServiceCategory.id), with_them)

    def _expire_closed(self, source: Source, before: datetime, holds: list[Hold]) -> "_Gone":
        """Alarms or matters, with all that hangs on them."""
        return self._expire_together(Alarm.id, closed_before(source, before, holds), _HANG_ON_ALARM)

    def _expire_together(
        self,
        key: InstrumentedAttribute[UUID],
        due: Select[UUID],
        with_them: Sequence[InstrumentedAttribute[UUID]],
    ) -> "_Gone":
        """What is due, asked in the transaction that deletes it, and before it the rows that name it in `with_them`."""
        gone = _Gone()
        while not self._stopping.is_set():
            with self._database.write() as connection:
                keys = connection.scalars(due.limit(BATCH)).all()
                if not keys:
                    break
                for column in with_them:
                    connection.execute(delete(column.class_).where(column.in_(keys)))
                connection.execute(delete(key.class_).where(key.in_(keys)))
            gone.add(keys)
            self._stopping.wait(_PAUSE_S)
        return gone


def closed_before(source: Source, before: datetime, holds: list[Hold]) -> Select[UUID]:
    """Alarms or matters that were closed before then and that nothing holds, those first that were closed first.

    One with a later step, by a clock that was set back, stays: the database would refuse while the step is young.
    """
    later = exists().where(AlarmStep.alarm_id == Alarm.id, AlarmStep.at >= before)
    over = (Alarm.source == source, Alarm.closed_at < before, ~later, free_alarms(holds))
    return select(Alarm.id).where(*over).order_by(Alarm.closed_at)


class _Gone:
    """What of a kind went: how much, and the digest of its keys."""

    def __init__(self) -> None:
        self.count = 0
        self._hash = hashlib.sha256()

    def add(self, keys: Sequence[object]) -> None:
        self.count += len(keys)
        for key in keys:
            self._hash.update(f"{key}\n".encode())

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()
