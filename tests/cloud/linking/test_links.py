"""Links are what the register said at the event's time: the batch query against a slow, obvious reference."""

from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select

from cloud.database.engine import Database
from cloud.database.tables import EventRecord
from cloud.ingest.batch import Batch
from cloud.ingest.postgresql_store import PostgresqlStore
from cloud.ingest.sqlite_store import SqliteStore
from cloud.ingest.writer import EventWriter
from cloud.linking.links import LINK_FIELDS, LinkKey, Links, link_key
from protocols.access_events import AccessDenied, AccessMethod, DenialReason
from protocols.event_reading import fields_of
from protocols.events import Event
from tests.support.events import NOON, FakeGateway, arrivals, granted, opened
from tests.support.linking import (
    CREDENTIALS,
    DWELLINGS,
    GRIDS,
    HOUSEHOLDS,
    PERSONS,
    PLACES,
    UNITS,
    Asked,
    Interval,
    Lies,
    Register,
    Stay,
    day,
    fill,
    questions,
    reference,
    registers,
)

ALWAYS = Interval(0, None)
TEN_TO_ELEVEN = Interval(10, 11)
HOLDER = {CREDENTIALS[0]: PERSONS[0]}


def resolved(database: Database, keys: list[LinkKey]) -> list[Links]:
    store = (SqliteStore if database.dialect == "sqlite" else PostgresqlStore)(database)
    store.begin()
    try:
        return store.links(keys)
    finally:
        store.rollback()
        store.close()


def link(database: Database, at: float, name: str) -> str | None:
    """One link of an event of the first card, at no place."""
    [links] = resolved(database, [Asked(CREDENTIALS[0], at, "nowhere", "none").key])
    return dict(zip(LINK_FIELDS, links, strict=True))[name]


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(register=registers, asked=st.lists(questions, max_size=30))
def test_the_batch_query_agrees_with_the_reference(database: Database, register: Register, asked: list[Asked]) -> None:
    fill(database, register)
    expected = [reference(register, each) for each in asked]
    assert resolved(database, [each.key for each in asked]) == expected


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(register=registers, asked=st.lists(questions, min_size=1, max_size=20), data=st.data())
def test_late_events_in_any_order_and_batches_are_stored_with_the_links_of_their_own_time(
    database: Database, register: Register, asked: list[Asked], data: st.DataObject
) -> None:
    fill(database, register)
    with database.write() as connection:
        connection.execute(delete(EventRecord))
    gateway, expected = FakeGateway("g1"), {}
    events: list[Event] = []
    for each in asked:
        told = granted(each.credential) if each.credential else opened()
        events.append(gateway.event(told, device=each.device, at=day(each.at), place=each.place))
        expected[events[-1].id] = reference(register, Asked(each.credential, each.at, each.place, each.device))
    shuffled = data.draw(st.permutations(events))
    cut = data.draw(st.integers(0, len(shuffled)))
    writer = EventWriter(database)
    received = NOON + timedelta(days=300)
    for part in (shuffled[:cut], shuffled[cut:], shuffled[:2]):
        writer.store(Batch(received, arrivals(part)))
    writer.close()
    with database.read() as connection:
        rows = connection.execute(select(EventRecord.id, *(getattr(EventRecord, name) for name in LINK_FIELDS))).all()
    assert {row[0]: tuple(id_ and id_.hex for id_ in row[1:]) for row in rows} == expected


@pytest.mark.parametrize(("at", "holds"), [(9.9, False), (10, True), (10.9, True), (11, False)])
def test_every_interval_includes_its_first_instant_and_not_its_last(database: Database, at: float, holds: bool) -> None:
    stays = (Stay(UUID(int=1), PERSONS[0], DWELLINGS[0], TEN_TO_ELEVEN),)
    fill(database, Register(HOLDER, stays=stays))
    assert (link(database, at, "dwelling_id") is not None) is holds
    assert link(database, at, "person_id") == PERSONS[0].hex
    fill(
        database,
        Register(
            HOLDER,
            stays=(Stay(UUID(int=1), PERSONS[0], DWELLINGS[0], ALWAYS, HOUSEHOLDS[0]),),
            households=((HOUSEHOLDS[0], TEN_TO_ELEVEN),),
            grids=(Lies(DWELLINGS[0], GRIDS[0], TEN_TO_ELEVEN),),
            units=(Lies(DWELLINGS[0], UNITS[0], TEN_TO_ELEVEN),),
        ),
    )
    for name in ("household_id", "grid_id", "joint_unit_id"):
        assert (link(database, at, name) is not None) is holds, name


def test_of_overlapping_tenancies_the_one_that_began_last_counts(database: Database) -> None:
    stays = (
        Stay(UUID(int=9), PERSONS[0], DWELLINGS[0], Interval(0, 20), HOUSEHOLDS[0]),
        Stay(UUID(int=1), PERSONS[0], DWELLINGS[1], Interval(5, 10), HOUSEHOLDS[1]),
    )
    households = ((HOUSEHOLDS[0], ALWAYS), (HOUSEHOLDS[1], ALWAYS))
    fill(database, Register(HOLDER, stays=stays, households=households))
    assert [link(database, at, "household_id") for at in (4, 5, 10)] == [
        HOUSEHOLDS[0].hex,
        HOUSEHOLDS[1].hex,
        HOUSEHOLDS[0].hex,
    ]


def test_a_grid_that_was_drawn_anew_keeps_the_events_of_before(database: Database) -> None:
    gate = PLACES[4]
    moved = (Lies(gate, GRIDS[0], Interval(0, 10)), Lies(gate, GRIDS[1], Interval(10, None)))
    fill(database, Register({}, grids=moved))
    keys = [Asked(None, at, f"place-{gate.int}", "c-east").key for at in (30, 9.999, 10)]
    assert [links[LINK_FIELDS.index("grid_id")] for links in resolved(database, keys)] == [
        GRIDS[1].hex,
        GRIDS[0].hex,
        GRIDS[1].hex,
    ]


def test_the_grid_is_the_dwelling_s_before_it_is_the_place_s(database: Database) -> None:
    gate = PLACES[4]
    at_home = Lies(DWELLINGS[0], GRIDS[0], Interval(0, 10))
    stays = (Stay(UUID(int=1), PERSONS[0], DWELLINGS[0], ALWAYS),)
    fill(database, Register(HOLDER, stays=stays, grids=(at_home, Lies(gate, GRIDS[1], ALWAYS))))
    keys = [Asked(CREDENTIALS[0], at, f"place-{gate.int}", "d-east").key for at in (1, 20)]
    assert [links[LINK_FIELDS.index("grid_id")] for links in resolved(database, keys)] == [GRIDS[0].hex, GRIDS[1].hex]


def test_a_pass_links_to_its_host_s_dwelling_and_household_and_to_no_person(database: Database) -> None:
    stays = (Stay(UUID(int=1), PERSONS[0], DWELLINGS[0], ALWAYS, HOUSEHOLDS[0]),)
    guest = frozenset({CREDENTIALS[0]})
    fill(database, Register(HOLDER, guest, stays, households=((HOUSEHOLDS[0], ALWAYS),)))
    [links] = resolved(database, [Asked(CREDENTIALS[0], 1.0, "", "none").key])
    assert links == (None, CREDENTIALS[0].hex, None, DWELLINGS[0].hex, HOUSEHOLDS[0].hex, None, None)


def test_an_event_asks_for_the_credential_that_was_presented() -> None:
    gateway = FakeGateway("g1")
    where = ("gate-east", "g1", "d-east")
    assert link_key(fields_of(gateway.event(granted(CREDENTIALS[0]))), 12) == (where, 12, CREDENTIALS[0].hex)
    refused = AccessDenied(
        reader="r",
        method=AccessMethod.CARD,
        reason=DenialReason.EXPIRED,
        credential=CREDENTIALS[1],
        policy_version=1,
        decision_us=1,
    )
    assert link_key(fields_of(gateway.event(refused)), 0) == (where, 0, CREDENTIALS[1].hex)
    assert link_key(fields_of(gateway.event(opened())), 12) == (where, 12, None)


def test_an_empty_batch_asks_nothing(database: Database) -> None:
    assert resolved(database, []) == []
