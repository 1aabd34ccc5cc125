"""Alarms and matters go with all that hangs on them, once they are closed for their days, and no other way."""

import hashlib
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from pydantic import ValidationError
from sqlalchemy import Executable, delete, func, insert, select, text, update
from sqlalchemy.exc import DatabaseError

from cloud.accounts.scope import WHOLE
from cloud.alarms.figures import check_whole
from cloud.alarms.monthly import CHINA, MonthlyFigures, month_bounds, monthly_figures
from cloud.alarms.states import Outcome
from cloud.database.engine import Database
from cloud.database.tables import (
    Alarm,
    AlarmEvidence,
    AlarmStep,
    AlarmTold,
    AuditEntry,
    Base,
    EventRecord,
    Notice,
    NoticeMessage,
    PersonHold,
    WorkOrder,
)
from cloud.media.store import PictureStore
from cloud.register.errors import RegisterError
from cloud.retention import RetentionDays
from cloud.retention.service import BATCH
from protocols.access_events import DoorForced
from protocols.commands import EvidenceHold
from tests.cloud.media.test_retention import NOW, command, service
from tests.support.alarms import Clock
from tests.support.events import new_id
from tests.support.matters import Town

DAY = timedelta(days=1)
OLD, YOUNG = 1096, 1094
"""Days since it was closed: beyond the 1095 that are kept, and within them."""


def days_ago(days: float) -> datetime:
    return NOW - days * DAY


@pytest.fixture
def town(database: Database) -> Town:
    return Town(database, clock=Clock(days_ago(OLD + 300)))


@pytest.fixture
def retain(database: Database, tmp_path: Path) -> Callable[[], dict[str, int]]:
    return service(database, PictureStore(tmp_path / "pictures", database, lambda: NOW)).run_once


def raised(town: Town, days: float, side: str = "east") -> UUID:
    """An alarm that a door raises so many days ago."""
    town.clock.at = days_ago(days)
    before = {alarm.id for alarm in town.alarms()}
    device = {"device": f"d-{side}", "place": f"gate-{side}"}
    town.store(town.gateways[side].event(DoorForced(), **device, at=town.clock()))
    town.tick()
    [new] = [alarm.id for alarm in town.alarms() if alarm.id not in before]
    return new


def close(town: Town, alarm: UUID, who: str = "guard-east") -> UUID:
    actor = town.actor(who)
    town.desk.acknowledge(alarm, actor)
    town.desk.close(alarm, actor, Outcome.FALSE_ALARM, "Mrs. Zhang said that it was the wind")
    return alarm


def entered(town: Town, days: float) -> UUID:
    """A matter that is entered so many days ago, with an order that is done."""
    town.clock.at = days_ago(days)
    matter = town.id_of(town.enter(place=None, grid="grid-1"))
    order = town.orders.give(matter, town.actor("centre-east"), "li", "look at it", town.clock() + DAY)
    town.orders.accept(order, town.actor("li"), "on my way")
    town.orders.finish(order, town.actor("li"), "Mrs. Zhang has a new lamp")
    return matter


def hang(database: Database, alarm: UUID, **evidence: Any) -> None:
    """A notice that was sent, a clip's hold that is over, and an order: what the hub writes beside an alarm."""
    at = days_ago(OLD)
    message, told = new_id(), {"channel": "hook", "recipient": ""}
    rows: list[tuple[type[Base], dict[str, Any]]] = [
        (NoticeMessage, {"id": message, **told, "made_at": at, "state": "sent", "attempts": 1, "ended_at": at}),
        (
            Notice,
            {"id": new_id(), **told, "alarm_id": alarm, "step": 1, "level": 0, "priority": 2}
            | {"made_at": at, "due_at": at, "message_id": message},
        ),
        (
            AlarmEvidence,
            {"id": new_id(), "alarm_id": alarm, "gateway_id": "gw-east", "camera": "c-east", "clip_id": new_id()}
            | {"since": at, "until": at, "asked": True, "ending": True, "try_at": at, "tries": 0, "ended_at": at}
            | evidence,
        ),
        (
            WorkOrder,
            {"id": new_id(), "alarm_id": alarm, "assignee_id": new_id(), "given_by": new_id(), "what": "look"}
            | {"given_at": at, "due_at": at, "state": "done", "ended_at": at, "revision": 3},
        ),
    ]
    with database.write() as connection:
        for table, values in rows:
            connection.execute(insert(table).values(**values))


def hanging(database: Database, alarm: UUID) -> dict[str, int]:
    """How many rows of each table name the alarm by a foreign key."""
    keys = [key for table in Base.metadata.tables.values() for key in table.foreign_keys]
    of_alarm = [key.parent for key in keys if key.column.table.name == "alarm"]
    with database.read() as connection:
        return {
            column.table.name: connection.execute(select(func.count()).where(column == alarm)).scalar_one()
            for column in of_alarm
        }


def kept(database: Database) -> set[UUID]:
    with database.read() as connection:
        return set(connection.scalars(select(Alarm.id)))


def test_a_closed_alarm_goes_after_its_days_with_all_that_hangs_on_it(
    town: Town, retain: Callable[[], dict[str, int]]
) -> None:
    old = close(town, raised(town, OLD))
    young = close(town, raised(town, YOUNG))
    for alarm in (old, young):
        hang(town.database, alarm)
    before = hanging(town.database, young)

    counts = retain()

    assert (counts["alarms"], counts["matters"]) == (1, 0)
    assert kept(town.database) == {young}
    assert hanging(town.database, old) == dict.fromkeys(before, 0)
    assert hanging(town.database, young) == {**before, "notice": 0}, "which has days of its own"
    assert all(number for table, number in before.items() if table != "matter"), "else this test could not fail"


def test_a_closed_matter_goes_likewise_with_its_text_and_its_orders(
    town: Town, retain: Callable[[], dict[str, int]]
) -> None:
    old = close(town, entered(town, OLD), "centre-east")
    young = close(town, entered(town, YOUNG), "centre-east")
    before = hanging(town.database, young)
    assert min(before[each] for each in ("matter", "work_order", "alarm_step", "alarm_told")) > 0

    counts = retain()

    assert (counts["alarms"], counts["matters"], counts["reporters"]) == (0, 1, 2)
    assert kept(town.database) == {young}
    assert hanging(town.database, old) == dict.fromkeys(before, 0)
    assert hanging(town.database, young) == before
    [row] = town.rows()
    assert town.matters.show(row.number, WHOLE).text == "the lamp on the stairs is out"


def test_what_is_not_closed_stays_however_old(town: Town, retain: Callable[[], dict[str, int]]) -> None:
    alarm, matter = raised(town, OLD + 200), entered(town, OLD + 100)
    assert (retain()["alarms"], retain()["matters"]) == (0, 0)
    assert kept(town.database) == {alarm, matter}


def test_each_has_days_of_its_own(town: Town, database: Database, tmp_path: Path) -> None:
    alarm, matter = close(town, raised(town, 500)), close(town, entered(town, 450), "centre-east")
    pictures = PictureStore(tmp_path / "pictures", database, lambda: NOW)
    first = service(database, pictures, days=RetentionDays(alarms=480)).run_once()
    assert ((first["alarms"], first["matters"]), kept(database)) == ((1, 0), {matter})
    second = service(database, pictures, days=RetentionDays(matters=430)).run_once()
    assert ((second["alarms"], second["matters"]), kept(database)) == ((0, 1), set())
    assert alarm != matter


def test_a_hold_of_a_gateway_s_evidence_keeps_its_alarms_of_that_time(
    town: Town, retain: Callable[[], dict[str, int]]
) -> None:
    at = days_ago(OLD + 10)
    inside = close(town, raised(town, OLD + 10))
    close(town, raised(town, OLD + 10, "west"), "guard-west")
    close(town, raised(town, OLD + 5))
    hour = timedelta(hours=1)
    hold = EvidenceHold(hold=new_id(), active=True, camera="c-east", since=at - hour, until=at + hour)
    command(town.database, hold, NOW - DAY, "done", "gw-east")

    assert retain()["alarms"] == 2
    assert kept(town.database) == {inside}
    assert hanging(town.database, inside)["alarm_step"] > 0

    command(town.database, hold.model_copy(update={"active": False}), NOW, "done", "gw-east")
    assert retain()["alarms"] == 1
    assert kept(town.database) == set()


def test_a_hold_of_a_person_s_data_keeps_the_events_and_the_alarms_that_they_raised(
    town: Town, retain: Callable[[], dict[str, int]]
) -> None:
    held, other = close(town, raised(town, OLD)), close(town, raised(town, OLD, "west"), "guard-west")
    person, someone = town.add_person(), town.add_person()
    events = {alarm.id: alarm.first_event_id for alarm in town.alarms()}
    case = {"id": new_id(), "person_id": person, "case_number": "2026-17", "purpose": "a theft", "held_at": NOW}
    with town.database.write() as connection:
        for alarm, who in ((held, person), (other, someone)):
            connection.execute(update(EventRecord).where(EventRecord.id == events[alarm]).values(person_id=who))
        connection.execute(insert(PersonHold).values(**case))

    counts = retain()

    assert (counts["events"], counts["alarms"]) == (1, 1)
    assert kept(town.database) == {held}
    with town.database.write() as connection:
        assert connection.scalars(select(EventRecord.id)).all() == [events[held]]
        connection.execute(update(PersonHold).values(ended_at=NOW))
    counts = retain()
    assert (counts["events"], counts["alarms"]) == (1, 1)
    assert kept(town.database) == set()


def test_an_alarm_stays_until_its_gateway_has_let_its_clips_go(
    town: Town, retain: Callable[[], dict[str, int]]
) -> None:
    alarm = close(town, raised(town, OLD))
    hang(town.database, alarm, ended_at=None)
    assert retain()["alarms"] == 0
    with town.database.write() as connection:
        connection.execute(update(AlarmEvidence).values(ended_at=NOW))
    assert retain()["alarms"] == 1


def test_an_alarm_with_a_young_step_stays_and_stops_nothing_else(
    town: Town, retain: Callable[[], dict[str, int]]
) -> None:
    odd, other = close(town, raised(town, OLD + 1)), close(town, raised(town, OLD))
    step = {"number": 9, "origin": "hub", "move": "noted", "note": "the clock was set back", "detail": {}}
    with town.database.write() as connection:
        connection.execute(insert(AlarmStep).values(**step, alarm_id=odd, at=NOW))
    assert retain()["alarms"] == 1
    assert kept(town.database) == {odd} != {other}


def test_the_audit_proves_which_went(town: Town, retain: Callable[[], dict[str, int]]) -> None:
    alarms = [close(town, raised(town, OLD + 3 - number)) for number in range(3)]
    matter = close(town, entered(town, OLD), "centre-east")
    retain()
    with town.database.read() as connection:
        detail = connection.execute(select(AuditEntry.detail).where(AuditEntry.action == "retention")).scalar_one()
    assert (detail["alarms"], detail["matters"]) == (3, 1)
    for what, ids in (("alarms", alarms), ("matters", [matter])):
        assert detail[f"{what}_sha256"] == hashlib.sha256("".join(f"{each}\n" for each in ids).encode()).hexdigest()


def test_many_go_in_batches(town: Town, retain: Callable[[], dict[str, int]]) -> None:
    old = close(town, raised(town, OLD))
    number = 2 * BATCH + 10
    with town.database.write() as connection:
        row = connection.execute(select(Alarm.__table__).where(Alarm.id == old)).one()
        rows = [{**row._mapping, "id": new_id(), "closed_at": row.closed_at - each * DAY} for each in range(number)]
        connection.execute(insert(Alarm), rows)
        step = {"number": 1, "at": row.raised_at, "origin": "hub", "move": "raised", "note": "", "detail": {}}
        connection.execute(insert(AlarmStep), [{**step, "alarm_id": each["id"]} for each in rows])
    assert retain()["alarms"] == number + 1
    assert kept(town.database) == set()
    with town.database.read() as connection:
        assert connection.execute(select(func.count()).select_from(AlarmStep)).scalar_one() == 0


CHANGES: Sequence[Executable] = (
    delete(AlarmStep),
    delete(Alarm),
    update(AlarmStep).values(at=days_ago(100)),
    update(AlarmStep).values(note="never happened"),
)


@pytest.mark.parametrize("days", [29, None], ids=["closed for 29 days", "open"])
@pytest.mark.parametrize("change", CHANGES)
def test_the_database_refuses_before_a_month_is_over(town: Town, change: Executable, days: int | None) -> None:
    alarm = raised(town, 300)
    if days is not None:
        town.clock.at = days_ago(days)
        close(town, alarm)
    steps = town.steps(alarm)
    with town.database.write() as connection:
        connection.execute(delete(AlarmTold))  # what has no trigger is not what refuses here
    with pytest.raises(DatabaseError, match="alarms and their steps stay"), town.database.write() as connection:
        connection.execute(change)
    assert (town.steps(alarm), kept(town.database)) == (steps, {alarm})


def test_after_it_the_database_lets_them_go_and_still_refuses_changes(town: Town) -> None:
    alarm = close(town, raised(town, 31))
    changes = [*CHANGES[2:], update(Alarm).values(closed_at=None), update(Alarm).values(closed_at=days_ago(60))]
    if town.database.dialect == "postgresql":
        changes += [text("TRUNCATE alarm_step"), text("TRUNCATE alarm CASCADE")]
    for change in changes:
        with pytest.raises(DatabaseError, match="alarms and their steps stay"), town.database.write() as connection:
            connection.execute(change)
    with town.database.write() as connection:
        for table in (AlarmTold, AlarmStep, Alarm):
            connection.execute(delete(table))
    assert kept(town.database) == set()
    assert town.steps(alarm) == []


def figures(database: Database, month: str) -> list[MonthlyFigures]:
    with database.read() as connection:
        return list(monthly_figures(connection, WHOLE, month))


def test_figures_of_months_that_are_told_stay_as_they_were(town: Town, retain: Callable[[], dict[str, int]]) -> None:
    first = (days_ago(1095).astimezone(CHINA).replace(day=1) + timedelta(days=32)).replace(day=1)
    month, earlier = f"{first:%Y-%m}", f"{first - DAY:%Y-%m}"
    begins = month_bounds(month)[0]
    for at in (begins - 40 * DAY, begins - timedelta(seconds=1), begins + timedelta(seconds=1), begins + 20 * DAY):
        close(town, raised(town, (NOW - at) / DAY))
        close(town, entered(town, (NOW - at) / DAY), "centre-east")
    before = figures(town.database, month)
    assert sum(each.number for each in before if each.centre == "east-village") == 4

    assert retain()["alarms"] > 0

    assert figures(town.database, month) == before
    check_whole("month", begins, NOW, RetentionDays().figures)
    with pytest.raises(RegisterError, match="would not be whole"):
        check_whole("month", month_bounds(earlier)[0], NOW, RetentionDays().figures)


def test_days_are_bounded_by_what_figures_look_back_on() -> None:
    least = RetentionDays(alarms=430, matters=500).figures
    assert least == 430 * DAY
    check_whole("since", NOW - 400 * DAY, NOW, least)
    for month in range(1, 13):
        now = month_bounds(f"2025-{month:02}")[1] - timedelta(seconds=1)
        check_whole("month", month_bounds(f"2024-{month:02}")[0], now, least)
    for which in ("alarms", "matters"):
        with pytest.raises(ValidationError):
            RetentionDays(**{which: 429})
