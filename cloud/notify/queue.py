"""One channel's queue in the database: what is sent next, and what became of it. It never calls anybody.

`claim` writes an attempt before it is made, `settle` its outcome after it. A hub that is killed in between leaves an
attempt without outcome; the message is sent again under the same key. Of several processes one works on a channel.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, and_, delete, exists, func, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from cloud.database.engine import Database
from cloud.database.tables import Alarm, Notice, NoticeAttempt, NoticeChannel, NoticeMessage
from cloud.notify.facts import read_facts
from cloud.notify.settings import AnyChannel
from cloud.notify.states import DeliveryFailed, Ended, State
from cloud.notify.wording import Fact

MAX_JOINED = 1000
"""Notices in one message."""
MAX_OPEN = 5
"""Messages that a failing channel tries in turn; what else there is to tell waits, and is joined later."""
CHANNEL_PAUSE_S = 60.0
MESSAGE_PAUSE_S = 900.0
"""The longest pauses between attempts of our own; what the other side asks for is kept up to an hour."""
_ASKED_PAUSE_S = 3600.0
_LEASE_BEYOND_S = 5.0
_MINUTE = timedelta(minutes=1)


class TooOften(Exception):
    """A test would go beyond the channel's limit."""


@dataclass(frozen=True)
class Attempt:
    """An attempt that is to be made now. `key` stays the same for each attempt of the message."""

    key: UUID
    number: int
    recipient: str
    facts: tuple[Fact, ...] = ()


@dataclass(frozen=True)
class Pace:
    """How often and how long a channel tries."""

    per_minute: int
    lease_s: float
    give_up_s: float

    @classmethod
    def of(cls, settings: AnyChannel, give_up_s: float) -> "Pace":
        return cls(settings.per_minute, settings.timeout_s + _LEASE_BEYOND_S, give_up_s)


class ChannelQueue:
    """Safe for any number of processes. `owner` names this one."""

    def __init__(
        self,
        database: Database,
        name: str,
        pace: Pace,
        owner: UUID,
        now: Callable[[], datetime],
        make_id: Callable[[], UUID],
        random: Random,
    ) -> None:
        self._database, self._name, self._pace, self._owner = database, name, pace, owner
        self._now, self._make_id, self._random = now, make_id, random

    def claim(self) -> Attempt | None:
        """The next attempt; None: there is nothing to send now."""
        if not self._is_anything_there():
            return None
        with self._database.write() as connection:
            now = self._now()
            channel = self._locked(connection)
            if _is_taken(channel, self._owner, now) or (channel.retry_at and channel.retry_at > now):
                return None
            left = self._left(connection, now)
            if left <= 0:
                return None
            self._end_moot(connection, now)
            message = self._choose(connection, channel, left, now)
            return None if message is None else self._begin(connection, message, now)

    def claim_test(self, recipient: str) -> Attempt:
        """An attempt at a test, whatever else the channel does.

        Raises:
            TooOften: if the channel has sent as many as it may within the minute.
        """
        with self._database.write() as connection:
            now = self._now()
            self._locked(connection)
            if self._left(connection, now) <= 0:
                raise TooOften
            message = self._new_message(connection, recipient, now, is_test=True)
            return self._begin(connection, message, now, takes=False)

    def settle(self, attempt: Attempt, outcome: DeliveryFailed | None, detail: str, took_s: float) -> None:
        """Write down what became of an attempt. A test that fails is not tried again, and the channel is not thereby
        taken for a failing one: it would stay so until there is something to tell."""
        name = "sent" if outcome is None else outcome.failure.value
        with self._database.write() as connection:
            now = self._now()
            channel = self._locked(connection)
            row = (NoticeAttempt.message_id == attempt.key) & (NoticeAttempt.number == attempt.number)
            told = {"outcome": name, "detail": detail[:200], "took_ms": round(took_s * 1000)}
            connection.execute(update(NoticeAttempt).where(row).values(**told))
            is_test = self._settle_message(connection, attempt, outcome, now)
            if outcome is None or not is_test:
                health = update(NoticeChannel).where(NoticeChannel.name == self._name)
                connection.execute(health.values(**self._health(channel, outcome, now)))

    def waiting(self) -> int:
        """Notices that are in no message, and messages that are not sent."""
        notices = select(func.count()).select_from(Notice).where(*self._in_no_message())
        messages = select(func.count()).select_from(NoticeMessage).where(*self._open_messages())
        with self._database.read() as connection:
            return int(connection.execute(notices).scalar_one() + connection.execute(messages).scalar_one())

    # --- What there is

    def _in_no_message(self) -> tuple[Any, ...]:
        return (Notice.channel == self._name, Notice.message_id.is_(None), Notice.ended.is_(None))

    def _open_messages(self) -> tuple[Any, ...]:
        return (NoticeMessage.channel == self._name, NoticeMessage.ended_at.is_(None))

    def _is_anything_there(self) -> bool:
        now = self._now()
        rests = exists().where(NoticeChannel.name == self._name, NoticeChannel.retry_at > now)
        new = exists().where(*self._in_no_message(), Notice.due_at <= now)
        again = exists().where(*self._open_messages(), *_ready(now))
        with self._database.read() as connection:
            return bool(connection.execute(select(and_(~rests, or_(new, again)))).scalar_one())

    def _locked(self, connection: Connection) -> Row[*tuple[Any, ...]]:
        dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
        missing = dialect.insert(NoticeChannel).values(name=self._name, failures=0)
        connection.execute(missing.on_conflict_do_nothing())
        query = select(NoticeChannel.__table__).where(NoticeChannel.name == self._name).with_for_update()
        return connection.execute(query).one()

    def _left(self, connection: Connection, now: datetime) -> int:
        """Attempts that the last minute leaves. They are in the database, so a restart does not forget them."""
        made = select(func.count()).where(NoticeAttempt.channel == self._name, NoticeAttempt.at > now - _MINUTE)
        return self._pace.per_minute - connection.execute(made).scalar_one()

    def _end_moot(self, connection: Connection, now: datetime) -> None:
        """End what is about alarms that were closed before anybody was told."""
        closed = select(Alarm.id).where(Alarm.id == Notice.alarm_id, Alarm.closed_at.is_not(None)).exists()
        connection.execute(
            update(Notice)
            .where(*self._in_no_message(), Notice.due_at <= now, closed)
            .values(ended=Ended.MOOT)
            .execution_options(synchronize_session=False)
        )
        still = (
            select(Notice.id)
            .join(Alarm, Alarm.id == Notice.alarm_id)
            .where(Notice.message_id == NoticeMessage.id, Alarm.closed_at.is_(None))
            .exists()
        )
        connection.execute(
            update(NoticeMessage)
            .where(*self._open_messages(), NoticeMessage.is_test.is_(False), ~still)
            .values(state=State.MOOT, ended_at=now)
            .execution_options(synchronize_session=False)
        )

    # --- What is next

    def _choose(
        self, connection: Connection, channel: Row[*tuple[Any, ...]], left: int, now: datetime
    ) -> Row[*tuple[Any, ...]] | None:
        """A new message if there is something new, else one that is tried again. A failing channel tries few."""
        is_failing = channel.retry_at is not None
        if not is_failing or self._open_count(connection) < MAX_OPEN:
            made = self._make_message(connection, is_failing, left, now)
            if made is not None:
                return made
        again = (
            select(NoticeMessage.__table__)
            .where(*self._open_messages(), *_ready(now))
            .order_by(NoticeMessage.attempts, NoticeMessage.made_at, NoticeMessage.id)
            .limit(1)
        )
        return connection.execute(again).first()

    def _open_count(self, connection: Connection) -> int:
        counted = select(func.count()).select_from(NoticeMessage).where(*self._open_messages())
        return int(connection.execute(counted).scalar_one())

    def _make_message(
        self, connection: Connection, is_failing: bool, left: int, now: datetime
    ) -> Row[*tuple[Any, ...]] | None:
        """Put notices of one recipient into a message: the most urgent alarm, or all that wait if they are too many.

        Too many is more than half of what the minute leaves, so that the next alarm finds room.
        """
        ready = (
            select(Notice.id, Notice.recipient, Notice.alarm_id)
            .where(*self._in_no_message(), Notice.due_at <= now)
            .order_by(Notice.priority, Notice.due_at, Notice.id)
            .limit(MAX_JOINED)
        )
        rows = connection.execute(ready).all()
        if not rows:
            return None
        first, joins = rows[0], is_failing or len(rows) > max(1, left // 2)
        of_one = [
            row.id for row in rows if row.recipient == first.recipient and (joins or row.alarm_id == first.alarm_id)
        ]
        message = self._new_message(connection, first.recipient, now)
        connection.execute(update(Notice).where(Notice.id.in_(of_one)).values(message_id=message.id))
        return message

    def _new_message(
        self, connection: Connection, recipient: str, now: datetime, is_test: bool = False
    ) -> Row[*tuple[Any, ...]]:
        key = self._make_id()
        values = {"id": key, "channel": self._name, "recipient": recipient, "is_test": is_test, "made_at": now}
        connection.execute(insert(NoticeMessage).values(**values, state=State.WAITING, attempts=0))
        return connection.execute(select(NoticeMessage.__table__).where(NoticeMessage.id == key)).one()

    def _begin(
        self, connection: Connection, message: Row[*tuple[Any, ...]], now: datetime, takes: bool = True
    ) -> Attempt:
        number = message.attempts + 1
        connection.execute(update(NoticeMessage).where(NoticeMessage.id == message.id).values(attempts=number))
        row = {"message_id": message.id, "number": number, "channel": self._name, "at": now, "detail": ""}
        connection.execute(insert(NoticeAttempt).values(**row))
        if takes:
            until = now + timedelta(seconds=self._pace.lease_s)
            taken = update(NoticeChannel).where(NoticeChannel.name == self._name)
            connection.execute(taken.values(taken_by=self._owner, taken_until=until))
        return Attempt(message.id, number, message.recipient, tuple(read_facts(connection, message.id)))

    # --- What became of it

    def _settle_message(
        self, connection: Connection, attempt: Attempt, outcome: DeliveryFailed | None, now: datetime
    ) -> bool:
        """Whether it is a test."""
        which = NoticeMessage.id == attempt.key
        message = connection.execute(select(NoticeMessage.__table__).where(which)).one()
        values: dict[str, Any] = {"state": State.SENT, "ended_at": now}
        if outcome is not None:
            is_old = now - message.made_at >= timedelta(seconds=self._pace.give_up_s)
            if outcome.failure.is_final or message.is_test or is_old:
                values = {"state": State.FAILED, "ended_at": now}
            elif outcome.failure.is_of_message:
                values = {"retry_at": now + self._pause(attempt.number, outcome, 15.0, MESSAGE_PAUSE_S)}
            else:
                return False
        connection.execute(update(NoticeMessage).where(which).values(**values))
        return bool(message.is_test)

    def _health(self, channel: Row[*tuple[Any, ...]], outcome: DeliveryFailed | None, now: datetime) -> dict[str, Any]:
        free: dict[str, Any] = {} if channel.taken_by != self._owner else {"taken_by": None, "taken_until": None}
        if outcome is None:
            return {**free, "failures": 0, "failing_since": None, "retry_at": None, "last_sent_at": now}
        failures = channel.failures + 1
        bad = {"failures": failures, "failing_since": channel.failing_since or now, "last_failure": outcome.failure}
        if outcome.failure.is_of_message:
            return {**free, **bad}
        return {**free, **bad, "retry_at": now + self._pause(failures, outcome, 1.0, CHANNEL_PAUSE_S)}

    def _pause(self, failures: int, outcome: DeliveryFailed, first_s: float, longest_s: float) -> timedelta:
        """Twice as long after each failure, by chance up to half shorter; never shorter than the other side asks."""
        own_s = min(longest_s, first_s * 2 ** min(failures - 1, 20)) * self._random.uniform(0.5, 1.0)
        return timedelta(seconds=max(own_s, min(outcome.wait_s or 0.0, _ASKED_PAUSE_S)))


def end_orphans(connection: Connection, channels: frozenset[str], now: datetime) -> int:
    """End what waits for channels that are in the configuration no longer, and forget how they fared.

    Returns:
        How many notices and messages there were.
    """
    notices = update(Notice).where(Notice.channel.not_in(channels), Notice.message_id.is_(None), Notice.ended.is_(None))
    messages = update(NoticeMessage).where(NoticeMessage.channel.not_in(channels), NoticeMessage.ended_at.is_(None))
    connection.execute(delete(NoticeChannel).where(NoticeChannel.name.not_in(channels)))
    gone = connection.execute(notices.values(ended=Ended.DROPPED)).rowcount
    return int(gone + connection.execute(messages.values(state=State.FAILED, ended_at=now)).rowcount)


def _is_taken(channel: Row[*tuple[Any, ...]], owner: UUID, now: datetime) -> bool:
    return channel.taken_by not in (None, owner) and channel.taken_until is not None and channel.taken_until > now


def _ready(now: datetime) -> tuple[Any, ...]:
    return (or_(NoticeMessage.retry_at.is_(None), NoticeMessage.retry_at <= now), NoticeMessage.is_test.is_(False))
