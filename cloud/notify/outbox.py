"""Writes what channels are to tell, in the transaction that writes the alarm's step: both are there, or neither is.

A channel's queue is bounded. What comes when it is full is kept as dropped and counted; alarms of priority 1 may
fill it twice over.
"""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from prometheus_client import CollectorRegistry, Counter
from sqlalchemy import Connection, func, insert, select

from cloud.alarms.roster import Announcement, Duty, Roster, Told, places_above
from cloud.alarms.states import Priority
from cloud.database.tables import Account, Alarm, Notice, Place
from cloud.notify.settings import AnyChannel, LevelName, NotifySettings, QuietHours, RouteSettings
from cloud.notify.states import Ended


class NotifyingRoster(Roster):
    """Stands around another roster: that one says who is told, this one has the channels tell it too."""

    def __init__(
        self, inner: Roster, settings: NotifySettings, make_id: Callable[[], UUID], registry: CollectorRegistry
    ) -> None:
        self._inner = inner
        self._settings = settings
        self._make_id = make_id
        self._written = Counter(
            "gatehouse_notify_notices", "Notices written for channels", ["channel", "what"], registry=registry
        )

    def on_duty(self, connection: Connection, duty: Duty) -> Told:
        return self._inner.on_duty(connection, duty)

    def announced(self, connection: Connection, announcement: Announcement) -> None:
        self._inner.announced(connection, announcement)
        if not self._settings.routes:
            return
        priority = connection.execute(select(Alarm.priority).where(Alarm.id == announcement.alarm)).scalar_one()
        due = self._due(connection, announcement.duty, Priority(priority))
        for name, due_at in sorted(due.items()):
            recipients = self._recipients(connection, self._settings.channels[name], announcement)
            self._write(connection, announcement, Priority(priority), name, recipients, due_at)

    def _due(self, connection: Connection, duty: Duty, priority: Priority) -> dict[str, datetime]:
        """Channel -> when it may be told: the earliest moment of its routes that take the alarm."""
        above = places_above(connection, duty.place_id)
        codes = set(connection.execute(select(Place.code).where(Place.id.in_(above))).scalars())
        due: dict[str, datetime] = {}
        for route in self._settings.routes.values():
            if takes(route, duty, priority, codes):
                at = quiet_until(route.quiet, priority, duty.at, self._settings.zone)
                due[route.channel] = min(at, due.get(route.channel, at))
        return due

    def _recipients(self, connection: Connection, channel: AnyChannel, announcement: Announcement) -> tuple[str, ...]:
        if not channel.told_only:
            return channel.recipients
        named = select(Account.username).where(
            Account.id.in_(announcement.told.accounts), Account.username.in_(channel.recipients)
        )
        told = set(connection.execute(named).scalars())
        return tuple(each for each in channel.recipients if each in told)

    def _write(
        self,
        connection: Connection,
        announcement: Announcement,
        priority: Priority,
        channel: str,
        recipients: tuple[str, ...],
        due_at: datetime,
    ) -> None:
        if not recipients:
            return
        duty, room = announcement.duty, self._room(connection, channel, priority)
        rows = [
            {
                "id": self._make_id(),
                "channel": channel,
                "recipient": recipient,
                "alarm_id": announcement.alarm,
                "step": announcement.step,
                "level": int(duty.level),
                "priority": int(priority),
                "nobody_on_duty": announcement.told.nobody_on_duty,
                "made_at": duty.at,
                "due_at": due_at,
                "ended": None if number < room else Ended.DROPPED,
            }
            for number, recipient in enumerate(recipients)
        ]
        connection.execute(insert(Notice), rows)
        dropped = max(0, len(rows) - room)
        self._written.labels(channel, "waiting").inc(len(rows) - dropped)
        self._written.labels(channel, "dropped").inc(dropped)

    def _room(self, connection: Connection, channel: str, priority: Priority) -> int:
        """How many more notices fit into the channel's queue."""
        limit = self._settings.queue_at_most * (2 if priority is Priority.P1 else 1)
        waiting = select(Notice.id).where(
            Notice.channel == channel, Notice.message_id.is_(None), Notice.ended.is_(None)
        )
        counted = select(func.count()).select_from(waiting.limit(limit).subquery())
        return limit - connection.execute(counted).scalar_one()


def takes(route: RouteSettings, duty: Duty, priority: Priority, codes: set[str]) -> bool:
    """Whether a route takes an alarm. `codes`: of the alarm's place and of those that it lies in."""
    of_level = LevelName[duty.level.name] in route.levels
    return of_level and priority <= route.at_least and (route.place is None or route.place in codes)


def quiet_until(quiet: QuietHours | None, priority: Priority, at: datetime, zone: ZoneInfo) -> datetime:
    """The moment itself, or the end of the quiet hours that it lies in, if the alarm is not urgent enough for them."""
    if quiet is None or priority <= quiet.lets_through:
        return at
    for since, until in _nights(quiet, at, zone):
        if since <= at < until:
            return until
    return at


def _nights(quiet: QuietHours, at: datetime, zone: ZoneInfo) -> Iterator[tuple[datetime, datetime]]:
    """The quiet hours that begin on the day before and on the same day, by the site's clock."""
    today = at.astimezone(zone).date()
    for day in (today - timedelta(days=1), today):
        last = day if quiet.since < quiet.until else day + timedelta(days=1)
        since = datetime.combine(day, quiet.since, zone).astimezone(at.tzinfo)
        yield since, datetime.combine(last, quiet.until, zone).astimezone(at.tzinfo)
