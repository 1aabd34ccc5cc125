"""Handing over: what is open is listed by the hub, one alone accepts it, and what nobody accepts is seen."""

import threading
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from prometheus_client import CollectorRegistry
from pydantic import ValidationError
from sqlalchemy import text
from sqlalchemy.exc import DatabaseError

from cloud.access.errors import NotNow
from cloud.alarms.reach import EVERYTHING, Sees
from cloud.alarms.states import Level
from cloud.audit import AuditLog
from cloud.database.engine import Database
from cloud.database.tables import AccountRole
from cloud.duty.chores import DutyChores
from cloud.duty.desk import NoSuchCentre, Planner
from cloud.duty.handover import AlreadyAccepted, NoSuchHandover, accept_handover, read_handovers, write_handover
from cloud.duty.values import HandoverRow
from cloud.media.clips import ClipStore
from cloud.media.store import PictureStore
from cloud.retention import RetentionDays, RetentionService
from protocols.access_events import DoorForced
from tests.support.alarms import START
from tests.support.console import utc_now
from tests.support.duty import Duties, plan, shift
from tests.support.events import new_id
from tests.support.matters import Town

LIMIT = timedelta(minutes=30)


class Desk:
    """The eastern village's centre and the post of its compound, with two of the staff of each."""

    def __init__(self, database: Database) -> None:
        self.town = Town(database)
        self.duties = Duties(self.town)
        self.centre = self.duties.centre("east-village", Level.COMMUNITY)
        self.post = self.duties.centre("east-garden", Level.GUARD)

    def who(self, name: str) -> Planner:
        actor = self.town.actor(name)
        return Planner(actor.account_id, actor.scope, self.town.clock(), new_id)

    def write(self, name: str, centre: UUID, note: str = "all quiet") -> UUID:
        sees = self.town.actor(name).sees
        with self.town.database.write() as connection:
            return write_handover(connection, self.who(name), sees, centre, note, "lift 3 is off", LIMIT)

    def accept(self, name: str, handover: UUID) -> None:
        with self.town.database.write() as connection:
            accept_handover(connection, self.who(name), handover, "thanks")

    def read(self, name: str, sees: Sees = EVERYTHING, *, waiting: bool = False) -> list[HandoverRow]:
        with self.town.database.read() as connection:
            return read_handovers(connection, self.who(name).scope, sees, self.town.clock(), waiting=waiting)

    def one(self, handover: UUID) -> HandoverRow:
        return next(each for each in self.read("district") if each.id == handover)


@pytest.fixture
def desk(database: Database) -> Desk:
    return Desk(database)


def happen(desk: Desk) -> None:
    """A door forced in the east, which climbs to the township; another just now; one in the west."""
    town = desk.town
    east, west = town.gateways["east"], town.gateways["west"]
    town.store(east.event(DoorForced(), device="d-1", place="gate-east", at=town.clock()))
    town.store(west.event(DoorForced(), place="gate-west", at=town.clock()))
    town.tick()
    town.tick(10 * 60)
    town.store(east.event(DoorForced(), device="d-2", place="gate-east", at=town.clock()))
    town.tick()
    town.enter("centre-east")


def test_what_is_open_is_listed_as_it_was_then(desk: Desk) -> None:
    happen(desk)
    handover = desk.write("centre-east", desk.centre)
    for alarm in desk.town.alarms("door_forced"):
        actor = desk.town.actor("district")
        desk.town.desk.acknowledge(alarm.id, actor)
    found = desk.one(handover)
    assert [(each.title, each.level, each.handling) for each in found.open_items] == [
        ("Door forced", 2, "new"),
        ("Repair", 1, "new"),
    ], "what lies at the post alone, and what is elsewhere's, is not the centre's to hand over"
    assert (found.written_by, found.note, found.special) == ("centre-east", "all quiet", "lift 3 is off")
    assert (found.accept_by, found.more) == (desk.town.clock() + LIMIT, False)
    [number] = [each.number for each in found.open_items if each.number]
    assert number == "2026-000001"


def test_a_post_hands_over_what_lies_there_and_guards_see_no_matters(desk: Desk) -> None:
    happen(desk)
    of_post = desk.one(desk.write("guard-east", desk.post))
    assert [(each.title, each.level) for each in of_post.open_items] == [("Door forced", 2), ("Door forced", 0)]
    desk.write("centre-east", desk.post)
    seen = {sees.matters: desk.read("guard-east", sees)[0].open_items for sees in (EVERYTHING, Sees(matters=False))}
    assert [len(seen[True]), len(seen[False])] == [3, 2]


def test_who_wrote_it_does_not_accept_it(desk: Desk) -> None:
    desk.duties.colleagues("east-garden", AccountRole.GUARD, "guard-2")
    handover = desk.write("guard-east", desk.post)
    with pytest.raises(NotNow, match="you wrote it yourself"):
        desk.accept("guard-east", handover)
    desk.accept("guard-2", handover)
    found = desk.one(handover)
    assert (found.accepted_by, found.accepted_at, found.accepted_note) == ("guard-2", START, "thanks")
    assert desk.read("guard-east", waiting=True) == []


def test_of_two_who_accept_at_once_one_wins_and_the_other_is_told_who(desk: Desk) -> None:
    names = [f"guard-{number}" for number in range(4)]
    desk.duties.colleagues("east-garden", AccountRole.GUARD, *names)
    handover = desk.write("guard-east", desk.post)
    together, ends = threading.Barrier(len(names)), dict[str, Exception | None]()

    def accept(name: str) -> None:
        together.wait(60)
        try:
            desk.accept(name, handover)
        except AlreadyAccepted as error:
            ends[name] = error
        else:
            ends[name] = None

    threads = [threading.Thread(target=accept, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    [winner] = [name for name, error in ends.items() if error is None]
    assert len(ends) == len(names)
    assert all(f"{winner} has accepted it already" in str(error) for error in ends.values() if error)
    assert desk.one(handover).accepted_by == winner


def test_what_nobody_accepts_in_time_is_overdue_and_counted(desk: Desk) -> None:
    registry = CollectorRegistry()
    chores = DutyChores(desk.town.database, desk.town.clock, registry)

    def counted() -> float | None:
        chores.run_once()
        return registry.get_sample_value("gatehouse_duty_handovers_overdue")

    handover = desk.write("guard-east", desk.post)
    assert (counted(), desk.one(handover).overdue) == (0, False)
    desk.town.clock.forward(LIMIT.total_seconds() + 1)
    assert (counted(), desk.one(handover).overdue) == (1, True)
    desk.accept("centre-east", handover)
    assert (counted(), desk.one(handover).overdue) == (0, False)


@pytest.mark.parametrize("table", ["handover", "handover_acceptance", "duty_roster_version", "duty_exception"])
def test_the_database_itself_refuses_to_change_what_was_written(desk: Desk, table: str) -> None:
    desk.town.clock.forward((utc_now() - START).total_seconds())  # it is by its own clock that it refuses
    handover = desk.write("guard-east", desk.post)
    desk.accept("centre-east", handover)
    desk.duties.write(desk.post, plan(shift("day", 8, 20, "guard-east")))
    desk.duties.swap(desk.post, START.date(), "day")
    column = "number" if table == "duty_roster_version" else "note"
    for change in (f"UPDATE {table} SET {column} = {column}", f"DELETE FROM {table}"):
        with pytest.raises(DatabaseError, match="only added to"), desk.town.database.write() as connection:
            connection.execute(text(change))
    with desk.town.database.read() as connection:
        assert connection.execute(text(f"SELECT count(*) FROM {table}")).scalar() == 1


def test_handovers_go_after_a_year_and_no_other_way(desk: Desk, tmp_path: Path) -> None:
    now = utc_now()
    desk.town.clock.forward((now - timedelta(days=400) - START).total_seconds())
    gone = desk.write("guard-east", desk.post)
    desk.accept("centre-east", gone)
    accepted_late = desk.write("guard-east", desk.post)
    desk.town.clock.forward(timedelta(days=100).total_seconds())
    desk.accept("centre-east", accepted_late)
    young = desk.write("guard-east", desk.post)

    def retain() -> dict[str, int]:
        database = desk.town.database
        pictures, clips = (
            PictureStore(tmp_path / "p", database, lambda: now),
            ClipStore(tmp_path / "c", database, lambda: now),
        )
        audit = AuditLog(database, lambda: now)
        days = RetentionDays()
        return RetentionService(database, pictures, clips, audit, lambda: now, days, CollectorRegistry()).run_once()

    assert retain()["handovers"] == 1
    assert {each.id for each in desk.read("district")} == {accepted_late, young}
    with pytest.raises(ValidationError):
        RetentionDays(handovers=29)


def test_a_foreign_centre_and_its_handovers_are_not_there(desk: Desk) -> None:
    handover = desk.write("guard-east", desk.post)
    assert desk.read("guard-west") == []
    with pytest.raises(NoSuchHandover):
        desk.accept("guard-west", handover)
    with pytest.raises(NoSuchCentre):
        desk.write("guard-west", desk.post)
    with pytest.raises(NoSuchCentre):
        desk.write("guard-east", desk.centre)
    with pytest.raises(NoSuchCentre):
        desk.write("li", desk.centre)
