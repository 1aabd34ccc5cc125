"""Alarms climb by the hub's clock, over restarts, and two hubs take each step once."""

import threading
from datetime import timedelta

import pytest

from cloud.alarms.states import Handling, Level, Move
from cloud.database.engine import Database
from protocols.access_events import AccessDuress, DoorForced
from tests.support.alarms import START, City
from tests.support.events import new_id


@pytest.fixture
def city(database: Database) -> City:
    return City(database)


def duress(city: City) -> None:
    """An alarm of priority 1: 30 s, 90 s, 5 min."""
    data = AccessDuress(reader="r-east", credential=new_id())
    city.store(city.gateways["east"].event(data, at=city.clock()))
    city.tick()


def test_nobody_acknowledges_and_it_climbs_to_the_district(city: City) -> None:
    duress(city)
    levels = []
    for _ in range(61):
        levels.append(city.alarm().level)
        city.tick(5)
    assert [levels.index(level) * 5 for level in range(4)] == [0, 30, 90, 300]
    alarm = city.alarm()
    assert (alarm.due_at, alarm.overdue) == (None, True)
    assert city.told(alarm.id) == [(1, "guard-east"), (2, "centre-east"), (3, "town-east"), (4, "district")]


def test_acknowledged_it_stays_until_handling_has_not_begun_in_time(city: City) -> None:
    duress(city)
    city.clock.forward(10)
    city.desk.acknowledge(city.alarm().id, city.actor("guard-east"))
    city.tick(299)
    assert city.alarm().level == Level.GUARD
    city.tick(1)
    assert (city.alarm().level, city.alarm().overdue) == (Level.COMMUNITY, True)
    city.desk.begin(city.alarm().id, city.actor("guard-east"), "on my way")
    city.tick(86400)
    assert (city.alarm().level, city.alarm().due_at) == (Level.COMMUNITY, None)


def test_a_hub_that_was_away_catches_up_and_tells_every_level(city: City) -> None:
    duress(city)
    city.engine = city.new_engine()
    city.tick(100)
    alarm = city.alarm()
    assert (alarm.level, alarm.due_at) == (Level.TOWNSHIP, START + timedelta(seconds=300))
    assert [step.move for step in city.steps(alarm.id)] == [Move.RAISED, Move.ESCALATED, Move.ESCALATED]


def test_passed_up_by_a_person_its_clock_begins_anew_there(city: City) -> None:
    duress(city)
    city.clock.forward(20)
    city.desk.pass_up(city.alarm().id, city.actor("guard-east"), "needs the centre")
    alarm = city.alarm()
    assert (alarm.level, alarm.handling, alarm.overdue) == (Level.COMMUNITY, Handling.NEW, False)
    assert alarm.due_at == START + timedelta(seconds=20 + 60)
    assert (2, "centre-east") in city.told(alarm.id)


def test_a_shelved_alarm_does_not_climb_and_is_told_again_when_the_shelf_ends(city: City) -> None:
    duress(city)
    city.desk.shelve(city.alarm().id, city.actor("centre-east"), START + timedelta(hours=1), "works at the door")
    city.tick(3599)
    assert (city.alarm().level, city.alarm().shelved_until is None) == (Level.GUARD, False)
    city.tick(1)
    alarm = city.alarm()
    assert (alarm.shelved_until, alarm.due_at) == (None, city.clock() + timedelta(seconds=30))
    assert [step.move for step in city.steps(alarm.id)] == [Move.RAISED, Move.SHELVED, Move.CLEARED, Move.UNSHELVED]
    assert (4, "guard-east") in city.told(alarm.id)


def test_two_hubs_take_each_step_once(city: City) -> None:
    for _ in range(20):
        data = AccessDuress(reader="r-east", credential=new_id())
        city.store(city.gateways["east"].event(data, device=f"d-{new_id().hex[-8:]}", at=city.clock()))
    engines = [city.new_engine() for _ in range(3)]
    for seconds in (0, 30, 60, 210):
        city.clock.forward(seconds)
        threads = [threading.Thread(target=engine.run_once) for engine in engines]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        city.engine.run_once()
    alarms = city.alarms()
    assert [(alarm.level, alarm.times, alarm.revision) for alarm in alarms] == [(Level.DISTRICT, 1, 4)] * 20
    for alarm in alarms:
        assert [step.number for step in city.steps(alarm.id)] == [1, 2, 3, 4]


def test_a_level_without_anybody_is_only_waited_for(database: Database) -> None:
    city = City(database)
    west = city.gateways["west"]
    city.store(west.event(DoorForced(), device="d-west", at=city.clock(), place="nowhere-known"))
    city.tick()
    assert city.told(city.alarm().id) == [(1, "guard-west")], "the gateway's doors say where it is"
