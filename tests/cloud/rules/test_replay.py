"""A rule tried on past events says what it would have raised, raises nothing, and agrees with what it does raise."""

from datetime import timedelta

import pytest
from sqlalchemy import func, insert, select

from cloud.database.engine import Database
from cloud.database.tables import AlarmCandidate, AlarmStep, CareAgreement, EventMark
from cloud.rules.book import find_rule
from cloud.rules.replay import CannotTell, Replay, replay
from protocols.access_events import DoorClosed, DoorForced, DoorHeld
from tests.support.alarms import START, City
from tests.support.events import new_id


@pytest.fixture
def city(database: Database) -> City:
    return City(database)


def tried(city: City, code: str, days: int = 30) -> Replay:
    with city.database.read() as connection:
        written = find_rule(connection, code)
    return replay(city.database, written, city.clock() - timedelta(days=days), city.clock())


def play(city: City) -> None:
    """Two doors over some minutes: forced, forced again, shut; held for long, and not for long."""
    east = city.gateways["east"]
    for seconds, device, data in (
        (0, "d-1", DoorForced()),
        (10, "d-1", DoorForced()),
        (20, "d-1", DoorClosed(open_s=20)),
        (100, "d-1", DoorHeld(open_s=30)),
        (105, "d-1", DoorClosed(open_s=35)),
        (200, "d-2", DoorHeld(open_s=30)),
        (300, "d-2", DoorClosed(open_s=130)),
        (500, "d-1", DoorForced()),
    ):
        city.tick(START.timestamp() + seconds - city.clock().timestamp())
        city.store(east.event(data, device=device, at=city.clock()))
        city.engine.run_once()
    for _ in range(20):
        city.tick(10)


def test_it_says_what_would_have_been_raised(city: City) -> None:
    play(city)
    forced, held = tried(city, "door_forced"), tried(city, "door_held")
    assert [(alarm.key, alarm.times) for alarm in forced.alarms] == [
        ("door_forced:gw-east/d-1", 2),
        ("door_forced:gw-east/d-1", 1),
    ]
    assert [alarm.cleared_at for alarm in forced.alarms] == [START + timedelta(seconds=50), None]
    assert [(alarm.key, alarm.raised_at) for alarm in held.alarms] == [
        ("door_held:gw-east/d-2", START + timedelta(seconds=230))
    ]
    assert (forced.looked_at, held.looked_at) == (6, 5)


def test_it_agrees_with_what_was_raised(city: City) -> None:
    play(city)
    (live,) = city.alarms("door_held")
    (would_be,) = tried(city, "door_held").alarms
    assert live.key == would_be.key
    assert abs((live.raised_at - would_be.raised_at).total_seconds()) <= 70, "the hub looked at most 70 s later"


def test_it_raises_and_marks_nothing(city: City) -> None:
    play(city)
    with city.database.read() as connection:
        before = [
            connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in (AlarmStep, AlarmCandidate, EventMark)
        ]
    tried(city, "door_forced")
    with city.database.read() as connection:
        assert before == [
            connection.execute(select(func.count()).select_from(table)).scalar_one()
            for table in (AlarmStep, AlarmCandidate, EventMark)
        ]


def test_only_what_was_received_since_then_is_looked_at(city: City) -> None:
    play(city)
    city.clock.forward(86400 * 2)
    assert tried(city, "door_forced", days=1) == Replay(0, [])


def test_people_who_agreed_are_looked_after_from_hour_to_hour(city: City) -> None:
    values = {"person_id": city.add_person(), "dwelling_id": city.places["east-501"], "hours": 48, "consent": "form 12"}
    with city.database.write() as connection:
        connection.execute(insert(CareAgreement).values(id=new_id(), **values, since=START))
    city.clock.forward(86400 * 3)
    found = tried(city, "no_passage", days=3)
    assert [alarm.raised_at for alarm in found.alarms] == [START + timedelta(hours=48)]
    assert found.looked_at == 73


def test_what_is_not_kept_cannot_be_tried(city: City) -> None:
    with pytest.raises(CannotTell, match="present state alone"):
        tried(city, "gateway_silent")
