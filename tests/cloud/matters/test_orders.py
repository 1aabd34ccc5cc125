"""Work orders: given, answered, done, overdue; who sees them; two people at once; a restart in between."""

from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import update

from cloud.access.errors import NotThere
from cloud.alarms.errors import IllegalMove, NoSuchAlarm
from cloud.alarms.orders import NoSuchOrder, read_orders
from cloud.alarms.states import Handling, Move, Outcome
from cloud.database.engine import Database
from cloud.database.tables import Account, AccountRole
from protocols.access_events import DoorForced
from tests.cloud.matters.test_matters import together
from tests.support.events import new_id
from tests.support.matters import Town

HOUR = timedelta(hours=1)


@pytest.fixture
def town(database: Database) -> Town:
    return Town(database)


def given(town: Town, to: str = "li", hours: float = 1) -> tuple[UUID, UUID]:
    """A matter's id and its order."""
    alarm = town.id_of(town.enter())
    return alarm, town.orders.give(alarm, town.actor("centre-east"), to, "look at it", town.clock() + hours * HOUR)


def seen(town: Town, name: str, *, running: bool = True) -> list[str]:
    """States of the orders that an account sees."""
    actor = town.actor(name)
    with town.database.read() as connection:
        return [row.state for row in read_orders(connection, actor.scope, actor.sees, running=running)]


def test_given_accepted_and_done(town: Town) -> None:
    alarm, order = given(town)
    assert (2, "li") in town.told(alarm)
    town.orders.accept(order, town.actor("li"), "on my way")
    town.orders.finish(order, town.actor("li"), "new lamp put in")
    assert town.order(order).state == "done"
    steps = town.steps(alarm)
    assert [(step.move, step.note) for step in steps[1:]] == [
        (Move.ORDERED, "look at it"),
        (Move.ORDER_ACCEPTED, "on my way"),
        (Move.ORDER_DONE, "new lamp put in"),
    ]
    assert {step.order_id for step in steps[1:]} == {order}
    assert (4, "centre-east") in town.told(alarm), "who gave it is told"
    assert town.alarms()[0].handling == Handling.NEW, "the matter itself is closed by whoever has it"


def test_refused_with_a_reason(town: Town) -> None:
    alarm, order = given(town)
    town.orders.refuse(order, town.actor("li"), "I am ill today")
    assert (town.order(order).state, town.steps(alarm)[-1].note) == ("refused", "I am ill today")
    assert (3, "centre-east") in town.told(alarm)
    again = town.orders.give(alarm, town.actor("centre-east"), "li", "then tomorrow", town.clock() + HOUR)
    assert town.order(again).state == "given"


ACTS = ("accept", "refuse", "finish", "withdraw")
ALLOWED = {
    "given": {"accept", "refuse", "withdraw"},
    "accepted": {"finish", "withdraw"},
    "refused": set(),
    "done": set(),
    "withdrawn": set(),
}
WAYS = {
    "given": (),
    "accepted": ("accept",),
    "refused": ("refuse",),
    "done": ("accept", "finish"),
    "withdrawn": ("withdraw",),
}


def act(town: Town, order: UUID, what: str) -> None:
    name = "centre-east" if what == "withdraw" else "li"
    getattr(town.orders, what)(order, town.actor(name), "x")


@pytest.mark.parametrize("state", WAYS)
@pytest.mark.parametrize("what", ACTS)
def test_every_move_from_every_state(town: Town, state: str, what: str) -> None:
    alarm, order = given(town)
    for step in WAYS[state]:
        act(town, order, step)
    assert town.order(order).state == state
    before, steps = town.order(order), len(town.steps(alarm))
    if what in ALLOWED[state]:
        act(town, order, what)
        assert town.order(order).revision == before.revision + 1
        assert len(town.steps(alarm)) == steps + 1
    else:
        with pytest.raises(IllegalMove):
            act(town, order, what)
        assert town.order(order) == before
        assert len(town.steps(alarm)) == steps


def test_only_the_member_answers_and_only_the_member_and_those_above_see_it(town: Town) -> None:
    add_colleague(town)
    alarm, order = given(town)
    for name in ("li2", "wang", "west", "guard-east", "centre-west", "town-west"):
        assert seen(town, name) == [], name
        with pytest.raises((NoSuchOrder, NoSuchAlarm)):
            town.orders.accept(order, town.actor(name))
    for name in ("li", "centre-east", "town-east", "district"):
        assert seen(town, name) == ["given"], name
    with pytest.raises(IllegalMove, match="given to somebody else"):
        town.orders.accept(order, town.actor("town-east"))
    texts = set()
    for asked in (order, new_id()):
        with pytest.raises(NoSuchOrder) as refusal:
            town.orders.accept(asked, town.actor("li2"))
        texts.add(str(refusal.value))
    assert len(texts) == 1
    actors = (town.actor("li2"), town.actor("li"))
    colleague, member = (town.matters.show("2026-000001", each.scope, each.sees) for each in actors)
    assert [step.move for step in colleague.alarm.steps] == [Move.RAISED], "no trace of another's order"
    assert colleague.alarm.orders == ()
    assert [step.move for step in member.alarm.steps] == [Move.RAISED, Move.ORDERED]
    assert town.alarms()[0].id == alarm


def test_orders_go_to_members_of_that_grid_alone(town: Town) -> None:
    alarm = town.id_of(town.enter())
    centre, due = town.actor("centre-east"), town.clock() + HOUR
    with town.database.write() as connection:
        connection.execute(update(Account).where(Account.username == "west").values(disabled_at=town.clock()))
    for name in ("wang", "west", "guard-east", "centre-east", "nobody"):
        with pytest.raises(NotThere, match="no such grid member"):
            town.orders.give(alarm, centre, name, "x", due)
    for wrong in (town.clock(), town.clock() + timedelta(days=91)):
        with pytest.raises(IllegalMove, match="it is past, or more"):
            town.orders.give(alarm, centre, "li", "x", wrong)
    town.orders.give(alarm, centre, "li", "x", due)
    with pytest.raises(IllegalMove, match="has an order of it already"):
        town.orders.give(alarm, centre, "li", "x", due)
    with pytest.raises(NoSuchAlarm):
        town.orders.give(alarm, town.actor("centre-west"), "west", "x", due)


def test_an_alarm_has_orders_too(town: Town) -> None:
    town.store(town.gateways["east"].event(DoorForced(), at=town.clock()))
    town.tick()
    alarm = town.alarm("door_forced").id
    order = town.orders.give(alarm, town.actor("centre-east"), "wang", "look at the gate", town.clock() + HOUR)
    town.orders.accept(order, town.actor("wang"))
    assert seen(town, "wang") == ["accepted"]


def add_colleague(town: Town) -> None:
    """`li2`, of the same grid as li."""
    town.add_account("li2", AccountRole.GRID_MEMBER, "east-village")
    with town.database.write() as connection:
        connection.execute(update(Account).where(Account.username == "li2").values(grid_id=town.grids["grid-1"]))


def test_overdue_it_is_marked_once_and_told_also_after_a_restart(town: Town) -> None:
    add_colleague(town)
    alarm, order = given(town)
    town.orders.accept(order, town.actor("li"))
    town.tick(3599)
    assert town.order(order).overdue_at is None
    town.engine = town.new_engine()
    town.open_desks()
    town.clock.forward(7200)
    town.engine.run_once()
    town.tick(60)
    assert town.order(order).overdue_at is not None
    marks = [step for step in town.steps(alarm) if step.move == Move.ORDER_OVERDUE]
    assert len(marks) == 1
    told = {name for number, name in town.told(alarm) if number == marks[0].number}
    assert told == {"li", "centre-east"}, "not the colleague, whose order it is not"
    town.orders.finish(order, town.actor("li"), "late, but done")
    assert town.order(order).state == "done"


def test_what_is_ended_is_not_overdue(town: Town) -> None:
    alarm, order = given(town)
    town.orders.refuse(order, town.actor("li"), "no")
    town.tick(7200)
    assert town.order(order).overdue_at is None
    assert Move.ORDER_OVERDUE not in [step.move for step in town.steps(alarm)]


def test_closing_the_matter_withdraws_its_orders(town: Town) -> None:
    alarm, order = given(town)
    town.desk.acknowledge(alarm, town.actor("centre-east"))
    town.desk.close(alarm, town.actor("centre-east"), Outcome.NO_ACTION, "was done already")
    assert town.order(order).state == "withdrawn"
    assert [step.move for step in town.steps(alarm)[-2:]] == [Move.ORDER_WITHDRAWN, Move.CLOSED]
    assert seen(town, "li") == []
    assert seen(town, "li", running=False) == ["withdrawn"]
    with pytest.raises(IllegalMove, match="it is closed"):
        town.orders.give(alarm, town.actor("centre-east"), "li", "x", town.clock() + HOUR)


def test_of_two_at_once_one_wins(town: Town) -> None:
    for _ in range(4):
        alarm, order = given(town)
        results = together(
            lambda order=order: town.orders.accept(order, town.actor("li")),
            lambda order=order: town.orders.refuse(order, town.actor("li"), "no"),
            lambda order=order: town.orders.accept(order, town.actor("li")),
        )
        assert sum(isinstance(each, IllegalMove) for each in results) == 2, results
        assert sum(isinstance(each, UUID) for each in results) == 1, results
        assert len(town.steps(alarm)) == 3
        assert town.order(order).state in ("accepted", "refused")


def test_two_centres_give_the_same_member_one_order(town: Town) -> None:
    alarm, due = town.id_of(town.enter()), town.clock() + HOUR
    results = together(
        *[
            lambda name=name: town.orders.give(alarm, town.actor(name), "li", "x", due)
            for name in ("centre-east", "town-east", "district")
        ]
    )
    assert sum(isinstance(each, UUID) for each in results) == 1, results
    assert seen(town, "li") == ["given"]
