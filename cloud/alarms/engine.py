"""Runs rules and alarms in the hub: looks at events as they are stored, and at the clock.

An event is marked by a trigger in the transaction that stores it. The mark goes in the transaction that writes what the
rules found in it, so that each event is looked at once and no alarm is lost, whenever the hub is killed. Of several hub
processes one works at a time: on PostgreSQL the one that holds a lock, on SQLite whoever writes.
"""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from prometheus_client import CollectorRegistry, Counter
from sqlalchemy import Connection, delete, exists, or_, select, text, update
from sqlalchemy.exc import SQLAlchemyError

from cloud.alarms.causes import Cause
from cloud.alarms.escalation import escalate_due, mark_orders_due, unshelve_due
from cloud.alarms.limits import Limits
from cloud.alarms.roster import Roster
from cloud.alarms.states import Condition
from cloud.alarms.tracker import Tracker
from cloud.database.among import among
from cloud.database.engine import Database, DialectName
from cloud.database.tables import Alarm, AlarmCandidate, AlarmFlood, EventMark, EventRecord, WorkOrder
from cloud.periodic import Periodic
from cloud.rules.book import WrittenRule, prepare_rules, read_rules
from cloud.rules.by_event import EventRules, StoredEvent, read_events
from cloud.rules.by_survey import PERIODS, is_survey, survey
from cloud.rules.definition import Rule

EVERY_S = 1.0
BATCH: Mapping[DialectName, int] = {"sqlite": 200, "postgresql": 1000}
"""Marks in one transaction: some 20 ms of a SQLite writer's lock, or 100 ms that block nobody."""

_LOCK_NUMBER = 0x616C61726D73
_log = logging.getLogger(__name__)
_Take = Callable[[Connection, EventRules, Mapping[str, Rule], StoredEvent], None]


class AlarmEngine:
    """Runs by itself in one thread of the hub; `run_once` is what it does every second. `changed` is called after it
    did something to alarms."""

    def __init__(
        self,
        database: Database,
        now: Callable[[], datetime],
        make_id: Callable[[], UUID],
        limits: Limits,
        roster: Roster,
        registry: CollectorRegistry,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._database = database
        self._now = now
        self._limits = limits
        self._roster = roster
        self._tracker = Tracker(limits, roster, make_id)
        self._surveyed: dict[tuple[str, int], datetime] = {}
        self._stopping = threading.Event()
        self._is_prepared = False
        self._changed = changed
        self._has_changed = False
        self._events = Counter("gatehouse_rule_events", "Events that rules looked at", registry=registry)
        self._faults = Counter("gatehouse_rule_faults", "Events that a rule failed on", registry=registry)
        self._escalated = Counter("gatehouse_alarms_escalated", "Alarms that went up a level", registry=registry)
        failures = Counter("gatehouse_alarm_failures", "Runs that failed", registry=registry)
        self._schedule = Periodic("alarms", self._run, EVERY_S, EVERY_S, (Exception,), failures)

    def start(self) -> None:
        """Begin."""
        self._schedule.start()

    def stop(self) -> None:
        """End, at the latest after the batch in hand."""
        self._stopping.set()
        self._schedule.stop()

    def prepare(self) -> None:
        """Write the shipped rules that are not there yet. Events that were stored before are not looked at."""
        with self._database.write() as connection:
            prepare_rules(connection, self._now())

    def run_once(self) -> None:
        """Look at every event that is marked, then at how things stand, then at the clock."""
        while not self._stopping.is_set() and self._look_at_events() == BATCH[self._database.dialect]:
            pass
        self._survey()
        self._mind_the_clock()
        self._end_floods()
        if self._has_changed:
            self._has_changed = False
            self._changed()

    def _run(self) -> None:
        """Whatever a run fails with, the next one comes: without this thread there are no alarms."""
        if not self._is_prepared:
            self.prepare()
            self._is_prepared = True
        self.run_once()

    # --- Events

    def _look_at_events(self) -> int:
        """Look at one batch of marked events; how many marks there were."""
        with self._database.read() as connection:
            if connection.execute(select(EventMark.event_id).limit(1)).first() is None:
                return 0
        try:
            return self._look_at_batch(self._take_event)
        except SQLAlchemyError:
            raise
        except Exception:  # noqa: BLE001 (a fault of one event or rule must not end those of every other)
            _log.exception("a batch of events cannot be looked at as a whole; each is looked at by itself")
            return self._look_at_batch(self._take_apart)

    def _look_at_batch(self, take: _Take) -> int:
        limit = BATCH[self._database.dialect]
        with self._database.write() as connection:
            if not _alone(connection):
                return 0
            marks = connection.execute(select(EventMark.event_id).order_by(EventMark.event_id).limit(limit)).scalars()
            ids = list(marks)
            written = read_rules(connection)
            looking = EventRules(connection, written)
            events = read_events(connection, among(connection, EventRecord.id, ids), limit=limit)
            looking.expect(events)
            for event in events:
                take(connection, looking, _in_force(written), event)
            connection.execute(delete(EventMark).where(among(connection, EventMark.event_id, ids)))
        self._events.inc(len(ids))
        return len(ids)

    def _take_event(
        self, connection: Connection, looking: EventRules, rules: Mapping[str, Rule], event: StoredEvent
    ) -> None:
        now = self._now()
        for _, cause in looking.find(event):
            self._tracker.take(connection, rules, cause, now)
            self._has_changed = True

    def _take_apart(
        self, connection: Connection, looking: EventRules, rules: Mapping[str, Rule], event: StoredEvent
    ) -> None:
        """As `_take_event`; an event that a rule fails on is left out as a whole, logged and counted."""
        try:
            with connection.begin_nested():
                self._take_event(connection, looking, rules, event)
        except SQLAlchemyError:
            raise
        except Exception:  # noqa: BLE001 (as above)
            self._faults.inc()
            _log.exception("a rule failed on event %s (%s), which raises no alarm", event.id, event.type)

    # --- How things stand

    def _survey(self) -> None:
        now = self._now()
        with self._database.read() as connection:
            written = read_rules(connection)
            due = [each for each in written if each.rule.enabled and is_survey(each.rule) and self._is_due(each, now)]
            found = {each.rule.code: survey(connection, each, now) for each in due}
            open_causes = {code: _open_causes(connection, code) for code in found}
        for each in due:
            self._surveyed[each.rule.code, each.version] = now
        if not any(found.values()) and not any(open_causes.values()):
            return
        with self._database.write() as connection:
            if _alone(connection):
                rules = _in_force(written)
                for code, causes in found.items():
                    self._take_survey(connection, rules, code, causes, now)

    def _is_due(self, written: WrittenRule, now: datetime) -> bool:
        """Whether its period is over, or it was written anew: a rule is in force at once."""
        last = self._surveyed.get((written.rule.code, written.version))
        return last is None or not now - PERIODS[type(written.rule.when)] < last <= now  # type: ignore[index]

    def _take_survey(
        self, connection: Connection, rules: Mapping[str, Rule], code: str, causes: Sequence[Cause], now: datetime
    ) -> None:
        """Take what holds, and end what held before and does not now."""
        self._has_changed = True
        for cause in causes:
            self._tracker.take(connection, rules, cause, now)
        holding = {cause.key for cause in causes}
        for key in _open_causes(connection, code):
            if key not in holding:
                over = Cause(key=key, rule=code, rule_version=0, at=now, active=False)
                self._tracker.take(connection, rules, over, now)

    # --- The clock

    def _mind_the_clock(self) -> None:
        while not self._stopping.is_set() and self._is_anything_due(self._now()):
            with self._database.write() as connection:
                if not _alone(connection):
                    return
                self._do_what_is_due(connection, self._now())

    def _do_what_is_due(self, connection: Connection, now: datetime) -> None:
        self._has_changed = True
        self._tracker.raise_due(connection, _in_force(read_rules(connection)), now)
        self._tracker.clear_due(connection, now)
        unshelve_due(connection, self._limits, self._roster, now)
        mark_orders_due(connection, self._roster, now)
        self._escalated.inc(escalate_due(connection, self._limits, self._roster, now))

    def _end_floods(self) -> None:
        now = self._now()
        with self._database.read() as connection:
            over = self._tracker.ended_floods(connection, now)
        if over:
            ended = update(AlarmFlood).where(AlarmFlood.id.in_(over), AlarmFlood.until.is_(None))
            with self._database.write() as connection:
                connection.execute(ended.values(until=now))

    def _is_anything_due(self, now: datetime) -> bool:
        due = or_(Alarm.clear_due_at <= now, Alarm.shelved_until <= now, Alarm.due_at <= now)
        query = select(
            or_(
                exists().where(Alarm.closed_at.is_(None), due),
                exists().where(AlarmCandidate.due_at <= now),
                exists().where(WorkOrder.due_at <= now, WorkOrder.ended_at.is_(None), WorkOrder.overdue_at.is_(None)),
            )
        )
        with self._database.read() as connection:
            return bool(connection.execute(query).scalar_one())


def _in_force(written: Sequence[WrittenRule]) -> dict[str, Rule]:
    return {each.rule.code: each.rule for each in written}


def _open_causes(connection: Connection, code: str) -> list[str]:
    """Keys of a rule's alarms that are active, and of what waits to become one."""
    alarms = select(Alarm.key).where(Alarm.rule == code, Alarm.closed_at.is_(None), Alarm.condition == Condition.ACTIVE)
    waiting = select(AlarmCandidate.key).where(AlarmCandidate.rule == code)
    return [*connection.execute(alarms).scalars(), *connection.execute(waiting).scalars()]


def _alone(connection: Connection) -> bool:
    """Whether this process works on alarms until its transaction ends."""
    if connection.dialect.name == "sqlite":
        return True
    query = text("SELECT pg_try_advisory_xact_lock(:number)")
    return bool(connection.execute(query, {"number": _LOCK_NUMBER}).scalar_one())
