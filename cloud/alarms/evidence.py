"""Clips of alarms that are open are held at their gateways until the alarm is closed, whatever a disk has left there.

A gateway spares clips of alarms for 72 hours by itself and does not know what became of the alarm. So the hub sends the
command `evidence.hold` for the clips of alarms that stay open, again once a day, and ends the hold when the alarm is
closed. All of it is rows, so a restart forgets nothing; a command that comes twice changes nothing. A gateway that is
away, revoked or too old is sent nothing; what waits for it is sent once it is there.

Held are the clips of the first and of the last event that an alarm was found by, not of those between.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

from prometheus_client import CollectorRegistry, Counter
from pydantic import ValidationError
from sqlalchemy import Connection, Row, Select, and_, insert, or_, select, update
from sqlalchemy.exc import SQLAlchemyError

from cloud.alarms.limits import Limits
from cloud.commands import CommandOutcome, CommandState
from cloud.commands.service import Args, knows_newer
from cloud.database.engine import Database
from cloud.database.tables import Alarm, AlarmEvidence, DeviceState, EventRecord, Gateway
from cloud.periodic import Periodic
from protocols.clip_events import ClipKept
from protocols.commands import EvidenceHold, FailureCode
from protocols.events import Event
from protocols.presence import Presence

EVERY_S = 60.0
FIRST_AFTER_S = 15.0
BATCH = 50
"""Alarms looked at, and commands sent, in a run."""
CLIPS_OF_ALARM = 50
"""More clips of one alarm are not held."""
RENEWED_AFTER = timedelta(hours=24)
_TOLD_WITHIN = timedelta(hours=24)
"""A clip is told seconds after its event; one that a power cut interrupted, at the gateway's next start."""
_LOOKED_AGAIN_AFTER = timedelta(minutes=15)
_ANSWERED_WITHIN = timedelta(seconds=15)
_TRIED_AGAIN_AFTER, _TRIED_AGAIN_AT_LAST = timedelta(minutes=1), timedelta(hours=6)
_RUNNING = frozenset({CommandState.SENT, CommandState.ACCEPTED})


class HoldSender(Protocol):
    """`cloud.commands.CommandService`."""

    def send(self, gateway_id: str, args: Args, account_id: UUID | None, why: str = "") -> UUID:
        """Send a command and return its correlation id; account None: the hub's own."""
        ...

    def outcome(self, corr: UUID) -> CommandOutcome | None:
        """How it stands."""
        ...


class EvidenceKeeper:
    """Runs by itself in one thread of the console process; `run_once` is what it does every minute."""

    def __init__(
        self,
        database: Database,
        commands: HoldSender,
        now: Callable[[], datetime],
        make_id: Callable[[], UUID],
        limits: Limits,
        registry: CollectorRegistry,
    ) -> None:
        self._database, self._commands = database, commands
        self._now, self._make_id = now, make_id
        self._after = timedelta(seconds=limits.hold_evidence_after_s)
        self._looked_at: datetime | None = None
        self._seen: dict[tuple[UUID, UUID | None], datetime] = {}
        """When an open alarm with this last event was looked at first: after a day no more clips of it are told."""
        self._sent = Counter("gatehouse_evidence_holds", "Holds begun, renewed or ended", ["what"], registry=registry)
        failures = Counter("gatehouse_evidence_failures", "Runs that failed", registry=registry)
        self._schedule = Periodic("evidence", self.run_once, FIRST_AFTER_S, EVERY_S, (SQLAlchemyError,), failures)

    def start(self) -> None:
        """Begin the schedule."""
        self._schedule.start()

    def stop(self) -> None:
        """End it, at the latest after the run in hand; what waits is rows."""
        self._schedule.stop()

    def run_once(self) -> None:
        """Find clips of open alarms, take what gateways answered, and send what is due."""
        now = self._now()
        if self._looked_at is None or not self._looked_at <= now < self._looked_at + _LOOKED_AGAIN_AFTER:
            self._looked_at = now
            self._find(now)
        self._take_answers(now)
        self._give_up_what_was_never_held(now)
        for row, is_open in self._due(now):
            self._send(row, is_open, now)

    # --- Finding

    def _find(self, now: datetime) -> None:
        """Write down the clips of open alarms that are not yet. Page by page, so that old alarms hide no new ones."""
        after: tuple[datetime, UUID] | None = None
        seen: dict[tuple[UUID, UUID | None], datetime] = {}
        while True:
            with self._database.read() as connection:
                alarms = connection.execute(_old_alarms(now - self._after, after)).all()
                seen |= {key: self._seen.get(key, now) for key in map(_key, alarms)}
                looked_at = [alarm for alarm in alarms if now - seen[_key(alarm)] <= _TOLD_WITHIN]
                found = [clip for alarm in looked_at for clip in _clips_of(connection, alarm)]
            self._write(found, now)
            if len(alarms) < BATCH:
                self._seen = seen
                return
            after = (alarms[-1].happened_at, alarms[-1].id)

    def _write(self, found: Sequence[dict[str, Any]], now: datetime) -> None:
        if not found:
            return
        own = {"asked": False, "ending": False, "try_at": now, "tries": 0}
        rows = [{"id": self._make_id(), **clip, **own} for clip in found]
        with self._database.write() as connection:
            connection.execute(insert(AlarmEvidence), rows)

    # --- Answers

    def _take_answers(self, now: datetime) -> None:
        query = select(AlarmEvidence.__table__).where(AlarmEvidence.ended_at.is_(None), AlarmEvidence.tries > 0)
        with self._database.read() as connection:
            asked = connection.execute(query.where(AlarmEvidence.corr.is_not(None))).all()
        for row in asked:
            outcome = self._commands.outcome(row.corr)
            if outcome is not None and outcome.state not in _RUNNING:
                self._take(row, outcome, now)

    def _take(self, row: Row[*tuple[Any, ...]], outcome: CommandOutcome, now: datetime) -> None:
        if row.ending and (outcome.state is CommandState.DONE or outcome.code == FailureCode.UNKNOWN_HOLD):
            self._change(row, ended_at=now)
            self._sent.labels("ended").inc()
        elif not row.ending and outcome.state is CommandState.DONE:
            self._change(row, held_at=now, tries=0, try_at=now + RENEWED_AFTER)
            self._sent.labels("begun" if row.held_at is None else "renewed").inc()

    def _give_up_what_was_never_held(self, now: datetime) -> None:
        """Of an alarm that is closed: nothing was sent, or the gateway is revoked and hears no more."""
        closed = select(Alarm.id).where(Alarm.closed_at.is_not(None))
        revoked = select(Gateway.id).where(Gateway.revoked_at.is_not(None))
        never = or_(AlarmEvidence.asked.is_(False), AlarmEvidence.gateway_id.in_(revoked))
        over = and_(AlarmEvidence.ended_at.is_(None), AlarmEvidence.alarm_id.in_(closed), never)
        with self._database.read() as connection:
            if connection.execute(select(AlarmEvidence.id).where(over).limit(1)).first() is None:
                return
        with self._database.write() as connection:
            connection.execute(update(AlarmEvidence).where(over).values(ended_at=now))

    # --- Sending

    def _due(self, now: datetime) -> list[tuple[Row[*tuple[Any, ...]], bool]]:
        """What a gateway that is there is to be told now, those to be ended first; with whether the alarm is open."""
        is_open = Alarm.closed_at.is_(None)
        ends_now = and_(Alarm.closed_at.is_not(None), AlarmEvidence.ending.is_(False))
        query = (
            select(AlarmEvidence.__table__, is_open.label("is_open"), Gateway.reported)
            .join(Alarm, Alarm.id == AlarmEvidence.alarm_id)
            .join(Gateway, Gateway.id == AlarmEvidence.gateway_id)
            .where(AlarmEvidence.ended_at.is_(None), or_(AlarmEvidence.try_at <= now, ends_now))
            .where(Gateway.presence == Presence.ONLINE, Gateway.revoked_at.is_(None))
            .order_by(is_open, AlarmEvidence.since, AlarmEvidence.id)
        )
        with self._database.read() as connection:
            rows = [row for row in connection.execute(query) if knows_newer(row.reported)]
        return [(row, bool(row.is_open)) for row in rows[:BATCH]]

    def _send(self, row: Row[*tuple[Any, ...]], is_open: bool, now: datetime) -> None:
        """It is written down first that something is asked: after a crash in between it is asked again.

        To end a hold no camera is named: a gateway refuses one that it has no more.
        """
        tries = row.tries + 1 if is_open or row.ending else 1
        wait = max(_ANSWERED_WITHIN, min(_TRIED_AGAIN_AFTER * 2 ** min(tries - 1, 20), _TRIED_AGAIN_AT_LAST))
        self._change(row, asked=True, corr=None, ending=not is_open, tries=tries, try_at=now + wait)
        camera = row.camera if is_open else None
        args = EvidenceHold(hold=row.id, active=is_open, camera=camera, since=row.since, until=row.until)
        corr = self._commands.send(row.gateway_id, args, None, f"alarm {row.alarm_id}")
        self._change(row, corr=corr)

    def _change(self, row: Row[*tuple[Any, ...]], **values: Any) -> None:
        with self._database.write() as connection:
            connection.execute(update(AlarmEvidence).where(AlarmEvidence.id == row.id).values(**values))


def _old_alarms(before: datetime, after: tuple[datetime, UUID] | None) -> Select[*tuple[Any, ...]]:
    """Open alarms that an event raised and that happened before a moment, the oldest first; `after`: the last seen."""
    query = select(Alarm.__table__).where(Alarm.closed_at.is_(None), Alarm.first_event_id.is_not(None))
    query = query.where(Alarm.happened_at <= before).order_by(Alarm.happened_at, Alarm.id).limit(BATCH)
    if after is None:
        return query
    moment, alarm = after
    return query.where(or_(Alarm.happened_at > moment, and_(Alarm.happened_at == moment, Alarm.id > alarm)))


def _key(alarm: Row[*tuple[Any, ...]]) -> tuple[UUID, UUID | None]:
    return alarm.id, alarm.last_event_id


def _clips_of(connection: Connection, alarm: Row[*tuple[Any, ...]]) -> Iterator[dict[str, Any]]:
    """The clips of an alarm's first and last event that are not written down yet."""
    of = select(AlarmEvidence.camera, AlarmEvidence.clip_id).where(AlarmEvidence.alarm_id == alarm.id)
    known = {(camera, clip) for camera, clip in connection.execute(of)}
    ids = [each for each in (alarm.first_event_id, alarm.last_event_id) if each is not None]
    events = select(EventRecord.id, EventRecord.gateway_id, EventRecord.time).where(EventRecord.id.in_(ids))
    for event in connection.execute(events).all():
        for camera, kept in _told_of(connection, event.gateway_id, event.time):
            if event.id in kept.events and (camera, kept.clip) not in known and len(known) < CLIPS_OF_ALARM:
                known.add((camera, kept.clip))
                place = {"alarm_id": alarm.id, "gateway_id": event.gateway_id, "camera": camera}
                yield {**place, "clip_id": kept.clip, "since": kept.since, "until": kept.until}


def _told_of(connection: Connection, gateway: str, at: datetime) -> Iterator[tuple[str, ClipKept]]:
    """The clips that a gateway's cameras told of since a moment."""
    cameras = select(DeviceState.device).where(DeviceState.gateway_id == gateway, DeviceState.kind == "camera")
    query = select(EventRecord.subject, EventRecord.body).where(
        EventRecord.gateway_id == gateway,
        EventRecord.subject.in_(cameras),
        EventRecord.time.between(at, at + _TOLD_WITHIN),
        EventRecord.type == ClipKept.TYPE,
    )
    for camera, body in connection.execute(query):
        try:
            data = Event.model_validate_json(body).data
        except ValidationError:  # stored by another version of the hub
            continue
        if isinstance(data, ClipKept):
            yield camera, data
