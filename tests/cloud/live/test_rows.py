"""What stands in a row, and what never does."""

import json

import pytest
from sqlalchemy import update

from cloud.database.engine import Database
from cloud.database.tables import EventRecord, Person, Place
from cloud.live.board import DoorState, GatewayPresence, changed, read_board
from cloud.live.rows import EventRow, RowFilter, RowKind, kind_of, newest, read_rows
from protocols.access_events import AccessDenied, AccessMethod, DenialReason, DoorForced, DoorHeld
from protocols.camera_events import CameraImpaired, PersonCrossedLine, PersonLoitered, SceneFault, VehicleStood
from protocols.events import EVENT_TYPES, Box, CameraOnline, Snapshot, VehicleKind
from tests.support.console import FULL_NAME, Seed, utc_now
from tests.support.events import granted, opened


def rows_of(database: Database, only: RowFilter = RowFilter.ALL) -> list[EventRow]:
    with database.read() as connection:
        return read_rows(connection, [row.id for row in connection.execute(newest(200, only=only))])


def test_a_granted_card_names_its_holder_masked_and_the_dwelling(database: Database) -> None:
    seed = Seed(database)
    seed.store(seed.gateway.event(granted(seed.credential), at=utc_now()))
    (row,) = rows_of(database)
    assert (row.person, row.dwelling, row.place, row.device) == ("欧阳*", "3栋 2单元 501", "东门岗", "东门")
    assert (row.kind, row.alarm, row.credential, row.late) == (RowKind.DOOR, False, "valid", False)


def test_a_row_says_no_more_than_a_guard_may_know(database: Database) -> None:
    seed = Seed(database)
    denied = AccessDenied(
        reader="r-east-in",
        method=AccessMethod.CARD,
        reason=DenialReason.UNKNOWN_CREDENTIAL,
        credential_hash="ab" * 16,
        policy_version=1,
        decision_us=1,
    )
    seed.store(seed.gateway.event(granted(seed.credential)), seed.gateway.event(denied))
    text = " ".join(row.model_dump_json() for row in rows_of(database))
    for secret in (FULL_NAME, "娜", "ab" * 16, str(seed.credential)):
        assert secret not in text
    assert set(json.loads(rows_of(database)[0].model_dump_json())) == set(EventRow.model_fields)


@pytest.mark.parametrize("method", AccessMethod)
def test_a_row_says_how_somebody_came_to_a_door(database: Database, method: AccessMethod) -> None:
    seed = Seed(database)
    seed.store(seed.gateway.event(granted(seed.credential).model_copy(update={"method": method})))
    (row,) = rows_of(database)
    assert (row.method, row.credential) == (method.value, "valid")


def test_an_event_of_an_unknown_type_or_an_unreadable_body_still_makes_a_row(database: Database) -> None:
    seed = Seed(database)
    seed.store(seed.gateway.event(opened()))
    with database.write() as connection:
        connection.execute(update(EventRecord).values(type="lift.called.v1", body="{}"))
    (row,) = rows_of(database)
    assert (row.type, row.kind, row.cause) == ("lift.called.v1", RowKind.SYSTEM, None)


def test_what_a_camera_s_rule_told_is_a_row_with_its_picture(database: Database) -> None:
    seed = Seed(database)
    picture = Snapshot(sha256="ab" * 32, size_bytes=1000, width=10, height=10)
    box = Box(left=0.1, top=0.1, right=0.2, bottom=0.3)
    seen = {"rule": "r", "snapshot": picture, "since": utc_now()}
    tracked = seen | {"track": 7, "score": 0.5, "box": box}
    for data in (
        PersonLoitered(dwell_s=61.5, **tracked),
        VehicleStood(kind=VehicleKind.TRUCK, still_s=90, **tracked),
        PersonCrossedLine(line="l", direction="inwards", count=3, **tracked),
        CameraImpaired(fault=SceneFault.COVERED, **seen),
    ):
        seed.store(seed.gateway.event(data, "c-east"))
    rows = {row.type: row for row in rows_of(database)}
    assert {(row.kind, row.picture) for row in rows.values()} == {(RowKind.CAMERA, "ab" * 32)}
    assert rows["person.loitered.v1"].seconds == 61.5
    assert (rows["vehicle.stood.v1"].vehicle, rows["vehicle.stood.v1"].seconds) == ("truck", 90)
    assert (rows["person.crossed_line.v1"].cause, rows["camera.impaired.v1"].cause) == ("inwards", "covered")
    assert {name for name, row in rows.items() if not row.alarm} == {"person.crossed_line.v1"}


@pytest.mark.parametrize("event_type", EVENT_TYPES)
def test_every_type_has_a_kind(event_type: str) -> None:
    assert kind_of(event_type) in RowKind


def test_filters_select_by_kind(database: Database) -> None:
    seed = Seed(database)
    camera = CameraOnline(width=640, height=360, codec="h264")
    seed.store(seed.gateway.event(opened()), seed.gateway.event(camera, "c-east"), seed.gateway.event(DoorForced()))
    counts = {only: len(rows_of(database, only)) for only in RowFilter}
    assert counts == {RowFilter.ALL: 3, RowFilter.DOORS: 2, RowFilter.CAMERAS: 1, RowFilter.ALARMS: 1}


def test_the_board_shows_every_door_and_only_changes_are_told(database: Database) -> None:
    seed = Seed(database)
    with database.read() as connection:
        before = read_board(connection)
    assert [door.state for door in before.doors] == [DoorState.UNKNOWN] * 3
    assert [row.presence for row in before.gateways] == [GatewayPresence.ONLINE]
    assert all(door.reachable for door in before.doors)

    seed.store(seed.gateway.event(DoorHeld(open_s=31), at=utc_now()))

    with database.read() as connection:
        difference = changed(before, read_board(connection))
    assert [(door.device, door.state) for door in difference.doors] == [("d-east", DoorState.HELD)]
    assert difference.gateways == ()


def test_names_are_read_as_they_are_now(database: Database) -> None:
    seed = Seed(database)
    seed.store(seed.gateway.event(granted(seed.credential)))
    with database.write() as connection:
        connection.execute(update(Person).values(name="王芳"))
        connection.execute(update(Place).where(Place.code == "gate-east").values(name="东大门"))
    (row,) = rows_of(database)
    assert (row.person, row.place) == ("王*", "东大门")
