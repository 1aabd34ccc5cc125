"""Links are what the register said at the event's time: the batch query against a slow, obvious reference."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, insert

from cloud.database.engine import Database
from cloud.database.tables import AccessPass, Credential, Door, Gateway, Person, Place, Residency
from cloud.ingest.postgresql_store import PostgresqlStore
from cloud.ingest.sqlite_store import SqliteStore
from cloud.linking.links import LinkKey, Links, link_key
from protocols.access_events import AccessDenied, AccessMethod, DenialReason
from protocols.event_reading import fields_of
from tests.support.events import FakeGateway, granted, opened

START = datetime(2026, 1, 1, tzinfo=UTC)
PLACES = [UUID(int=i) for i in range(1, 7)]
PERSONS = [UUID(int=100 + i) for i in range(3)]
CREDENTIALS = [UUID(int=200 + i) for i in range(4)]


def day(number: int) -> datetime:
    return START + timedelta(days=number)


@dataclass(frozen=True)
class Stay:
    id: UUID
    person: UUID
    dwelling: UUID
    since: int
    until: int | None


@dataclass(frozen=True)
class Register:
    holders: dict[UUID, UUID]
    stays: tuple[Stay, ...]
    doors: dict[str, UUID]


def key_of(credential: UUID | None, at: float, place: str, device: str) -> LinkKey:
    """What an event asks for at `at` days after the start."""
    at_us = int(START.timestamp() + at * 86400) * 10**6
    return (place, "g1", device), f"{credential.hex}{at_us}" if credential else None


def reference(register: Register, credential: UUID | None, day_number: float, code: str, device: str) -> Links:
    """One event at a time, in plain words."""
    place = {f"place-{place.int}": place for place in PLACES}.get(code) or register.doors.get(device)
    person = register.holders.get(credential) if credential else None
    if person is None:
        return place.hex if place else None, None, None, None
    homes = [
        stay
        for stay in register.stays
        if stay.person == person and stay.since <= day_number and (stay.until is None or day_number < stay.until)
    ]
    home = max(homes, key=lambda stay: (stay.since, stay.id.int)).dwelling.hex if homes else None
    return place.hex if place else None, credential.hex if credential else None, person.hex, home


def fill(database: Database, register: Register) -> None:
    with database.write() as connection:
        for table in (Credential, Residency, Door, Gateway, Person, Place):
            connection.execute(delete(table))
        connection.execute(
            insert(Place),
            [{"id": p, "kind": "dwelling", "code": f"place-{p.int}", "name": "x", "path": p.bytes[8:]} for p in PLACES],
        )
        connection.execute(insert(Person), [{"id": person, "name": "张伟"} for person in PERSONS])
        connection.execute(insert(Gateway), [{"id": "g1", "created_at": START, "session": 0}])
        for credential, person in register.holders.items():
            values = {"id": credential, "person_id": person, "number_sealed": b"", "number_index": credential.hex}
            connection.execute(insert(Credential).values(**values))
        for stay in register.stays:
            connection.execute(
                insert(Residency).values(
                    id=stay.id,
                    person_id=stay.person,
                    dwelling_id=stay.dwelling,
                    role="tenant",
                    since=day(stay.since),
                    until=None if stay.until is None else day(stay.until),
                )
            )
        for device, place in register.doors.items():
            door = {"id": uuid4(), "gateway_id": "g1", "device": device, "place_id": place}
            connection.execute(insert(Door).values(**door, name="x"))


def resolved(database: Database, keys: list[LinkKey]) -> list[Links]:
    store = (SqliteStore if database.dialect == "sqlite" else PostgresqlStore)(database)
    store.begin()
    try:
        return store.links(keys)
    finally:
        store.rollback()
        store.close()


stays = st.lists(
    st.builds(
        Stay,
        id=st.uuids(),
        person=st.sampled_from(PERSONS),
        dwelling=st.sampled_from(PLACES[:3]),
        since=st.integers(0, 20),
        until=st.none() | st.integers(0, 25),
    ),
    max_size=12,
    unique_by=lambda stay: stay.id,
)
registers = st.builds(
    Register,
    holders=st.dictionaries(st.sampled_from(CREDENTIALS[:3]), st.sampled_from(PERSONS)),
    stays=stays.map(tuple),
    doors=st.dictionaries(st.sampled_from(["d-east", "d-west"]), st.sampled_from(PLACES[:2])),
)
asked = st.lists(
    st.tuples(
        st.none() | st.sampled_from(CREDENTIALS),
        st.sampled_from([0.0, 1.0, 4.5, 5.0, 9.999, 10.0, 20.0, 30.0]),
        st.sampled_from([*(f"place-{p.int}" for p in PLACES), "nowhere", "它处"]),
        st.sampled_from(["d-east", "d-west", "c-east"]),
    ),
    max_size=30,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(register=registers, questions=asked)
def test_the_batch_query_agrees_with_the_reference(
    database: Database, register: Register, questions: list[tuple[UUID | None, float, str, str]]
) -> None:
    fill(database, register)
    keys = [key_of(*question) for question in questions]
    expected = [reference(register, *question) for question in questions]
    assert resolved(database, keys) == expected


@pytest.mark.parametrize(("moved_in", "moved_out", "lives_there"), [(0, 0, False), (0, 1, True), (-1, 0, False)])
def test_a_residency_includes_its_first_instant_and_not_its_last(
    database: Database, moved_in: int, moved_out: int, lives_there: bool
) -> None:
    stay = Stay(UUID(int=1), PERSONS[0], PLACES[0], 10 + moved_in, 10 + moved_out)
    fill(database, Register({CREDENTIALS[0]: PERSONS[0]}, (stay,), {}))
    [(_, _, person, dwelling)] = resolved(database, [key_of(CREDENTIALS[0], 10, "x", "d")])
    assert person == PERSONS[0].hex
    assert (dwelling is not None) is lives_there


def test_a_pass_links_to_its_host_s_dwelling_and_to_no_person(database: Database) -> None:
    stay = Stay(uuid4(), PERSONS[0], PLACES[0], 0, None)
    fill(database, Register({CREDENTIALS[0]: PERSONS[0]}, (stay,), {}))
    with database.write() as connection:
        connection.execute(
            insert(AccessPass).values(id=CREDENTIALS[0], kind="guest", label="x", days=[], created_at=START)
        )
    keys = [key_of(CREDENTIALS[0], 1.0, "", "none")]
    assert resolved(database, keys) == [(None, CREDENTIALS[0].hex, None, PLACES[0].hex)]


def test_an_event_asks_for_the_credential_that_was_presented() -> None:
    gateway = FakeGateway("g1")
    where = ("gate-east", "g1", "d-east")
    assert link_key(fields_of(gateway.event(granted(CREDENTIALS[0]))), 12) == (where, f"{CREDENTIALS[0].hex}12")
    refused = AccessDenied(
        reader="r",
        method=AccessMethod.CARD,
        reason=DenialReason.EXPIRED,
        credential=CREDENTIALS[1],
        policy_version=1,
        decision_us=1,
    )
    assert link_key(fields_of(gateway.event(refused)), 0) == (where, f"{CREDENTIALS[1].hex}0")
    assert link_key(fields_of(gateway.event(opened())), 12) == (where, None)


def test_an_empty_batch_asks_nothing(database: Database) -> None:
    assert resolved(database, []) == []
