"""Schedules, holidays and changes of the clocks against a slow reading of every minute."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.access.calendar import last_at, lay_out, local_minute, next_change, wall_s_of
from protocols.rules import Interval, Schedule, SpecialDay, Weekday

SHANGHAI, BERLIN = ZoneInfo("Asia/Shanghai"), ZoneInfo("Europe/Berlin")
HAVANA = ZoneInfo("America/Havana")
"""Where the clocks change at midnight."""

bounds = st.tuples(st.integers(0, 7), st.integers(0, 1439), st.integers(1, 1440)).filter(lambda i: i[1] < i[2])
weeks = st.lists(bounds, max_size=6)
days = st.dates(date(2026, 3, 20), date(2026, 4, 5))
special_days = st.dictionaries(days, st.sampled_from(Weekday), max_size=5)


def schedule(intervals: list[tuple[int, int, int]], heeds: bool = True) -> Schedule:
    made = tuple(Interval(weekday=day, since=since, until=until) for day, since, until in intervals)
    return Schedule(id="s", intervals=made, heeds_holidays=heeds)


def slowly(week: Schedule, special: tuple[SpecialDay, ...], moment: datetime) -> bool:
    """The rules of a schedule, read out."""
    kind = moment.weekday()
    for day in special:
        if week.heeds_holidays and day.day == moment.date():
            kind = day.counts_as
    minutes = moment.hour * 60 + moment.minute
    return any(each.weekday == kind and each.since <= minutes < each.until for each in week.intervals)


@settings(max_examples=300, deadline=None)
@given(
    intervals=weeks,
    heeds=st.booleans(),
    special=special_days,
    zone=st.sampled_from([SHANGHAI, BERLIN, HAVANA]),
    second=st.integers(0, 16 * 86_400),
)
def test_a_schedule_holds_as_read_out(
    intervals: list[tuple[int, int, int]], heeds: bool, special: dict[date, Weekday], zone: ZoneInfo, second: int
) -> None:
    week = schedule(intervals, heeds)
    moment = datetime(2026, 3, 20, tzinfo=UTC) + timedelta(seconds=second)

    held = lay_out(week, special).covers(local_minute(moment.timestamp(), zone))

    told = tuple(SpecialDay(day=day, counts_as=kind) for day, kind in special.items())
    assert held == slowly(week, told, moment.astimezone(zone))


@settings(max_examples=60, deadline=None)
@given(
    intervals=st.lists(bounds, min_size=1, max_size=6),
    special=special_days,
    zone=st.sampled_from([SHANGHAI, BERLIN, HAVANA]),
    minute=st.integers(0, 14 * 1440),
)
def test_the_next_change_is_the_first_minute_that_differs(
    intervals: list[tuple[int, int, int]], special: dict[date, Weekday], zone: ZoneInfo, minute: int
) -> None:
    week = lay_out(schedule(intervals), special)
    began_s = datetime(2026, 3, 20, tzinfo=UTC).timestamp() + minute * 60

    told = next_change(week, began_s, zone)

    held = week.covers(local_minute(began_s, zone))
    ahead = (began_s + 60.0 * step for step in range(1, 9 * 1440))
    slow = next((moment for moment in ahead if week.covers(local_minute(moment, zone)) != held), None)
    if slow is not None:
        assert told == slow
    else:
        assert told is None or told >= began_s + 9 * 86_400 - 60


@pytest.mark.parametrize("zone", [BERLIN, HAVANA])
@pytest.mark.parametrize("day", [date(2026, 3, 8), date(2026, 3, 29), date(2026, 10, 25), date(2026, 11, 1)])
@pytest.mark.parametrize("bounds", [(0, 30), (30, 90), (60, 120), (130, 170), (150, 1440), (180, 240), (0, 1440)])
def test_a_day_with_a_change_of_clocks_changes_when_the_wall_says(
    zone: ZoneInfo, day: date, bounds: tuple[int, int]
) -> None:
    week = lay_out(schedule([(6, *bounds)]), {})
    began_s = wall_s_of(day, 0, zone) - 7200
    minutes = [began_s + 60 * step for step in range(30 * 60)]
    held = [week.covers(local_minute(moment, zone)) for moment in minutes]
    slow = [minutes[step] for step in range(1, len(minutes)) if held[step] != held[step - 1]]

    told, moment = [], next_change(week, began_s, zone)
    while moment is not None and moment <= minutes[-1]:
        told.append(moment)
        moment = next_change(week, moment, zone)

    assert told == slow


def test_a_schedule_that_never_changes_has_no_next_change() -> None:
    always = schedule([(day, 0, 1440) for day in range(8)])

    assert next_change(lay_out(always, {}), 1_772_000_000.0, SHANGHAI) is None
    assert next_change(lay_out(schedule([]), {}), 1_772_000_000.0, SHANGHAI) is None


@pytest.mark.parametrize(
    ("second", "day"), [("2026-03-02 03:59:59", 1), ("2026-03-02 04:00:00", 2), ("2026-03-02 23:59:59", 2)]
)
def test_the_last_time_that_it_was_four_in_the_morning(second: str, day: int) -> None:
    moment = datetime.fromisoformat(second).replace(tzinfo=SHANGHAI)

    assert last_at(240, moment.timestamp(), SHANGHAI) == datetime(2026, 3, day, 4, tzinfo=SHANGHAI).timestamp()


def test_a_days_end_is_the_next_midnight() -> None:
    end = datetime(2026, 3, 3, tzinfo=SHANGHAI).timestamp()

    assert wall_s_of(date(2026, 3, 2), 1440, SHANGHAI) == wall_s_of(date(2026, 3, 3), 0, SHANGHAI) == end
