"""When a rule holds: a week in the site's own time, as a person writes it, laid out for looking up.

    hours = ["mon-fri 22:00-06:00", "sat,sun 00:00-24:00", "holiday 00:00-24:00"]

Hours that end before they begin go on into the next day. If one line speaks of holidays, public holidays and make-up
workdays count as what the hub's calendar says they are; else every day is its own weekday.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from typing import Protocol
from zoneinfo import ZoneInfo

from edge.access.calendar import LocalMinute, WeekSchedule, lay_out, local_minute
from protocols.rules import Interval, Schedule, SpecialDay, Weekday

_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAYS = {name: Weekday(number) for number, name in enumerate((*_WEEKDAYS, "holiday"))}
_LINE = re.compile(r"([a-z,\- ]+?) +(\d\d):(\d\d) ?- ?(\d\d):(\d\d)")
_MIDNIGHT = 24 * 60
_FORM = 'write e.g. "mon-fri 22:00-06:00", "sat,sun 00:00-24:00" or "holiday 08:00-20:00"'


def read_hours(lines: Sequence[str]) -> tuple[Interval, ...]:
    """The intervals of a week; one that crosses midnight is cut in two.

    Raises:
        ValueError: naming the line that cannot be read, and how to write it.
    """
    return tuple(interval for line in lines for interval in _intervals(line))


def _intervals(line: str) -> Iterator[Interval]:
    found = _LINE.fullmatch(line.strip().lower())
    if found is None:
        raise ValueError(f'"{line}" are no hours; {_FORM}')
    since, until = (_minute(line, found[i], found[i + 1]) for i in (2, 4))
    for day in _days(line, found[1]):
        if since < until:
            yield Interval(weekday=day, since=since, until=until)
            continue
        if since < _MIDNIGHT:
            yield Interval(weekday=day, since=since, until=_MIDNIGHT)
        if until > 0:
            yield Interval(weekday=_day_after(day), since=0, until=until)


def _minute(line: str, hour: str, minute: str) -> int:
    total = int(hour) * 60 + int(minute)
    if int(minute) > 59 or total > _MIDNIGHT:
        raise ValueError(f'"{line}": {hour}:{minute} is no time of day; {_FORM}')
    return total


def _days(line: str, text: str) -> Iterator[Weekday]:
    for part in text.replace(" ", "").split(","):
        first, dash, last = part.partition("-")
        if first not in _DAYS or (dash and (first not in _WEEKDAYS or last not in _WEEKDAYS)):
            raise ValueError(f'"{line}": "{part}" names no days; {_FORM}')
        if not dash:
            yield _DAYS[first]
            continue
        start, end = _WEEKDAYS.index(first), _WEEKDAYS.index(last)
        for ahead in range((end - start) % 7 + 1):
            yield Weekday((start + ahead) % 7)


def _day_after(day: Weekday) -> Weekday:
    """The day into which a night goes on; that of a holiday is taken to be one, too."""
    return day if day is Weekday.HOLIDAY else Weekday((day + 1) % 7)


class SpecialDays(Protocol):
    """The calendar that the hub keeps: asked again and again, for it may change."""

    def __call__(self) -> Iterable[SpecialDay]: ...


class Hours:
    """When one rule holds.

    Args:
        lines: as `read_hours` takes them; none: always.
        zone: the site's.
        special_days: public holidays and make-up workdays.
    """

    def __init__(self, lines: Sequence[str], zone: ZoneInfo, special_days: SpecialDays) -> None:
        intervals = read_hours(lines)
        heeds = any(interval.weekday is Weekday.HOLIDAY for interval in intervals)
        self._schedule = Schedule(id="hours", intervals=intervals, heeds_holidays=heeds) if lines else None
        self._zone, self._special_days = zone, special_days
        self._laid_out: tuple[date, WeekSchedule] | None = None

    def hold(self, wall_s: float) -> bool:
        """Whether the rule holds at `wall_s` seconds since the epoch."""
        if self._schedule is None:
            return True
        at = local_minute(wall_s, self._zone)
        return self._week(self._schedule, at).covers(at)

    def _week(self, schedule: Schedule, at: LocalMinute) -> WeekSchedule:
        """The week, laid out anew each day: what was a workday may have become a holiday."""
        if self._laid_out is None or self._laid_out[0] != at.day:
            special = {each.day: each.counts_as for each in self._special_days()} if schedule.heeds_holidays else {}
            self._laid_out = at.day, lay_out(schedule, special)
        return self._laid_out[1]
