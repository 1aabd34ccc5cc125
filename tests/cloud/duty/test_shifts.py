"""Who is on duty at a moment, against a slow and obvious reference: minute by minute, by a clock that never changes."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from cloud.duty.plan import EVERY_DAY, RosterPlan, Shift, Team
from cloud.duty.shifts import Change, Roster, Version, gaps, is_kept, on_duty
from protocols.rules import Weekday

SHANGHAI = ZoneInfo("Asia/Shanghai")
MONDAY = date(2026, 11, 16)
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
NAMES = ("li", "wang", "zhang", "zhao")
SHIFTS = ("a", "b", "c")
_MINUTE = timedelta(minutes=1)


def local(day: date, hour: int, minute: int = 0) -> datetime:
    return datetime.combine(day, time(hour, minute), SHANGHAI)


def daily(since: date = MONDAY, until: date | None = None) -> RosterPlan:
    """A day of two shifts: wang by day, li by night."""
    return RosterPlan(
        since=since,
        until=until,
        shifts=(
            Shift(name="day", begins=time(8), ends=time(20), members=("wang",)),
            Shift(name="night", begins=time(20), ends=time(8), members=("li",)),
        ),
    )


def roster(*plans: RosterPlan, changes: tuple[Change, ...] = ()) -> Roster:
    return Roster("desk", tuple(Version(plan, LONG_AGO) for plan in plans), changes)


def names(found: Roster, at: datetime, calendar: dict[date, int] | None = None) -> set[str]:
    return {name for turn in on_duty([found], at, calendar or {}, SHANGHAI) for name in turn.members}


# --- A slow and obvious reference: Shanghai is eight hours ahead of UTC, all year


def slowly(rosters: list[Roster], at: datetime, calendar: dict[date, int]) -> set[str]:
    """Looks at every shift of every day around, and steps through its minutes."""
    here = at.astimezone(UTC).replace(tzinfo=None) + timedelta(hours=8)
    found: set[str] = set()
    for each in rosters:
        for back in range(4):
            day = (here - timedelta(days=back)).date()
            plan = _plan(each, day, at)
            if plan is None:
                continue
            for shift in plan.shifts:
                if _runs(shift, day, here):
                    found |= set(_workers(each, plan, shift, day, at, calendar))
    return found


def _plan(each: Roster, day: date, at: datetime) -> RosterPlan | None:
    """Writes the versions one after the other; one that covers the first day of another takes that one away."""
    held: list[RosterPlan] = []
    for version in each.versions:
        if version.written_at <= at:
            held = [one for one in held if not _covers(version.plan, one.since)] + [version.plan]
    return ([None] + [one for one in held if _covers(one, day)])[-1]


def _covers(plan: RosterPlan, day: date) -> bool:
    return plan.since <= day and (plan.until is None or day < plan.until)


def _runs(shift: Shift, day: date, here: datetime) -> bool:
    minute = datetime.combine(day, shift.begins)
    while True:
        if minute <= here < minute + _MINUTE:
            return True
        minute += _MINUTE
        if minute.time() == shift.ends:
            return False


def _workers(
    each: Roster, plan: RosterPlan, shift: Shift, day: date, at: datetime, calendar: dict[date, int]
) -> tuple[str, ...]:
    last = [one for one in each.changes if (one.day, one.shift) == (day, shift.name) and one.written_at <= at][-1:]
    if last and last[0].members is not None:
        return last[0].members
    if (calendar[day] if day in calendar else day.weekday()) not in shift.days:
        return ()
    if not plan.teams:
        return shift.members
    assert plan.anchor is not None
    monday, team = plan.anchor, 0
    while day < monday:
        monday, team = monday - timedelta(days=7), team - 1
    while day >= monday + timedelta(days=7):
        monday, team = monday + timedelta(days=7), team + 1
    return plan.teams[team % len(plan.teams)].members


days = st.integers(-9, 9).map(lambda count: MONDAY + timedelta(days=count))
members = st.lists(st.sampled_from(NAMES), max_size=3, unique=True).map(tuple)
clocks = st.sampled_from([time(0), time(0, 1), time(7, 59), time(8), time(20), time(23, 59)])
moments = st.tuples(days, clocks | st.times().map(lambda each: each.replace(second=0, microsecond=0))).map(
    lambda each: datetime.combine(*each, SHANGHAI)
)


@st.composite
def plans(draw: st.DrawFn) -> RosterPlan:
    since = draw(days)
    teams = draw(st.lists(members, max_size=3))
    shifts = tuple(
        Shift(
            name=name,
            begins=draw(clocks),
            ends=draw(clocks),
            days=draw(st.just(EVERY_DAY) | st.lists(st.sampled_from(Weekday), min_size=1, unique=True).map(tuple)),
            members=() if teams else draw(members),
        )
        for name in draw(st.lists(st.sampled_from(SHIFTS), max_size=3, unique=True))
    )
    return RosterPlan(
        since=since,
        until=draw(st.none() | st.integers(1, 12).map(lambda count: since + timedelta(days=count))),
        shifts=shifts,
        teams=tuple(Team(name=str(number), members=each) for number, each in enumerate(teams)),
        anchor=draw(days) if teams else None,
    )


@st.composite
def rosters(draw: st.DrawFn) -> Roster:
    """Written one after the other, some of it only around the moments that are asked for."""
    written = sorted(draw(st.lists(st.just(LONG_AGO) | moments, max_size=6)))
    versions = tuple(Version(draw(plans()), at) for at in written)
    change = st.tuples(days, st.sampled_from(SHIFTS), st.none() | members)
    changed = sorted(draw(st.lists(st.just(LONG_AGO) | moments, max_size=6)))
    return Roster("r", versions, tuple(Change(*draw(change), at) for at in changed))


@settings(max_examples=400, deadline=None)
@given(st.lists(rosters(), max_size=3), moments, st.dictionaries(days, st.sampled_from(Weekday), max_size=4))
def test_it_is_what_one_finds_by_going_through_every_minute(
    found: list[Roster], at: datetime, calendar: dict[date, int]
) -> None:
    turns = on_duty(found, at, calendar, SHANGHAI)
    assert {name for turn in turns for name in turn.members} == slowly(found, at, calendar)


@settings(max_examples=150, deadline=None)
@given(st.lists(rosters(), max_size=2), moments, st.integers(1, 60), st.sets(st.sampled_from(NAMES)))
def test_gaps_are_where_nobody_is_on_duty(found: list[Roster], since: datetime, hours: int, able: set[str]) -> None:
    until = since + timedelta(hours=hours)
    late = [
        Roster(
            each.code,
            tuple(Version(version.plan, LONG_AGO) for version in each.versions),
            tuple(Change(one.day, one.shift, one.members, LONG_AGO) for one in each.changes),
        )
        for each in found
    ]
    told = gaps(late, since, until, frozenset(able), {}, SHANGHAI)
    assert all(since <= begins < ends <= until for begins, ends in told)
    for step in range(0, hours * 60, 17):
        at = since + step * _MINUTE
        on = {name for turn in on_duty(late, at, {}, SHANGHAI) for name in turn.members}
        is_gap = any(is_kept(each, at, SHANGHAI) for each in late) and not able & on
        assert any(begins <= at < ends for begins, ends in told) is is_gap, at


# --- By example


def test_a_night_shift_belongs_to_the_day_on_which_it_begins() -> None:
    found = roster(daily())
    tuesday = MONDAY + timedelta(days=1)
    assert names(found, local(MONDAY, 7, 59)) == set(), "the first night has not begun"
    assert names(found, local(MONDAY, 8)) == {"wang"}
    assert names(found, local(MONDAY, 20)) == names(found, local(tuesday, 0)) == {"li"}
    assert names(found, local(tuesday, 7, 59)) == {"li"}
    assert names(found, local(tuesday, 8)) == {"wang"}


def test_the_last_night_is_worked_to_its_end() -> None:
    found = roster(daily(until=MONDAY + timedelta(days=1)))
    after = MONDAY + timedelta(days=1)
    assert names(found, local(after, 7, 59)) == {"li"}
    assert not is_kept(found, local(after, 7, 59), SHANGHAI)
    assert names(found, local(after, 8)) == set()


def test_a_roster_that_is_written_again_with_an_end_ends_and_one_before_it_leaves_it() -> None:
    after = MONDAY + timedelta(days=3)
    ended = roster(daily(), daily(until=after))
    assert names(ended, local(after, 10)) == set()
    assert not is_kept(ended, local(after, 10), SHANGHAI)
    week_before = daily(since=MONDAY - timedelta(days=7), until=MONDAY)
    assert names(roster(daily(), week_before), local(after, 10)) == {"wang"}


def test_departments_take_turns_week_by_week_before_and_after_the_anchor() -> None:
    turns = RosterPlan(
        since=date(2026, 1, 1),
        anchor=MONDAY,
        teams=(Team(name="民政科", members=("li",)), Team(name="司法所", members=("wang",))),
        shifts=(Shift(name="whole", begins=time(9), ends=time(9)),),
    )
    found = roster(turns)
    assert names(found, local(MONDAY, 8, 59)) == {"wang"}, "Sunday's shift runs until nine"
    assert names(found, local(MONDAY, 9)) == {"li"}
    assert names(found, local(MONDAY + timedelta(days=7), 8)) == {"li"}
    assert names(found, local(MONDAY + timedelta(days=7), 9)) == {"wang"}
    assert names(found, local(MONDAY - timedelta(days=14), 9)) == {"li"}


def test_the_holiday_calendar_moves_days() -> None:
    office = Shift(name="office", begins=time(9), ends=time(17), days=tuple(Weekday)[:5], members=("li",))
    festival = Shift(name="festival", begins=time(9), ends=time(17), days=(Weekday.HOLIDAY,), members=("wang",))
    found = roster(RosterPlan(since=MONDAY, shifts=(office, festival)))
    saturday = MONDAY + timedelta(days=5)
    calendar = {MONDAY: int(Weekday.HOLIDAY), saturday: int(Weekday.MONDAY)}
    assert names(found, local(MONDAY, 10), calendar) == {"wang"}
    assert names(found, local(saturday, 10), calendar) == {"li"}
    assert names(found, local(saturday, 10)) == set()


def test_what_is_written_later_does_not_change_who_was_on_duty() -> None:
    at = local(MONDAY, 10)
    swap = Change(MONDAY, "day", ("zhang",), at + _MINUTE)
    back = Change(MONDAY, "day", None, at + 5 * _MINUTE)
    found = roster(daily(), changes=(swap, back))
    assert [names(found, at + count * _MINUTE) for count in (0, 1, 4, 5)] == [{"wang"}, {"zhang"}, {"zhang"}, {"wang"}]


def test_a_clock_that_is_put_forward_shortens_the_night() -> None:
    """Berlin, 29 March 2026: two o'clock is three o'clock."""
    berlin = ZoneInfo("Europe/Berlin")
    night = Shift(name="night", begins=time(22), ends=time(6), members=("li",))
    found = Roster("r", (Version(RosterPlan(since=date(2026, 3, 1), shifts=(night,)), LONG_AGO),))
    begins = datetime(2026, 3, 28, 21, tzinfo=UTC)
    [turn] = on_duty([found], begins, {}, berlin)
    assert (turn.since, turn.until) == (begins, begins + timedelta(hours=7))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"since": "2026-12-01", "until": "2026-12-01"}, "ends before it begins"),
        ({"since": "2026-12-01", "anchor": "2026-12-01"}, "belong together"),
        ({"since": "2026-12-01", "teams": [{"name": "x", "members": []}]}, "belong together"),
        ({"since": "2026-12-01", "shifts": [{"name": "x", "begins": "08:00:01", "ends": "09:00"}]}, "whole minutes"),
    ],
)
def test_a_plan_that_means_nothing_is_refused(values: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        RosterPlan.model_validate(values)
