"""No alarm is lost and none is raised twice when the hub is killed between any two steps.

A real process works on what is stored and is killed (SIGKILL, by itself) right before its n-th statement or commit, for
every n; then another goes on. What is there at the end must be what a hub that nobody killed makes of the same events.
"""

import shutil
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from cloud.database.engine import Database, open_database
from cloud.database.tables import AlarmCandidate, EventMark
from protocols.access_events import AccessDuress, DoorForced, DoorHeld
from protocols.events import Event
from tests.support.alarms import City
from tests.support.databases import PostgresqlCluster, new_sqlite, remove
from tests.support.events import new_id
from tests.support.killing import killed_before

MOST_STATEMENTS = 400


@pytest.fixture(params=["sqlite", "postgresql"])
def cities(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], City]]:
    """Gives the same city again and again, each time with a database of its own."""
    made: list[City] = []
    if request.param == "sqlite":
        first = City(new_sqlite(tmp_path))
        first.database.close()

        def make() -> City:
            shutil.copy(tmp_path / "hub.db", tmp_path / f"{len(made)}.db")
            made.append(first.on(open_database(f"sqlite:///{tmp_path / f'{len(made)}.db'}")))
            return made[-1]
    else:
        cluster: PostgresqlCluster = request.getfixturevalue("postgresql_cluster")
        first = City(cluster.new_database())
        first.database.close()

        def make() -> City:
            made.append(first.on(cluster.new_copy(first.database)))
            return made[-1]

    yield make
    for city in (first, *made):
        remove(city.database)


def events_of(city: City) -> list[Event]:
    """Two causes at once, one of them twice, and one that waits."""
    east, at = city.gateways["east"], city.clock()
    return [
        east.event(AccessDuress(reader="r-east", credential=new_id()), at=at),
        east.event(DoorForced(), at=at),
        east.event(DoorForced(), at=at + timedelta(seconds=1)),
        east.event(DoorHeld(open_s=30), device="d-other", at=at),
    ]


def run_once(city: City, database: Database) -> None:
    city.on(database).engine.run_once()


def outcome(city: City) -> list[tuple[Any, ...]]:
    """Everything that people see of the alarms, without ids."""
    found = []
    for alarm in city.alarms():
        steps = [(step.number, step.move, step.at) for step in city.steps(alarm.id)]
        told = city.told(alarm.id)
        found.append((alarm.rule, alarm.times, alarm.level, alarm.condition, alarm.due_at, alarm.revision, steps, told))
    return sorted(found, key=str)


def finish(city: City) -> list[tuple[Any, ...]]:
    city.new_engine().run_once()
    city.tick(31)
    with city.database.read() as connection:
        assert connection.execute(select(EventMark.event_id)).all() == []
        assert connection.execute(select(AlarmCandidate.key)).all() == []
    return outcome(city)


@pytest.mark.timeout(900)
def test_killed_between_any_two_steps(cities: Callable[[], City]) -> None:
    untouched = cities()
    untouched.store(*events_of(untouched))
    wanted = finish(untouched)
    assert [(row[0], row[1], row[2]) for row in wanted] == [
        ("door_forced", 2, 0),
        ("door_held", 1, 0),
        ("duress", 1, 1),
    ]
    kills = 0
    for statements in range(1, MOST_STATEMENTS):
        city = cities()
        city.store(*events_of(city))
        was_killed = killed_before(city.database, statements, partial(run_once, city))
        assert finish(city) == wanted, f"killed before statement {statements}"
        if not was_killed:
            break
        kills += 1
    assert 20 < kills < MOST_STATEMENTS - 1
