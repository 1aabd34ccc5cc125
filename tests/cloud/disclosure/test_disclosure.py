"""What is told beyond the mask: for a purpose, written down first, and by two people where it becomes too much."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import delete, select, text, update

from cloud.audit import BrokenChain, looks_at, verify_chain
from cloud.database.engine import Database
from cloud.database.tables import AccountRole, AuditEntry, AuditSubject, HistoryLook, Person
from cloud.disclosure import DAILY_HISTORIES
from cloud.register.people import ID_NUMBER, PHONE
from tests.support import register as given
from tests.support.console import FULL_NAME, RunningConsole, utc_now
from tests.support.events import granted
from tests.support.two_communities import FOREIGN, TwoCommunities

PURPOSE = "water runs out of the dwelling"


@pytest.fixture
def world(database: Database, tmp_path: Path) -> Iterator[TwoCommunities]:
    running = RunningConsole(database, tmp_path)
    seal = given.vault().seal
    sealed = {"phone_sealed": seal(b"13800001234", PHONE), "id_number_sealed": seal(b"11010519491231002X", ID_NUMBER)}
    with database.write() as connection:
        connection.execute(update(Person).values(**sealed))
    yield TwoCommunities(running)
    running.stop()


@pytest.fixture
def person(world: TwoCommunities) -> UUID:
    with world.console.database.read() as connection:
        return connection.execute(select(Person.id).where(Person.name == FULL_NAME)).scalar_one()


def reveal(client: httpx.Client, person: UUID, *fields: str, purpose: str = PURPOSE) -> httpx.Response:
    return client.post(f"/api/v1/people/{person}/reveal", json={"fields": list(fields), "purpose": purpose})


def ask(client: httpx.Client, person: UUID, **changed: Any) -> httpx.Response:
    now = utc_now()
    values = {"purpose": PURPOSE, "case_number": "2026-17", "since": (now - timedelta(days=7)).isoformat()}
    until = (now + timedelta(hours=1)).isoformat()
    return client.post(f"/api/v1/people/{person}/histories", json={**values, "until": until, **changed})


def audited(world: TwoCommunities, prefix: str) -> list[tuple[str, dict[str, Any]]]:
    query = select(AuditEntry.action, AuditEntry.detail).order_by(AuditEntry.number)
    with world.console.database.read() as connection:
        return [(action, detail) for action, detail in connection.execute(query) if action.startswith(prefix)]


def test_a_mask_is_lifted_for_a_purpose_and_only_as_far_as_asked(world: TwoCommunities, person: UUID) -> None:
    with world.client(AccountRole.COMMUNITY) as client:
        assert reveal(client, person, "phone").json() == {"name": None, "phone": "13800001234", "id_tail": None}
        told = reveal(client, person, "name", "id_tail").json()
    assert told == {"name": FULL_NAME, "phone": None, "id_tail": "002X"}
    assert audited(world, "person.") == [
        ("person.reveal", {"person": str(person), "fields": "phone", "purpose": PURPOSE}),
        ("person.reveal", {"person": str(person), "fields": "id_tail name", "purpose": PURPOSE}),
    ]


@pytest.mark.parametrize("fields", [[], ["id_number"], ["name", "religion"]])
def test_what_may_not_be_told_is_not_told_to_anybody(world: TwoCommunities, person: UUID, fields: list[str]) -> None:
    with world.client(AccountRole.COMMUNITY) as client:
        assert reveal(client, person, *fields).status_code == 422
        assert reveal(client, person, "name", purpose="   x ").status_code == 422
    assert audited(world, "person.") == []


def test_what_cannot_be_audited_is_not_told(world: TwoCommunities, person: UUID) -> None:
    refuse = "CREATE TRIGGER refuse BEFORE INSERT ON audit_entry BEGIN SELECT RAISE(ABORT, 'full'); END"
    if world.console.database.dialect == "postgresql":
        refuse = "ALTER TABLE audit_entry ADD CONSTRAINT refuse CHECK (number < 0) NOT VALID"
    with world.client(AccountRole.COMMUNITY) as client:
        with world.console.database.write() as connection:
            connection.execute(text(refuse))
        answer = reveal(client, person, "name")
    assert answer.status_code == 503
    assert FULL_NAME not in answer.text


def test_a_history_is_read_for_a_case_and_holds_what_lies_in_one_s_part(world: TwoCommunities, person: UUID) -> None:
    seed = world.console.seed
    own = seed.gateway.event(granted(seed.credential), at=utc_now())
    foreign = world.gateway.event(granted(seed.credential), FOREIGN.device, place=FOREIGN.place, at=utc_now())
    world.console.store(own, foreign)
    with world.client(AccountRole.TOWNSHIP) as client, world.client(AccountRole.DISTRICT, bound=False) as district:
        asked = ask(client, person)
        assert (asked.status_code, asked.json()["state"]) == (201, "open"), asked.text
        found = client.get(f"/api/v1/histories/{asked.json()['id']}/events").json()
        assert [event["id"] for event in found["events"]] == [str(own.id)]
        assert district.get(f"/api/v1/histories/{asked.json()['id']}/events").status_code == 404
        whole = district.get(f"/api/v1/histories/{ask(district, person).json()['id']}/events").json()
    assert {event["id"] for event in whole["events"]} == {str(own.id), str(foreign.id)}
    noted = audited(world, "person.history")
    assert [action for action, _ in noted] == ["person.history.ask", "person.history"] * 2
    assert all(detail["case"] == "2026-17" and detail["person"] == str(person) for _, detail in noted)


@pytest.mark.parametrize("changed", [{"case_number": ""}, {"purpose": "no"}, {"since": "2020-01-01T00:00:00Z"}])
def test_a_history_needs_a_purpose_a_case_and_a_time(
    world: TwoCommunities, person: UUID, changed: dict[str, str]
) -> None:
    with world.client(AccountRole.TOWNSHIP) as client:
        assert ask(client, person, **changed).status_code == 422


def test_above_the_daily_limit_another_person_confirms(world: TwoCommunities, person: UUID) -> None:
    with world.client(AccountRole.TOWNSHIP) as client, world.client(AccountRole.TOWNSHIP) as other:
        states = [ask(client, person).json()["state"] for _ in range(DAILY_HISTORIES + 1)]
        assert states == ["open"] * DAILY_HISTORIES + ["waiting"]
        [waits] = other.get("/api/v1/histories/waiting").json()["items"]
        path = f"/api/v1/histories/{waits['id']}"
        assert client.get(f"{path}/events").status_code == 409
        assert client.post(f"{path}/confirm").status_code == 409
        assert other.post(f"{path}/confirm").json()["state"] == "open"
        assert other.post(f"{path}/confirm").status_code == 409
        assert client.get(f"{path}/events").status_code == 200
        with world.console.database.write() as connection:
            connection.execute(update(HistoryLook).values(asked_at=utc_now() - timedelta(days=1, seconds=1)))
        assert client.get(f"{path}/events").status_code == 409
        assert ask(client, person).json()["state"] == "open"


def test_an_auditor_tells_a_person_who_looked(world: TwoCommunities, person: UUID) -> None:
    with world.client(AccountRole.COMMUNITY) as client, world.client(AccountRole.AUDITOR) as auditor:
        reveal(client, person, "phone")
        [look] = auditor.get(f"/api/v1/audit/subjects/{person}").json()["items"][1:]
        assert reveal(auditor, person, "phone").status_code == 403
    assert (look["action"], look["detail"]["purpose"]) == ("person.reveal", PURPOSE)
    assert look["account"] is not None
    assert [row.action for row in looks_at(world.console.database, person)] == ["person.looks", "person.reveal"]


def test_the_check_of_the_audit_finds_a_look_that_was_taken_from_the_list(world: TwoCommunities, person: UUID) -> None:
    with world.client(AccountRole.COMMUNITY) as client:
        reveal(client, person, "phone")
    verify_chain(world.console.database)
    with world.console.database.write() as connection:
        connection.execute(delete(AuditSubject))
    with pytest.raises(BrokenChain, match="taken from"):
        verify_chain(world.console.database)
