"""Weekly schedules against the calendar: public holidays, make-up workdays (调休), and when a schedule changes next.

Everything is in whole minutes of the site's own wall time. A day on which the clocks change follows the wall.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from protocols.rules import Schedule, Weekday

_HORIZON_DAYS = 40
"""How far `next_change` looks; longer than any run of holidays."""
_DAY = timedelta(days=1)
_KINDS_OF_DAYS = len(Weekday)

SpecialDays = Mapping[date, Weekday]
"""The days that count as another kind of day than their own weekday."""


@dataclass(frozen=True, slots=True)
class LocalMinute:
    """A minute of the site's wall time: the day, and minutes after its midnight."""

    day: date
    minute: int


def local_minute(wall_s: float, zone: ZoneInfo) -> LocalMinute:
    """The minute on the site's wall at `wall_s` seconds since the epoch."""
    local = datetime.fromtimestamp(wall_s, zone)
    return LocalMinute(local.date(), local.hour * 60 + local.minute)


def wall_s_of(day: date, minute: int, zone: ZoneInfo) -> float:
    """Seconds since the epoch at `minute` of `day` (1440: its end); of a minute that comes twice, the first."""
    return (datetime.combine(day, time()) + timedelta(minutes=minute)).replace(tzinfo=zone).timestamp()


@dataclass(frozen=True)
class WeekSchedule:
    """A schedule laid out for looking up: for each kind of day its intervals, in minutes after local midnight."""

    days: tuple[tuple[tuple[int, int], ...], ...]
    special: SpecialDays
    """Empty for a schedule that does not heed holidays."""

    def intervals_on(self, day: date) -> tuple[tuple[int, int], ...]:
        """The intervals that hold on a day."""
        return self.days[self.special.get(day, day.weekday())]

    def covers(self, at: LocalMinute) -> bool:
        return any(since <= at.minute < until for since, until in self.intervals_on(at.day))

    def end_of_interval(self, at: LocalMinute) -> int | None:
        """The minute at which the interval ends that `at` lies in; None: it lies in none."""
        ends = (until for since, until in self.intervals_on(at.day) if since <= at.minute < until)
        return max(ends, default=None)


def lay_out(schedule: Schedule, special: SpecialDays) -> WeekSchedule:
    """A schedule of the policy, made ready."""
    days: list[list[tuple[int, int]]] = [[] for _ in range(_KINDS_OF_DAYS)]
    for interval in schedule.intervals:
        days[interval.weekday].append((interval.since, interval.until))
    return WeekSchedule(tuple(tuple(sorted(day)) for day in days), special if schedule.heeds_holidays else {})


def next_change(schedule: WeekSchedule, wall_s: float, zone: ZoneInfo) -> float | None:
    """When a schedule next begins or ends to hold after `wall_s`, in seconds since the epoch; None: not in 40 days."""
    held = schedule.covers(local_minute(wall_s, zone))
    day = local_minute(wall_s, zone).day
    for ahead in range(_HORIZON_DAYS + 1):
        moments = sorted(set(_moments_of(schedule, day + ahead * _DAY, zone)))
        for moment in moments:
            if moment > wall_s and schedule.covers(local_minute(moment, zone)) != held:
                return moment
    return None


def last_at(minute: int, wall_s: float, zone: ZoneInfo) -> float:
    """When it last was `minute` after local midnight, at or before `wall_s`; in seconds since the epoch."""
    today = local_minute(wall_s, zone).day
    moment = wall_s_of(today, minute, zone)
    return moment if moment <= wall_s else wall_s_of(today - _DAY, minute, zone)


def _moments_of(schedule: WeekSchedule, day: date, zone: ZoneInfo) -> Iterator[float]:
    """Every moment of a day at which a schedule may change: its intervals' bounds, midnight, a change of clocks."""
    yield wall_s_of(day, 0, zone)
    for since, until in schedule.intervals_on(day):
        for minute in (since, until):
            naive = datetime.combine(day, time()) + timedelta(minutes=minute)
            for fold in (0, 1):
                yield naive.replace(tzinfo=zone, fold=fold).timestamp()
    yield from _changes_of_clocks(day, zone)


def _changes_of_clocks(day: date, zone: ZoneInfo) -> Iterable[float]:
    """When the clocks change on a day; found by halving, since `zoneinfo` does not tell."""
    early, late = int(wall_s_of(day, 0, zone)), int(wall_s_of(day + _DAY, 0, zone))
    before = _offset(early, zone)
    if before == _offset(late, zone):
        return ()
    while late - early > 1:
        middle = (early + late) // 2
        if _offset(middle, zone) == before:
            early = middle
        else:
            late = middle
    return (float(late),)


def _offset(wall_s: int, zone: ZoneInfo) -> timedelta | None:
    return datetime.fromtimestamp(wall_s, zone).utcoffset()
