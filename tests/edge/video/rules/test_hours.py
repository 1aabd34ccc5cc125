"""Hours as a person writes them, against a slow reading of every minute."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.video.rules.hours import Hours, read_hours
from protocols.rules import SpecialDay, Weekday
from tests.edge.video.rules.scenes import SHANGHAI

NAMES = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MONDAY = datetime(2026, 5, 4, tzinfo=SHANGHAI)
minutes = st.integers(0, 24 * 60)
lines = st.tuples(st.integers(0, 6), st.integers(0, 6), minutes, minutes)


def written(first: int, last: int, since: int, until: int) -> str:
    times = [f"{m // 60:02d}:{m % 60:02d}" for m in (since, until)]
    return f"{NAMES[first]}-{NAMES[last]} {times[0]}-{times[1]}"


def slowly(line: tuple[int, int, int, int], moment: datetime) -> bool:
    """A day's hours last from `since` until `until`, which is the next day's where it is not later."""
    first, last, since, until = line
    days = [(first + n) % 7 for n in range((last - first) % 7 + 1)]
    for back in (0, 1):
        day = moment - timedelta(days=back)
        minute = back * 1440 + moment.hour * 60 + moment.minute
        end = until if since < until else until + 1440
        if day.weekday() in days and since <= minute < end:
            return True
    return False


@given(st.lists(lines, min_size=1, max_size=4), st.integers(0, 7 * 1440 - 1))
def test_hours_hold_as_they_read(written_lines: list[tuple[int, int, int, int]], minute: int) -> None:
    moment = MONDAY + timedelta(minutes=minute)
    hours = Hours([written(*line) for line in written_lines], SHANGHAI, tuple)
    assert hours.hold(moment.timestamp()) == any(slowly(line, moment) for line in written_lines)


def test_no_hours_are_always() -> None:
    assert Hours([], SHANGHAI, tuple).hold(0.0)


def test_a_list_of_days_and_spaces_are_understood() -> None:
    hours = Hours(["mon, wed-thu 08:00 - 12:00"], SHANGHAI, tuple)
    held = [hours.hold((MONDAY + timedelta(days=day, hours=9)).timestamp()) for day in range(7)]
    assert held == [True, False, True, True, False, False, False]


def test_a_holiday_has_its_own_hours_and_a_make_up_day_those_of_its_weekday() -> None:
    special = (
        SpecialDay(day=date(2026, 5, 5), counts_as=Weekday.HOLIDAY),
        SpecialDay(day=date(2026, 5, 9), counts_as=Weekday.TUESDAY),
    )
    hours = Hours(["mon-fri 08:00-18:00", "holiday 22:00-24:00"], SHANGHAI, lambda: special)
    working = [hours.hold((MONDAY + timedelta(days=day, hours=9)).timestamp()) for day in range(7)]
    assert working == [True, False, True, True, True, True, False]
    assert hours.hold((MONDAY + timedelta(days=1, hours=23)).timestamp())


def test_a_calendar_that_comes_later_is_heeded_from_the_next_day_on() -> None:
    days: list[SpecialDay] = []
    hours = Hours(["holiday 00:00-24:00"], SHANGHAI, lambda: days)
    noon = datetime(2026, 5, 4, 12, tzinfo=UTC)
    assert not hours.hold(noon.timestamp())
    days.append(SpecialDay(day=date(2026, 5, 5), counts_as=Weekday.HOLIDAY))
    assert hours.hold((noon + timedelta(days=1)).timestamp())


@pytest.mark.parametrize(
    "line",
    ["22:00-06:00", "mon 25:00-26:00", "mon 22:60-23:00", "moon 08:00-09:00", "mon-holiday 01:00-02:00", "mon 8-9"],
)
def test_what_cannot_be_read_is_named_with_the_way_to_write_it(line: str) -> None:
    with pytest.raises(ValueError, match="write e") as caught:
        read_hours([line])
    assert line in str(caught.value)
