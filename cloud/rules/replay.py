"""What a rule would have raised on past events, without raising anything.

The very code that raises alarms works on a database of its own, in a temporary folder, with the clock of then. Events
and register are those of the hub, and only read. Nobody is there to close an alarm, so one counts as closed as soon as
its cause is over; a cause that goes on is one alarm.
"""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

from sqlalchemy import Connection, func, select, tuple_, update

from cloud.alarms.causes import Cause
from cloud.alarms.limits import Limits
from cloud.alarms.roster import Nobody
from cloud.alarms.states import Condition, Handling, Outcome
from cloud.alarms.tracker import Tracker
from cloud.database.engine import Database, open_database
from cloud.database.tables import Alarm, AlarmCandidate, EventRecord
from cloud.register.ids import IdMaker
from cloud.rules.book import WrittenRule
from cloud.rules.by_event import EventRules, read_events
from cloud.rules.by_survey import OF_THE_PAST, PERIODS, is_survey, survey
from cloud.rules.definition import Rule

_PAGE = 500
_SURVEY_EVERY = timedelta(hours=1)


class CannotTell(ValueError):
    """A rule about something of which the hub keeps the present state alone."""


@dataclass(frozen=True)
class WouldBe:
    """An alarm that would have been raised. `times` is how often its cause was found while it was open."""

    raised_at: datetime
    key: str
    place_id: UUID | None
    times: int
    cleared_at: datetime | None


@dataclass(frozen=True)
class Replay:
    """What a rule would have done. `looked_at` counts events, or moments for a rule about how things stand."""

    looked_at: int
    alarms: Sequence[WouldBe]


def replay(database: Database, written: WrittenRule, since: datetime, now: datetime) -> Replay:
    """Try a rule, in force or not, on what was received from `since` until `now`.

    Raises:
        CannotTell: for a rule about connections or clocks, whose past is not kept.
    """
    written = written.model_copy(update={"rule": written.rule.model_copy(update={"enabled": True})})
    if is_survey(written.rule) and not isinstance(written.rule.when, OF_THE_PAST):
        raise CannotTell(
            f"rule {written.rule.code} looks at connections and clocks, of which the hub keeps the present state alone"
        )
    with tempfile.TemporaryDirectory(prefix="gatehouse-replay-") as folder:
        scratch = open_database(f"sqlite:///{Path(folder) / 'replay.db'}")
        try:
            scratch.migrate()
            with database.read() as past, scratch.write() as connection:
                return _Trial(past, connection, written).run(since, now)
        finally:
            scratch.close()


class _Trial:
    """One rule's way through the past."""

    def __init__(self, past: Connection, connection: Connection, written: WrittenRule) -> None:
        self._past = past
        self._connection = connection
        self._written = written
        self._rules: dict[str, Rule] = {written.rule.code: written.rule}
        self._tracker = Tracker(Limits(), Nobody(), IdMaker())
        self._looked_at = 0

    def run(self, since: datetime, now: datetime) -> Replay:
        """From `since` until `now`."""
        for at, causes in self._surveys(since, now) if is_survey(self._written.rule) else self._events(since, now):
            self._let_pass(at)
            for cause in causes:
                self._tracker.take(self._connection, self._rules, cause, at)
        self._let_pass(now)
        rows = self._connection.execute(select(Alarm.__table__).order_by(Alarm.raised_at, Alarm.id))
        found = [WouldBe(row.raised_at, row.key, row.place_id, row.times, row.cleared_at) for row in rows]
        return Replay(self._looked_at, found)

    def _events(self, since: datetime, now: datetime) -> Iterator[tuple[datetime, list[Cause]]]:
        """Each event as it was received, with what the rule finds in it, as if later ones had not come."""
        wanted = (EventRecord.type.in_(self._written.rule.event_types), EventRecord.received_at <= now)
        query = select(EventRecord.id, EventRecord.received_at).order_by(EventRecord.received_at, EventRecord.id)
        page = EventRecord.received_at >= since
        while rows := self._past.execute(query.where(*wanted, page).limit(_PAGE)).all():
            for row in rows:
                self._looked_at += 1
                looking = EventRules(self._past, [self._written], upto=row.received_at)
                (event,) = read_events(self._past, EventRecord.id == row.id)
                looking.expect([event])
                yield row.received_at, [cause for _, cause in looking.find(event)]
            last = (rows[-1].received_at, rows[-1].id)
            page = tuple_(EventRecord.received_at, EventRecord.id) > last

    def _surveys(self, since: datetime, now: datetime) -> Iterator[tuple[datetime, list[Cause]]]:
        """How things stood from hour to hour (or day to day); what held before and does not any more is over."""
        before: dict[str, Cause] = {}
        step = max(_SURVEY_EVERY, PERIODS[type(self._written.rule.when)])  # type: ignore[index]
        at = since
        while at <= now:
            self._looked_at += 1
            holding = {cause.key: cause for cause in survey(self._past, self._written, at)}
            over = [
                cause.model_copy(update={"active": False, "at": at})
                for key, cause in before.items()
                if key not in holding
            ]
            yield at, [*holding.values(), *over]
            before, at = holding, at + step

    def _let_pass(self, until: datetime) -> None:
        """Do what falls due until then, each at its own moment, and close what is over."""
        while (due := self._next_due()) is not None and due <= until:
            self._tracker.raise_due(self._connection, self._rules, due)
            self._tracker.clear_due(self._connection, due)
            over = (Alarm.condition == Condition.CLEARED, Alarm.closed_at.is_(None))
            closed = {"handling": Handling.CLOSED, "closed_at": due, "outcome": Outcome.TEST}
            self._connection.execute(update(Alarm).where(*over).values(**closed))

    def _next_due(self) -> datetime | None:
        waiting = self._connection.execute(select(func.min(AlarmCandidate.due_at))).scalar()
        clearing = self._connection.execute(select(func.min(Alarm.clear_due_at)).where(Alarm.closed_at.is_(None)))
        moments = [each for each in (waiting, clearing.scalar()) if each is not None]
        return min(moments, default=None)
