"""Matters from being entered to their end, beside alarms: who may, where, by when, and what is kept of who reported."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from pydantic import ValidationError
from sqlalchemy import update

from cloud.accounts.permissions import PERMISSIONS, Permission
from cloud.accounts.scope import WHOLE
from cloud.alarms.errors import IllegalMove, NoSuchAlarm
from cloud.alarms.limits import MATTER_KINDS, Limits
from cloud.alarms.queue import read_queue
from cloud.alarms.states import Condition, Handling, Level, Move, Outcome, Source
from cloud.alarms.values import QueueState
from cloud.database.engine import Database
from cloud.database.tables import AccountRole, GridPlace, Matter
from cloud.matters.errors import NoSuchMatter, NoSuchSite, WrongGrid
from cloud.matters.values import MAX_TEXT, MatterRequest, PassOnRequest
from cloud.register.errors import RegisterError
from protocols.access_events import DoorForced
from tests.support.events import new_id
from tests.support.matters import REPORTER, Town


@pytest.fixture
def town(database: Database) -> Town:
    return Town(database)


def queue(town: Town, name: str, source: Source | None = None, state: QueueState = QueueState.OPEN) -> list[str]:
    """The numbers of matters, and the rules of alarms, that an account sees."""
    actor = town.actor(name)
    with town.database.read() as connection:
        found = read_queue(connection, actor.scope, state, source=source, sees=actor.sees)
    return [row.number or row.rule for row in found.items]


def test_a_matter_from_the_window_to_its_end(town: Town) -> None:
    number = town.enter()
    assert number == "2026-000001"
    alarm, centre = town.id_of(number), town.actor("centre-east")
    assert [name for _, name in town.told(alarm)] == ["centre-east", "li"], "the centre, and the grid's member"
    town.desk.acknowledge(alarm, town.actor("li"))
    town.desk.begin(alarm, town.actor("li"), "getting a lamp")
    town.desk.close(alarm, centre, Outcome.SETTLED, "a new lamp")
    shown = town.matters.show(number, centre.scope, centre.sees)
    assert [(step.move, step.account) for step in shown.alarm.steps] == [
        (Move.RAISED, "centre-east"),
        (Move.ACKNOWLEDGED, "li"),
        (Move.BEGUN, "li"),
        (Move.CLOSED, "centre-east"),
    ]
    row = shown.alarm.alarm
    assert (row.number, row.title_zh, row.condition, row.outcome) == (number, "报修", Condition.REPORTED, "settled")
    assert (shown.text, shown.entered_by) == ("the lamp on the stairs is out", "centre-east")


def test_matters_and_alarms_are_one_queue_for_who_sees_both(town: Town) -> None:
    number = town.enter()
    town.store(town.gateways["east"].event(DoorForced(), at=town.clock()))
    town.tick()
    assert queue(town, "centre-east") == ["door_forced", number]
    assert queue(town, "centre-east", Source.MATTER) == [number]
    assert queue(town, "centre-east", Source.RULE) == ["door_forced"]
    assert queue(town, "guard-east") == ["door_forced"], "guards see no matters"
    assert queue(town, "centre-west") == []
    with pytest.raises(NoSuchAlarm):
        town.desk.acknowledge(town.id_of(number), town.actor("guard-east"))
    assert town.row(number).in_flood is False


def test_twenty_matters_are_no_flood_of_alarms(town: Town) -> None:
    for _ in range(20):
        town.enter()
    town.store(town.gateways["east"].event(DoorForced(), at=town.clock()))
    town.tick()
    assert not town.alarm("door_forced").in_flood


@pytest.mark.parametrize("role", AccountRole)
def test_who_enters_also_sees(role: AccountRole) -> None:
    held = PERMISSIONS[role]
    assert (Permission.ENTER_MATTERS in held) <= (Permission.SEE_MATTERS in held)
    assert (Permission.GIVE_ORDERS in held) <= (Permission.SEE_MATTERS in held)


# --- Where


def test_the_grid_is_the_places_own_as_the_register_says(town: Town) -> None:
    assert town.row(town.enter(place="east-501")).grid_id == town.grids["grid-1"]
    assert town.row(town.enter(place="east-garden")).grid_id is None
    by_grid = town.row(town.enter(place=None, grid="grid-2"))
    assert (by_grid.place_id, by_grid.area_id) == (town.places["east-village"], town.places["east-village"])
    assert town.row(town.enter(place="east-garden", grid="grid-2")).grid_id == town.grids["grid-2"]


@pytest.mark.parametrize(
    ("name", "place", "grid", "error"),
    [
        ("centre-east", "gate-west", None, NoSuchSite),
        ("centre-east", None, "grid-west", NoSuchSite),
        ("li", "gate-east", None, NoSuchSite),
        ("li", None, "grid-2", NoSuchSite),
        ("li", "gate-west", "grid-1", NoSuchSite),
        ("centre-east", "gate-east", "grid-1", WrongGrid),
        ("town-east", "east-town", "grid-1", WrongGrid),
        ("district", "gate-west", "grid-1", WrongGrid),
    ],
)
def test_nobody_enters_a_matter_elsewhere(
    town: Town, name: str, place: str | None, grid: str | None, error: type[Exception]
) -> None:
    with pytest.raises(error) as refusal:
        town.enter(name, place, grid)
    assert "west" not in str(refusal.value)
    assert town.alarms() == []
    assert town.enter() == "2026-000001", "a refusal takes no number"


def test_a_member_enters_in_the_own_grid_and_sees_it_also_where_the_place_has_none(town: Town) -> None:
    first, second = town.enter("li", "east-501"), town.enter("li", None, "grid-1")
    assert sorted(queue(town, "li")) == [first, second]
    assert queue(town, "wang") == []


def test_bounds_of_what_is_entered(town: Town) -> None:
    base = {"kind": "repair", "text": "x", "place": new_id(), "reported_by": "resident"}
    for bad in (
        {"text": "x" * (MAX_TEXT + 1)},
        {"text": "  "},
        {"kind": "Repair"},
        {"reporter": {"phone": "1; DROP TABLE"}},
        {"reporter": {"name": "x" * 61}},
        {"reporter": {"id_number": "1"}},
        {"place": None},
        {"entered_by": str(new_id())},
    ):
        with pytest.raises(ValidationError):
            MatterRequest.model_validate({**base, **bad})
    with pytest.raises(RegisterError, match="there is no kind 'party'"):
        town.enter(kind="party")


def test_kinds_are_configured_and_one_that_went_still_runs_out(town: Town) -> None:
    limits = Limits.model_validate({"matters": {"noise": MATTER_KINDS["repair"].model_dump()}})
    assert set(limits.matters) == {"noise"}
    assert limits.due("matter.repair", limits.matters["noise"].priority, Level.COMMUNITY, Handling.NEW, town.clock())
    with pytest.raises(ValidationError):
        Limits.model_validate({"matters": {"x": {**MATTER_KINDS["repair"].model_dump(), "priority": 4}}})


# --- Numbers


def test_numbers_go_by_the_year_in_china(town: Town) -> None:
    town.clock.at = datetime(2026, 12, 31, 15, 59, tzinfo=UTC)
    assert town.enter() == "2026-000001"
    town.clock.at = datetime(2026, 12, 31, 16, 0, tzinfo=UTC)
    assert town.enter() == "2027-000001"
    assert town.enter() == "2027-000002"


def test_the_same_form_sent_twice_is_one_matter(town: Town) -> None:
    request = new_id()
    assert town.enter(request=request) == town.enter(request=request)
    assert town.enter("town-east", request=request) == "2026-000002", "another account's form"
    assert len(town.rows()) == 2


def together(*acts: Callable[[], object]) -> list[object]:
    """What each gave, or the error that it raised."""
    results: list[object] = [None] * len(acts)
    barrier = threading.Barrier(len(acts))

    def run(number: int, act: Callable[[], object]) -> None:
        barrier.wait(60)
        try:
            results[number] = act()
        except Exception as error:  # noqa: BLE001 (the test looks at it)
            results[number] = error

    threads = [threading.Thread(target=run, args=each) for each in enumerate(acts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return results


def test_many_who_enter_at_once_have_a_number_each_and_one_form_has_one(town: Town) -> None:
    request = new_id()
    acts = [town.enter] * 6 + [lambda: town.enter(request=request)] * 4
    numbers = together(*acts)
    assert len(set(map(str, numbers[:6]))) == 6, numbers
    assert len(set(map(str, numbers[6:]))) == 1, numbers
    assert [row.number for row in town.rows()] == sorted({str(number) for number in numbers})


# --- Who reported


def test_who_reported_is_sealed_masked_and_told_for_a_purpose(town: Town) -> None:
    number = town.enter()
    shown = town.matters.show(number, WHOLE)
    assert shown.reporter is not None
    assert (shown.reporter.name, shown.reporter.phone) == ("欧阳*", "*********42")
    (row,) = town.rows()
    assert "欧阳".encode() not in row.reporter_sealed
    assert b"0042" not in row.reporter_sealed
    assert town.matters.reporter(number, town.actor("centre-east").scope, town.actor("centre-east").sees) == REPORTER
    with pytest.raises(NoSuchMatter):
        town.matters.reporter(number, town.actor("centre-west").scope, town.actor("centre-west").sees)
    assert town.matters.show(town.enter(reporter=None), WHOLE).reporter is None


def test_no_step_and_no_audit_detail_holds_who_reported(town: Town) -> None:
    number = town.enter()
    text = str(town.steps(town.id_of(number)))
    assert "欧阳" not in text
    assert "0042" not in text


# --- Limits


def test_a_matter_that_nobody_takes_on_goes_up_level_by_level_and_is_overdue_at_the_district(town: Town) -> None:
    number = town.enter(kind="help")
    levels = []
    for _ in range(4):
        town.tick(601)
        row = town.row(number)
        levels.append((row.level, row.overdue))
    assert levels == [(2, True), (3, True), (3, True), (3, True)]
    moves = [step.move for step in town.steps(town.id_of(number))]
    assert moves == [Move.RAISED, Move.ESCALATED, Move.ESCALATED, Move.OVERDUE]
    assert {name for _, name in town.told(town.id_of(number))} == {"centre-east", "li", "town-east", "district"}


def test_a_matter_that_is_begun_has_a_limit_to_be_settled_by(town: Town) -> None:
    number = town.enter(kind="help")
    alarm, centre = town.id_of(number), town.actor("centre-east")
    town.desk.acknowledge(alarm, centre)
    town.desk.begin(alarm, centre, "going there")
    town.tick(86_399)
    assert not town.row(number).overdue
    town.engine = town.new_engine()
    town.tick(1)
    assert (town.row(number).overdue, town.row(number).level) == (True, Level.TOWNSHIP)


def test_passed_up_with_a_limit_it_is_settled_by_then_or_goes_on(town: Town) -> None:
    number = town.enter(kind="dispute")
    alarm, until = town.id_of(number), town.clock() + timedelta(hours=1)
    with pytest.raises(IllegalMove, match="it is past"):
        town.desk.pass_up(alarm, town.actor("centre-east"), "x", town.clock())
    town.desk.pass_up(alarm, town.actor("centre-east"), "needs the township", until)
    row = town.row(number)
    assert (row.level, row.due_at, row.settle_by) == (Level.TOWNSHIP, until, until)
    assert town.steps(alarm)[-1].detail["until"] == until.isoformat()
    town.desk.acknowledge(alarm, town.actor("town-east"))
    assert town.row(number).due_at == until, "taking it on does not lengthen the limit"
    town.tick(3600)
    row = town.row(number)
    assert (row.level, row.overdue, row.settle_by) == (Level.DISTRICT, True, None)


# --- To another place


def test_passed_on_it_is_new_there_and_keeps_its_history(town: Town) -> None:
    number = town.enter()
    alarm, centre = town.id_of(number), town.actor("town-east")
    town.desk.acknowledge(alarm, town.actor("li"))
    town.desk.begin(alarm, town.actor("li"), "looking")
    order = town.orders.give(alarm, centre, "li", "look at the lamp", town.clock() + timedelta(hours=5))
    first = town.row(number).acked_at
    town.clock.forward(60)
    town.matters.pass_on(number, PassOnRequest(grid=town.grids["grid-2"], note="it is the gate's lamp"), centre)
    row = town.row(number)
    assert (row.handling, row.grid_id, row.acked_by, row.acked_at) == (Handling.NEW, town.grids["grid-2"], None, first)
    assert (queue(town, "li"), queue(town, "wang")) == ([], [number])
    steps = town.steps(alarm)
    assert [step.move for step in steps[-2:]] == [Move.ORDER_WITHDRAWN, Move.PASSED_ON]
    assert (steps[-1].note, steps[-1].detail["from_grid"]) == ("it is the gate's lamp", str(town.grids["grid-1"]))
    assert town.order(order).state == "withdrawn"
    town.desk.acknowledge(alarm, town.actor("wang"))
    assert town.row(number).acked_at == first, "the figures count the first"
    assert len(town.matters.show(number, WHOLE).alarm.steps) == len(steps) + 1


def test_nothing_is_passed_where_the_account_has_no_say(town: Town) -> None:
    number = town.enter()
    for name, target, error in (
        ("centre-east", PassOnRequest(place=town.places["gate-west"], note="x"), NoSuchSite),
        ("centre-west", PassOnRequest(place=town.places["gate-west"], note="x"), NoSuchMatter),
        ("li", PassOnRequest(grid=town.grids["grid-2"], note="x"), NoSuchSite),
        ("centre-east", PassOnRequest(place=town.places["east-501"], note="x"), IllegalMove),
    ):
        with pytest.raises(error):
            town.matters.pass_on(number, target, town.actor(name))
    town.desk.acknowledge(town.id_of(number), town.actor("li"))
    town.desk.close(town.id_of(number), town.actor("li"), Outcome.NO_ACTION, "x")
    with pytest.raises(IllegalMove, match="it is closed"):
        town.matters.pass_on(number, PassOnRequest(place=town.places["gate-east"], note="x"), town.actor("centre-east"))


def test_a_matter_stays_with_the_grid_that_it_was_entered_in_when_grids_are_drawn_anew(town: Town) -> None:
    number = town.enter()
    with town.database.write() as connection:
        moved = update(GridPlace).where(GridPlace.place_id == town.places["east-501"])
        connection.execute(moved.values(grid_id=town.grids["grid-2"]))
    assert town.row(number).grid_id == town.grids["grid-1"]
    assert number in queue(town, "li")


def test_of_two_who_pass_it_on_at_once_one_does(town: Town) -> None:
    number = town.enter()
    target = PassOnRequest(grid=town.grids["grid-2"], note="x")
    results = together(*[lambda: town.matters.pass_on(number, target, town.actor("town-east"))] * 3)
    assert sum(each is None for each in results) == 1, results
    assert sum(isinstance(each, IllegalMove) for each in results) == 2, results
    assert [step.move for step in town.steps(town.id_of(number))] == [Move.RAISED, Move.PASSED_ON]


def test_numbers_are_found_by_nobody_outside(town: Town) -> None:
    number = town.enter()
    west = town.actor("centre-west")
    texts = set()
    for asked in (number, "2026-999999"):
        with pytest.raises(NoSuchMatter) as refusal:
            town.matters.show(asked, west.scope, west.sees)
        texts.add(str(refusal.value))
    assert len(texts) == 1
    assert isinstance(town.id_of(number), UUID)
    assert town.rows()[0].id == town.id_of(number)
    assert Matter.__tablename__ == "matter"
