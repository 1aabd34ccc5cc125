"""A camera names nobody: its events are tied to a place and to the door events beside them, and never to a person."""

import json
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, update

from cloud.accounts.scope import WHOLE, Scope
from cloud.database.engine import Database
from cloud.database.tables import EventRecord, Place, Residency
from cloud.ingest.arrival import arrival_of
from cloud.ingest.batch import Batch
from cloud.ingest.writer import EventWriter
from cloud.linking import ties as module
from cloud.linking.relinking import Relinker
from cloud.linking.ties import MAX_TIES, ties
from cloud.register.paths import subtree
from protocols.camera_events import PersonTailgated
from protocols.event_data import Box
from protocols.event_reading import fields_of
from protocols.events import EVENT_TYPES, Event, PersonEnteredZone
from tests.support.events import NOON, FakeGateway, arrivals, granted, opened
from tests.support.linking import CREDENTIALS, DWELLINGS, GRIDS, PERSONS, PLACES, Interval, Lies, Register, Stay, fill

GATE = PLACES[4]
BOX = Box(left=0.1, top=0.1, right=0.3, bottom=0.3)
CAMERA_TYPES = sorted(name for name in EVENT_TYPES if name.split(".")[0] in ("person", "vehicle", "camera", "clip"))


def seen() -> PersonEnteredZone:
    return PersonEnteredZone(zone="z", track=1, score=0.9, box=BOX)


def tailgated(since: Any) -> PersonTailgated:
    return PersonTailgated(rule="r", door="d-east", track=1, box=BOX, persons=2, grants=1, since=since)


@pytest.fixture
def gateway(database: Database) -> FakeGateway:
    stays = (Stay(UUID(int=1), PERSONS[0], DWELLINGS[0], Interval(0, None)),)
    grids = (Lies(GATE, GRIDS[0], Interval(0, None)),)
    fill(database, Register({CREDENTIALS[0]: PERSONS[0]}, stays=stays, grids=grids, doors=(("d-east", GATE),)))
    return FakeGateway("g1")


def at_gate(gateway: FakeGateway, data: Any, after_s: float = 0.0, device: str = "c-east") -> Event:
    return gateway.event(data, device=device, at=NOON + timedelta(seconds=after_s), place=f"place-{GATE.int}")


def store(database: Database, *events: Event) -> None:
    writer = EventWriter(database)
    writer.store(Batch(NOON, arrivals(events)))
    writer.close()


def tied(database: Database, event: Event, scope: Scope = WHOLE) -> list[tuple[UUID, float]]:
    with database.read() as connection:
        return [(tie.door_event, tie.apart_s) for tie in ties(connection, scope, [event.id])]


def test_no_camera_event_ever_gets_a_person(database: Database, gateway: FakeGateway) -> None:
    """Even one that says itself that it knows a credential and a person, while that person passes the door."""
    names = {"credential": str(CREDENTIALS[0]), "person": str(PERSONS[0]), "person_id": str(PERSONS[0])}
    forged = []
    for i, kind in enumerate(CAMERA_TYPES):
        event = at_gate(gateway, seen(), i / 10)
        fields = {**fields_of(event), "type": kind, "data": {**names, "ranges": []}}
        forged.append(
            arrival_of(fields, json.dumps({**event.model_dump(mode="json"), **{"type": kind, "data": names}}))
        )
    writer = EventWriter(database)
    writer.store(Batch(NOON, [*forged, *arrivals([at_gate(gateway, granted(CREDENTIALS[0]), device="d-east")])]))
    writer.close()
    with database.write() as connection:
        connection.execute(update(Residency).values(dwelling_id=DWELLINGS[1]))
    relinker = Relinker(database, lambda: NOON)
    relinker.ask(NOON - timedelta(days=1), None, "", "")
    while relinker.step() is not None:
        pass
    assert len(forged) == len(CAMERA_TYPES) > 15
    with database.read() as connection:
        rows = connection.execute(select(EventRecord.__table__)).all()
    of_cameras = [row for row in rows if row.type in CAMERA_TYPES]
    assert len(of_cameras) == len(CAMERA_TYPES)
    for row in of_cameras:
        assert (row.credential_id, row.person_id, row.dwelling_id, row.household_id, row.joint_unit_id) == (None,) * 5
        assert (row.place_id, row.grid_id) == (GATE, GRIDS[0])
    assert [row.person_id for row in rows if row.type == "access.granted.v1"] == [PERSONS[0]]


def test_a_tie_names_no_person(database: Database, gateway: FakeGateway) -> None:
    camera = at_gate(gateway, seen())
    store(database, camera, at_gate(gateway, granted(CREDENTIALS[0]), -1, "d-east"))
    with database.read() as connection:
        [tie] = ties(connection, WHOLE, [camera.id])
    assert set(tie.__dict__) == {"camera_event", "door_event", "type", "apart_s"}


def test_door_events_within_seconds_are_tied_whichever_came_first(database: Database, gateway: FakeGateway) -> None:
    camera = at_gate(gateway, seen())
    doors = [at_gate(gateway, opened(), after_s, "d-east") for after_s in (-11, -10, 0, 5, 6)]
    store(database, doors[3])
    store(database, camera)
    assert tied(database, camera) == [(doors[3].id, 5.0)]
    store(database, *doors)  # late: the gateway had been away
    assert tied(database, camera) == [(doors[1].id, -10.0), (doors[2].id, 0.0), (doors[3].id, 5.0)]
    assert tied(database, doors[2]) == []


def test_a_tailgating_is_tied_to_the_grants_since_it_began(database: Database, gateway: FakeGateway) -> None:
    grants = [at_gate(gateway, granted(CREDENTIALS[0]), after_s, "d-east") for after_s in (-90, -40, -30)]
    camera = at_gate(gateway, tailgated(NOON - timedelta(seconds=35)))
    old = at_gate(gateway, tailgated(NOON - timedelta(hours=3)))
    store(database, *grants, camera, old)
    assert tied(database, camera) == [(grants[1].id, -40.0), (grants[2].id, -30.0)]
    assert tied(database, old) == [(grants[1].id, -40.0), (grants[2].id, -30.0)]


def test_another_place_and_a_place_outside_the_scope_have_no_ties(database: Database, gateway: FakeGateway) -> None:
    camera = at_gate(gateway, seen())
    elsewhere = gateway.event(opened(), device="d-west", at=NOON, place=f"place-{PLACES[5].int}")
    store(database, camera, elsewhere)
    assert tied(database, camera) == []
    store(database, at_gate(gateway, opened(), 1, "d-east"))
    with database.read() as connection:
        path = {row.id: row.path for row in connection.execute(select(Place.id, Place.path))}
    assert len(tied(database, camera, Scope(subtree(path[GATE])))) == 1
    assert tied(database, camera, Scope(subtree(path[PLACES[5]]))) == []


def test_of_many_the_nearest_are_tied(
    database: Database, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_TIES", 2)
    camera = at_gate(gateway, seen())
    doors = [at_gate(gateway, opened(), after_s, "d-east") for after_s in (-9, -1, 2, 4)]
    store(database, camera, *doors)
    assert tied(database, camera) == [(doors[1].id, -1.0), (doors[2].id, 2.0)]
    assert MAX_TIES > 2
