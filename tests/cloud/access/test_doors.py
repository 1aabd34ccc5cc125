"""Doors, readers, areas, schedules, groups and holidays: what is accepted, and what is refused with which field."""

from datetime import date

import pytest
from pydantic import ValidationError
from sqlalchemy import insert

from cloud.access import areas, doors, groups, holidays, schedules
from cloud.access.errors import InUse, NotThere
from cloud.access.values.base import DoorKeyValue
from cloud.access.values.doors import AreaChange, DoorChange, ReaderValue, RuleValue
from cloud.access.values.weeks import GroupChange, IntervalValue, ScheduleChange
from cloud.database import tables
from cloud.database.engine import Database
from cloud.register.change import Change
from cloud.register.doors import DoorKey
from cloud.register.errors import RegisterError
from cloud.register.ids import IdMaker
from protocols.access_events import AccessMethod
from protocols.rules import AntiPassback
from tests.support import register as given

LOBBY, GATE = DoorKey("east", "d-lobby"), DoorKey("east", "d-gate")
CARD = RuleValue(methods=(AccessMethod.CARD,))


@pytest.fixture
def site(database: Database) -> Database:
    """A gateway with two doors in a group."""
    with database.write() as connection:
        given.add_gateway(connection, "east")
        given.add_doors(connection, "east", {"residents": ["d-lobby", "d-gate"]})
    return database


def test_a_door_is_shown_with_its_rule_readers_and_groups(site: Database) -> None:
    with site.write() as connection:
        areas.put_area(connection, "garage", AreaChange(name="车库", anti_passback=AntiPassback.HARD))
        rule = RuleValue(methods=(AccessMethod.CARD, AccessMethod.CARD_PIN), card_alone="always")
        assert doors.put_rule(connection, LOBBY, rule) is Change.ADDED
        assert doors.put_rule(connection, LOBBY, rule) is Change.UNCHANGED
        reader = ReaderValue(device="r-in", name="in", leads="into", area="garage")
        assert doors.put_reader(connection, LOBBY, reader) is Change.ADDED
        found = doors.door(connection, LOBBY)
        assert (found.rule, found.readers, found.groups) == (rule, (reader,), ("residents",))
        assert areas.gateways_of(connection, "garage") == ["east"]
        assert [each.device for each in doors.list_doors(connection)] == ["d-gate", "d-lobby"]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"methods": ["face"]}, "a face, finger, palm or vein may never be the only way in"),
        ({"methods": ["fingerprint"]}, "a face, finger, palm or vein may never be the only way in"),
        ({"methods": ["face", "palm", "vein"]}, "a face, finger, palm or vein may never be the only way in"),
        ({"methods": []}, "methods"),
        ({"methods": ["card", "card"]}, "each at most once"),
        ({"methods": ["card"], "card_alone": "always"}, "card_pin"),
        ({"methods": ["card"], "first_card_frees": True}, "first_card"),
    ],
)
def test_a_rule_that_makes_no_sense_cannot_be_said(fields: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        RuleValue.model_validate(fields)


def test_references_are_checked_and_named(site: Database) -> None:
    with site.write() as connection:
        for field in ("card_alone", "free", "first_card"):
            methods = (AccessMethod.CARD, AccessMethod.CARD_PIN)
            with pytest.raises(RegisterError, match="no schedule 'nights'") as caught:
                doors.put_rule(connection, LOBBY, RuleValue.model_validate({"methods": methods, field: "nights"}))
            assert caught.value.field == field
        with pytest.raises(RegisterError, match="no area 'roof'") as caught:
            doors.put_reader(connection, LOBBY, ReaderValue(device="r", name="r", leads="into", area="roof"))
        assert caught.value.field == "area"
        with pytest.raises(NotThere, match="no door east/d-none"):
            doors.put_rule(connection, DoorKey("east", "d-none"), CARD)
        with pytest.raises(RegisterError, match="no gateway"):
            doors.put_door(connection, IdMaker(), DoorKey("west", "d"), DoorChange(place="east-d-gate", name="x"))
        change = GroupChange(name="x", schedule="always", doors=(DoorKeyValue(gateway="east", device="d-none"),))
        with pytest.raises(RegisterError, match="no door east/d-none"):
            groups.put_group(connection, "x", change)


def test_a_reader_belongs_to_one_door_of_its_gateway(site: Database) -> None:
    with site.write() as connection:
        doors.put_reader(connection, LOBBY, ReaderValue(device="r1", name="r"))
        with pytest.raises(RegisterError, match="d-lobby has this reader"):
            doors.put_reader(connection, GATE, ReaderValue(device="r1", name="r"))
        doors.remove_reader(connection, LOBBY, "r1")
        assert doors.put_reader(connection, GATE, ReaderValue(device="r1", name="r")) is Change.ADDED
        with pytest.raises(NotThere):
            doors.remove_reader(connection, LOBBY, "r1")


def test_what_something_names_does_not_go(site: Database) -> None:
    with site.write() as connection:
        week = ScheduleChange(name="夜", intervals=(IntervalValue(weekday=7, since=0, until=60),))
        schedules.put_schedule(connection, "nights", week)
        areas.put_area(connection, "garage", AreaChange(name="车库"))
        doors.put_reader(connection, GATE, ReaderValue(device="r1", name="r", leads="into", area="garage"))
        doors.put_rule(connection, LOBBY, RuleValue(methods=(AccessMethod.CARD,), free="nights"))
        [card] = given.add_credentials(connection, given.add_person(connection), ["w26:1:1"], ["residents"])
        with pytest.raises(InUse, match="door east/d-lobby"):
            schedules.remove_schedule(connection, "nights")
        with pytest.raises(InUse, match="group residents"):
            schedules.remove_schedule(connection, "always")
        with pytest.raises(InUse, match="east/r1 leads into"):
            areas.remove_area(connection, "garage")
        with pytest.raises(InUse, match="1 credentials"):
            groups.remove_group(connection, "residents")
        with pytest.raises(InUse, match="group residents holds"):
            doors.remove_door(connection, GATE)
        groups.put_group(connection, "residents", GroupChange(name="x", schedule="always", doors=()))
        doors.remove_door(connection, GATE)
        doors.remove_rule(connection, LOBBY)
        schedules.remove_schedule(connection, "nights")
        areas.remove_area(connection, "garage")
        assert [each.credentials for each in groups.list_groups(connection)] == [1]
        assert card


def test_a_schedule_keeps_holidays_and_its_intervals(site: Database) -> None:
    week = ScheduleChange(
        name="夜",
        heeds_holidays=True,
        intervals=(IntervalValue(weekday=0, since=0, until=60), IntervalValue(weekday=7, since=0, until=1440)),
    )
    with site.write() as connection:
        schedules.put_schedule(connection, "nights", week)
        found = schedules.schedule(connection, "nights")
        assert found.model_dump(exclude={"code"}) == week.model_dump()
        assert [each.code for each in schedules.list_schedules(connection)] == ["always", "nights"]


def test_the_calendar_of_2026_that_comes_along(site: Database) -> None:
    days = holidays.read_shipped("china-2026")
    with site.write() as connection:
        assert holidays.put_holidays(connection, days)[Change.ADDED] == 39
        assert holidays.put_holidays(connection, days)[Change.UNCHANGED] == 39
        found = {each.day: each.counts_as for each in holidays.list_holidays(connection, 2026)}
        assert holidays.list_holidays(connection, 2025) == []
    off = [day for day, counts_as in found.items() if counts_as == 7]
    assert len(off) == 3 + 9 + 3 + 5 + 3 + 3 + 7  # as the notice counts them
    for day, counts_as in found.items():
        if counts_as != 7:
            assert day.weekday() in (5, 6)  # a make-up workday is a weekend's day
            assert counts_as == (4 if day.weekday() == 5 else 0)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("day,kind\n", "the first line"),
        ("day,counts_as,name\n2026-13-01,holiday,x\n", "line 2"),
        ("day,counts_as,name\n2026-10-01,feast,x\n", "line 2"),
        ("day,counts_as,name\n2026-10-01,holiday,\n", "line 2"),
        ("day,counts_as,name\n2026-10-01,holiday,x\n2026-10-01,monday,x\n", "line 3: 2026-10-01 stands there twice"),
        ("x" * 300_000, "bytes"),
    ],
)
def test_a_faulty_calendar_is_refused_with_its_line(text: str, said: str) -> None:
    with pytest.raises(RegisterError, match=said):
        holidays.read_calendar(text)


def test_a_day_is_removed_once(site: Database) -> None:
    with site.write() as connection:
        connection.execute(insert(tables.SpecialDay).values(day=date(2026, 10, 1), counts_as=7, name="国庆节"))
        holidays.remove_holiday(connection, date(2026, 10, 1))
        with pytest.raises(NotThere):
            holidays.remove_holiday(connection, date(2026, 10, 1))
