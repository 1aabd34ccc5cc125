"""What people may do with an alarm, and what the hub refuses."""

import threading
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import Executable, delete, insert, text, update
from sqlalchemy.exc import DatabaseError

from cloud.alarms.errors import AlreadyTaken, IllegalMove, NoSuchAlarm
from cloud.alarms.states import Handling, Move, Outcome
from cloud.database.engine import Database
from cloud.database.tables import AccountRole, Alarm, AlarmStep
from protocols.access_events import AccessDuress, DoorForced
from tests.support.alarms import START, City
from tests.support.events import new_id

Act = Callable[[City, UUID], None]

ACTS: dict[Move, Act] = {
    Move.ACKNOWLEDGED: lambda city, alarm: city.desk.acknowledge(alarm, city.actor("guard-east")),
    Move.BEGUN: lambda city, alarm: city.desk.begin(alarm, city.actor("guard-east"), "going there"),
    Move.NOTED: lambda city, alarm: city.desk.write_note(alarm, city.actor("guard-east"), "door is open"),
    Move.PASSED_UP: lambda city, alarm: city.desk.pass_up(alarm, city.actor("guard-east"), "too much for me"),
    Move.SHELVED: lambda city, alarm: city.desk.shelve(
        alarm, city.actor("guard-east"), city.clock() + timedelta(hours=1), "painters"
    ),
    Move.UNSHELVED: lambda city, alarm: city.desk.unshelve(alarm, city.actor("guard-east")),
    Move.CLOSED: lambda city, alarm: city.desk.close(alarm, city.actor("guard-east"), Outcome.FALSE_ALARM, "the wind"),
}
ALLOWED = {
    Handling.NEW: {Move.ACKNOWLEDGED, Move.NOTED, Move.PASSED_UP, Move.SHELVED},
    Handling.ACKED: {Move.BEGUN, Move.NOTED, Move.PASSED_UP, Move.SHELVED, Move.CLOSED},
    Handling.HANDLING: {Move.NOTED, Move.PASSED_UP, Move.SHELVED, Move.CLOSED},
    Handling.CLOSED: set(),
}
"""The specification, beside `cloud.alarms.states.MOVES`; off the shelf goes only what is on it."""

WAY = {
    Handling.NEW: (),
    Handling.ACKED: (Move.ACKNOWLEDGED,),
    Handling.HANDLING: (Move.ACKNOWLEDGED, Move.BEGUN),
    Handling.CLOSED: (Move.ACKNOWLEDGED, Move.CLOSED),
}


@pytest.fixture
def city(database: Database) -> City:
    return City(database)


def raised(city: City, urgent: bool = False) -> UUID:
    data = AccessDuress(reader="r-east", credential=new_id()) if urgent else DoorForced()
    city.store(city.gateways["east"].event(data, at=city.clock()))
    city.tick()
    found: UUID = city.alarms()[-1].id
    return found


@pytest.mark.parametrize("state", list(Handling))
@pytest.mark.parametrize("move", list(ACTS))
def test_every_move_from_every_state(city: City, state: Handling, move: Move) -> None:
    alarm = raised(city)
    for step in WAY[state]:
        ACTS[step](city, alarm)
    before = city.alarm()
    if move in ALLOWED[state]:
        ACTS[move](city, alarm)
        assert city.alarm().revision == before.revision + 1
        last = city.steps(alarm)[-1]
        assert (last.move, last.account_id, last.origin) == (move, city.accounts["guard-east"], "127.0.0.1")
    else:
        with pytest.raises((IllegalMove, AlreadyTaken)):
            ACTS[move](city, alarm)
        assert city.alarm() == before
        assert len(city.steps(alarm)) == before.revision


def test_of_two_who_acknowledge_at_once_one_wins_and_the_others_are_told_who(city: City) -> None:
    names = ["guard-east", "centre-east", "town-east", "district"]
    for _ in range(5):
        alarm = raised(city)
        results: dict[str, str] = {}
        together = threading.Barrier(len(names))

        def press(name: str, alarm: UUID, results: dict[str, str], together: threading.Barrier) -> None:
            actor = city.actor(name)
            together.wait(60)
            try:
                city.desk.acknowledge(alarm, actor)
                results[name] = "won"
            except AlreadyTaken as error:
                results[name] = error.username

        threads = [threading.Thread(target=press, args=(name, alarm, results, together)) for name in names]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        (winner,) = [name for name, result in results.items() if result == "won"]
        assert {result for name, result in results.items() if name != winner} == {winner}
        assert len(results) == len(names)
        steps = city.steps(alarm)
        assert [(step.move, step.account_id) for step in steps[1:]] == [(Move.ACKNOWLEDGED, city.accounts[winner])]
        city.desk.close(alarm, city.actor("guard-east"), Outcome.TEST, "next")


def test_an_alarm_outside_the_scope_is_not_there(city: City) -> None:
    alarm = raised(city)
    stranger = city.actor("guard-west")
    for act in (
        lambda: city.desk.acknowledge(alarm, stranger),
        lambda: city.desk.close(alarm, stranger, Outcome.FALSE_ALARM, "x"),
        lambda: city.desk.acknowledge(new_id(), stranger),
    ):
        with pytest.raises(NoSuchAlarm) as refusal:
            act()
        assert str(refusal.value) == str(NoSuchAlarm())
    assert city.alarm().handling == Handling.NEW


def test_a_role_that_only_looks_handles_nothing(city: City) -> None:
    alarm = raised(city)
    city.add_account("auditor", AccountRole.AUDITOR, "xixiu")
    with pytest.raises(IllegalMove, match="auditor does not handle alarms"):
        city.desk.acknowledge(alarm, city.actor("auditor"))


def test_settled_needs_handling_and_a_cause_that_is_over(city: City) -> None:
    alarm, guard = raised(city), city.actor("guard-east")
    city.desk.acknowledge(alarm, guard)
    with pytest.raises(IllegalMove, match="nobody has begun"):
        city.desk.close(alarm, guard, Outcome.SETTLED, "shut it")
    city.desk.begin(alarm, guard, "going")
    with pytest.raises(IllegalMove, match="its cause still holds"):
        city.desk.close(alarm, guard, Outcome.SETTLED, "shut it")
    with pytest.raises(IllegalMove, match="journal is no outcome"):
        city.desk.close(alarm, guard, Outcome.JOURNAL, "x")
    city.desk.close(alarm, guard, Outcome.DEVICE_FAULT, "contact is loose")
    closed = city.alarm()
    assert (closed.outcome, closed.closed_by, closed.handling) == (
        Outcome.DEVICE_FAULT,
        city.accounts["guard-east"],
        Handling.CLOSED,
    )


def test_after_closing_the_same_cause_is_another_alarm(city: City) -> None:
    alarm, guard = raised(city), city.actor("guard-east")
    city.desk.acknowledge(alarm, guard)
    city.desk.close(alarm, guard, Outcome.FALSE_ALARM, "the wind")
    city.clock.forward(1)
    assert raised(city) != alarm
    assert len(city.alarms()) == 2


def test_shelving_has_limits(city: City) -> None:
    alarm, guard = raised(city), city.actor("guard-east")
    with pytest.raises(IllegalMove, match="12 hours at most"):
        city.desk.shelve(alarm, guard, START + timedelta(hours=13), "for good")
    with pytest.raises(IllegalMove, match="12 hours at most"):
        city.desk.shelve(alarm, guard, START, "no time at all")
    city.desk.shelve(alarm, guard, START + timedelta(hours=1), "painters")
    with pytest.raises(IllegalMove, match="shelved already"):
        city.desk.shelve(alarm, guard, START + timedelta(hours=2), "again")
    urgent = raised(city, urgent=True)
    with pytest.raises(IllegalMove, match="not for guards"):
        city.desk.shelve(urgent, guard, START + timedelta(hours=1), "quiet")


_REPLACING = {
    "sqlite": "INSERT OR REPLACE INTO alarm_step SELECT * FROM alarm_step",
    "postgresql": "INSERT INTO alarm_step SELECT * FROM alarm_step "
    "ON CONFLICT (alarm_id, number) DO UPDATE SET note = 'never happened'",
}


@pytest.mark.parametrize(
    "change",
    [
        update(AlarmStep).values(note="never happened"),
        delete(AlarmStep),
        delete(Alarm),
        None,
    ],
)
def test_the_database_refuses_to_change_what_was_done(city: City, change: Executable | None) -> None:
    if change is None:
        change = text(_REPLACING[city.database.dialect])
    alarm = raised(city)
    before = city.steps(alarm)
    taken = {"alarm_id": alarm, "number": 1, "at": START, "origin": "x", "move": "noted", "note": "", "detail": {}}
    for statement in (change, insert(AlarmStep).values(**taken)):
        with pytest.raises(DatabaseError), city.database.write() as connection:
            connection.execute(statement)
        assert city.steps(alarm) == before
