"""Each query that staff ask is answered from its index alone, on both databases, however many events there are."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, Select, text

from cloud.accounts.scope import WHOLE, Recent, Scope
from cloud.database.engine import Database
from cloud.database.tables import EventRecord
from cloud.ingest.postgresql_store import PostgresqlStore
from cloud.ingest.sqlite_store import SqliteStore
from cloud.linking.queries import Span, events_at_door, events_of, quiet_query
from cloud.linking.ties import near_query
from cloud.live.rows import newest, read_rows
from tests.support.events import NOON, new_id
from tests.support.plans import plans_of
from tests.support.stored_events import Scene, stored_events

COUNT = 20_000
SCENE = Scene(
    doors=[(f"g{i}", f"d{j}", new_id()) for i in range(5) for j in range(4)],
    holders=[tuple(new_id() for _ in range(6)) for _ in range(300)],
    since=NOON - timedelta(days=90),
    until=NOON,
)
NIGHT = Span(NOON - timedelta(hours=12), NOON)
WEEK = Span(NOON - timedelta(days=7), NOON)
MONTH = Span(NOON - timedelta(days=30), NOON)


def explained(connection: Connection, query: Select[Any]) -> str:
    """The plan, in the database's own words."""
    command = "EXPLAIN QUERY PLAN" if connection.dialect.name == "sqlite" else "EXPLAIN"
    spelt = query.compile(connection, compile_kwargs={"literal_binds": True})
    rows = connection.exec_driver_sql(f"{command} {spelt}").all()
    return "\n".join(str(row[-1]) for row in rows)


@contextmanager
def filled(database: Database) -> Iterator[Connection]:
    store = (SqliteStore if database.dialect == "sqlite" else PostgresqlStore)(database)
    store.begin()
    store.insert_events(list(stored_events(SCENE, COUNT)))
    store.commit()
    store.close()
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE" if database.dialect == "sqlite" else "VACUUM ANALYZE"))
    with database.read() as connection:
        yield connection


def asked() -> list[tuple[str, Select[Any]]]:
    gateway, device, _ = SCENE.doors[7]
    credential, person, dwelling, *_ = SCENE.holders[11]
    return [
        ("ix_event_gateway_id_subject_time", events_at_door(gateway, device, NIGHT, 200)),
        ("ix_event_dwelling_id_time", events_of(EventRecord.dwelling_id, dwelling, WEEK, 200, WHOLE)),
        ("ix_event_credential_id_time", events_of(EventRecord.credential_id, credential, MONTH, 200, WHOLE)),
        ("ix_event_person_id_time", events_of(EventRecord.person_id, person, MONTH, 200, WHOLE)),
        ("ix_event_denied_for_time", events_of(EventRecord.denied_for, "expired", WEEK, 200, WHOLE)),
        ("ix_event_received_at", newest(200)),
        ("ix_event_received_at", newest(200, after=NOON - timedelta(seconds=2))),
        ("ix_event_received_at", newest(200, within=Scope(recent=Recent(lambda: NOON)))),
    ]


def test_each_query_reads_its_index_and_no_row(database: Database) -> None:
    with filled(database) as connection:
        for index, query in asked():
            plan = explained(connection, query)
            if database.dialect == "sqlite":
                assert f"USING COVERING INDEX {index}" in plan, plan
                assert "SCAN event USING" in plan or "SEARCH event" in plan, plan
            else:
                assert f"Index Only Scan Backward using {index}" in plan, plan
                assert "Sort" not in plan, plan
            assert "TEMP B-TREE" not in plan, plan
            assert len(connection.execute(query).all()) > 0 or "received" in index


def test_passages_and_ties_are_found_by_their_indexes(database: Database) -> None:
    with filled(database) as connection:
        quiet = quiet_query(WHOLE, NOON - timedelta(days=7), NOON, 100, "")
        (plan,) = plans_of(connection, lambda: connection.execute(quiet).all())
        assert "ix_event_passage" in plan, plan
        near = near_query(SCENE.doors[0][2], NOON - timedelta(minutes=1), NOON)
        (plan,) = plans_of(connection, lambda: connection.execute(near).all())
        assert "ix_event_place_id_time" in plan, plan
        assert "Seq Scan on event" not in plan, plan


def test_clips_of_rows_are_found_by_their_own_index(database: Database) -> None:
    with filled(database) as connection:
        ids = [row.id for row in connection.execute(newest(200))]
        _rows, clips = plans_of(connection, lambda: read_rows(connection, ids))
    assert "ix_event_clips" in clips, clips
    assert "Seq Scan on event" not in clips, clips


@pytest.mark.parametrize("column", ["dwelling_id", "credential_id"])
def test_the_rows_of_a_query_are_the_latest_and_no_more_than_asked_for(database: Database, column: str) -> None:
    holder = SCENE.holders[11]
    value = holder[0] if column == "credential_id" else holder[2]
    with filled(database) as connection:
        span = Span(SCENE.since, SCENE.until)
        ids = connection.scalars(events_of(getattr(EventRecord, column), value, span, 5, WHOLE)).all()
    field = [row for row in stored_events(SCENE, COUNT) if value.hex in row[8:15]]
    assert [id_.hex for id_ in ids] == [row[0] for row in reversed(field)][:6]
