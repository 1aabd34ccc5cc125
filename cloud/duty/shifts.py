"""Who is on duty at a moment, by rosters as they were written by then. Pure: it asks no database and no clock.

A shift belongs to the day on which it begins. Of a roster's versions the newest that covers this day holds on it, so
one that begins today leaves last night's shift as it was, and when one of a few days is over, the older one comes back.
But a version that covers the first day of an older one takes its place for good: written again with an end, it ends.
What was written after the moment that is asked for does not count: who was on duty then is not changed by it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from cloud.duty.plan import RosterPlan, Shift

_DAY = timedelta(days=1)
Calendar = Mapping[date, int]
"""Days that count as another one (`protocols.rules.Weekday`)."""


@dataclass(frozen=True)
class Version:
    """What a roster says, from when it was written."""

    plan: RosterPlan
    written_at: datetime


@dataclass(frozen=True)
class Change:
    """Who works one shift of one date; None: as the roster says, again."""

    day: date
    shift: str
    members: tuple[str, ...] | None
    written_at: datetime


@dataclass(frozen=True)
class Roster:
    """Versions and changes, each in the order in which they were written."""

    code: str
    versions: Sequence[Version]
    changes: Sequence[Change] = ()


@dataclass(frozen=True)
class Turn:
    """A shift of a date with who works it, from `since` until `until` (UTC)."""

    roster: str
    shift: str
    since: datetime
    until: datetime
    members: tuple[str, ...]


def in_force(roster: Roster, day: date, at: datetime) -> RosterPlan | None:
    """What the roster says of a day, as it was written at a moment; None: nothing."""
    newer: list[RosterPlan] = []
    for plan in (each.plan for each in reversed(roster.versions) if each.written_at <= at):
        if plan.covers(day) and not any(each.covers(plan.since) for each in newer):
            return plan if plan.shifts else None
        newer.append(plan)
    return None


def is_kept(roster: Roster, at: datetime, zone: ZoneInfo) -> bool:
    """Whether there is a roster at a moment, so that it is a gap if nobody is on duty."""
    return in_force(roster, at.astimezone(zone).date(), at) is not None


def turns_of(roster: Roster, day: date, at: datetime, calendar: Calendar, zone: ZoneInfo) -> Iterator[Turn]:
    """The shifts that begin on a day and that somebody works, as it was written at a moment. A change for one date
    also has a shift worked that does not fall on such a day."""
    plan = in_force(roster, day, at)
    if plan is None:
        return
    counts_as = calendar.get(day, day.weekday())
    changed = {each.shift: each.members for each in roster.changes if each.day == day and each.written_at <= at}
    for shift in plan.shifts:
        members = changed.get(shift.name)
        if members is None:
            members = plan.members(shift, day) if counts_as in shift.days else ()
        if members:
            yield Turn(roster.code, shift.name, *_span(shift, day, zone), members)


def on_duty(rosters: Iterable[Roster], at: datetime, calendar: Calendar, zone: ZoneInfo) -> list[Turn]:
    """The shifts that somebody works at a moment."""
    today = at.astimezone(zone).date()
    days = (today - _DAY, today)
    turns = (turn for each in rosters for day in days for turn in turns_of(each, day, at, calendar, zone))
    return [turn for turn in turns if turn.since <= at < turn.until]


def gaps(
    rosters: Sequence[Roster],
    since: datetime,
    until: datetime,
    able: frozenset[str],
    calendar: Calendar,
    zone: ZoneInfo,
) -> list[tuple[datetime, datetime]]:
    """When, from `since` until `until`, there is a roster and nobody who is `able` is on duty, as written then."""
    days = list(_days(since.astimezone(zone).date() - _DAY, until.astimezone(zone).date()))
    turns = [turn for each in rosters for day in days for turn in turns_of(each, day, until, calendar, zone)]
    worked = sorted((turn.since, turn.until) for turn in turns if able.intersection(turn.members))
    found: list[tuple[datetime, datetime]] = []
    for begins, ends in _kept_spans(rosters, days, until, zone):
        free_from, last = max(begins, since), min(ends, until)
        for busy_since, busy_until in (*worked, (last, last)):
            if free_from < min(busy_since, last):
                found.append((free_from, min(busy_since, last)))
            free_from = max(free_from, busy_until)
    return _joined(found)


def _kept_spans(
    rosters: Sequence[Roster], days: Iterable[date], at: datetime, zone: ZoneInfo
) -> Iterator[tuple[datetime, datetime]]:
    """Each day on which there is a roster."""
    for day in days:
        if any(in_force(each, day, at) for each in rosters):
            yield _midnight(day, zone), _midnight(day + _DAY, zone)


def _joined(spans: Iterable[tuple[datetime, datetime]]) -> list[tuple[datetime, datetime]]:
    """Spans in order, with those that touch made one."""
    found: list[tuple[datetime, datetime]] = []
    for since, until in spans:
        if found and found[-1][1] == since:
            found[-1] = (found[-1][0], until)
        else:
            found.append((since, until))
    return found


def _days(first: date, last: date) -> Iterator[date]:
    while first <= last:
        yield first
        first += _DAY


def _span(shift: Shift, day: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
    last = day if shift.begins < shift.ends else day + _DAY
    since, until = datetime.combine(day, shift.begins, zone), datetime.combine(last, shift.ends, zone)
    return since.astimezone(UTC), until.astimezone(UTC)


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)
