"""No notice is lost when the hub is killed at any instant, and what is sent twice has the same key.

A real process raises alarms and sends, and is killed (SIGKILL, by itself) right before its n-th statement or commit, or
right after a message was taken, for every n; then another goes on.
"""

import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import func, select

from cloud.database.engine import Database, open_database
from cloud.database.tables import AlarmTold, Notice
from protocols.access_events import DoorForced
from tests.peers.http_receiver import HttpReceiver
from tests.support.databases import PostgresqlCluster, new_sqlite, remove
from tests.support.killing import killed_before
from tests.support.notify import NotifyingCity, secret_file

MOST_STATEMENTS = 400


@pytest.fixture(params=["sqlite", "postgresql"])
def copies(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[NotifyingCity], NotifyingCity]]:
    """Gives the city again and again, each time with a copy of its database."""
    made: list[Database] = []

    def copy(first: NotifyingCity) -> NotifyingCity:
        if request.param == "sqlite":
            shutil.copy(tmp_path / "hub.db", tmp_path / f"{len(made)}.db")
            made.append(open_database(f"sqlite:///{tmp_path / f'{len(made)}.db'}"))
        else:
            made.append(request.getfixturevalue("postgresql_cluster").new_copy(first.database))
        return first.on(made[-1])  # type: ignore[return-value]

    yield copy
    for database in made:
        remove(database)


def first_database(request: pytest.FixtureRequest, folder: Path) -> Database:
    if request.node.callspec.params["copies"] == "sqlite":
        return new_sqlite(folder)
    cluster: PostgresqlCluster = request.getfixturevalue("postgresql_cluster")
    return cluster.new_database()


def raise_and_send(city: NotifyingCity, database: Database) -> None:
    """What is stored."""
    here = city.on(database)
    here.engine.run_once()
    here.new_sender().run_once("own")  # type: ignore[attr-defined]


def finish(city: NotifyingCity) -> None:
    city.new_engine().run_once()
    city.clock.forward(20)  # the dead process's hold on the channel ends
    city.new_sender().run_once("own")


@pytest.mark.timeout(900)
def test_killed_at_any_instant(
    copies: Callable[[NotifyingCity], NotifyingCity], request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    with HttpReceiver() as receiver:
        key = secret_file(tmp_path, "key", "k")
        hook = {"kind": "webhook", "url": receiver.url, "secret_file": key, "private": True}
        settings = {"channels": {"own": hook}, "routes": {"all": {"channel": "own"}}}
        first = NotifyingCity(first_database(request, tmp_path), settings)
        first.store(*(first.gateways["east"].event(DoorForced(), device=f"d-{n}", at=first.clock()) for n in range(2)))
        first.database.close()
        twice = 0
        for statements in range(1, MOST_STATEMENTS):
            receiver.got.clear()
            city = copies(first)
            was_killed = killed_before(city.database, statements, partial(raise_and_send, city))
            finish(city)
            with city.database.read() as connection:
                told = connection.execute(select(func.count(func.distinct(AlarmTold.alarm_id)))).scalar_one()
                notices = connection.execute(select(func.count()).select_from(Notice)).scalar_one()
            assert (told, notices) == (2, 2), f"killed before statement {statements}"
            assert city.states() == ["sent", "sent"], f"killed before statement {statements}"
            keys = {got.headers["Idempotency-Key"]: got.json()["alarms"][0]["alarm"] for got in receiver.got}
            assert len(keys) == len(set(keys.values())) == 2, "each alarm comes under one key, however often"
            assert len({(got.headers["Idempotency-Key"], got.body) for got in receiver.got}) == 2
            twice += max(Counter(got.headers["Idempotency-Key"] for got in receiver.got).values()) - 1
            if not was_killed:
                break
        assert 30 < statements < MOST_STATEMENTS - 1
        assert 0 < twice < statements / 2, "some kills come between sending and writing it down"
