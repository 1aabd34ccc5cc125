"""What a person asks for at the window: two accounts, a purpose, a case, and the whole of it, or nothing."""

import json
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from click.testing import Result
from sqlalchemy import insert, select, update
from typer.testing import CliRunner

from cloud.audit import verify_chain
from cloud.database.engine import Database, open_database
from cloud.database.tables import (
    AccountRole,
    AuditEntry,
    AuditSubject,
    Contact,
    Credential,
    Person,
    PersonHold,
    Place,
    RegisterHistory,
    Residency,
    SubjectRequest,
)
from cloud.register.sealed import CONTACT_NAME, CONTACT_PHONE, NUMBER, phone_indexes
from cloud.vault import KEY_BYTES, Vault, read_secret_file
from gatehouse.hub_command import app
from tests.support import register as given
from tests.support.console import FULL_NAME, RunningConsole, utc_now
from tests.support.events import granted, new_id
from tests.support.two_communities import FOREIGN, TwoCommunities

REGISTRAR = AccountRole.REGISTRAR
PURPOSE = "the person asked at the window, form 3"


@pytest.fixture
def world(database: Database, tmp_path: Path) -> Iterator[TwoCommunities]:
    running = RunningConsole(database, tmp_path)
    with database.write() as connection:
        connection.execute(update(Credential).values(number_sealed=given.vault().seal(b"w26:1:1", NUMBER)))
    yield TwoCommunities(running)
    running.stop()


@pytest.fixture
def person(world: TwoCommunities) -> UUID:
    with world.console.database.read() as connection:
        return connection.execute(select(Person.id).where(Person.name == FULL_NAME)).scalar_one()


def ask(client: httpx.Client, person: UUID, kind: str, **changed: Any) -> httpx.Response:
    values = {"kind": kind, "purpose": PURPOSE, "case_number": "2026-4", **changed}
    return client.post(f"/api/v1/people/{person}/requests", json=values)


def test_an_export_needs_another_account_and_is_told_once_confirmed(world: TwoCommunities, person: UUID) -> None:
    with world.client(REGISTRAR) as client, world.client(REGISTRAR) as other, world.client(AccountRole.AUDITOR) as who:
        asked = ask(client, person, "export")
        assert (asked.status_code, asked.json()["state"]) == (201, "waiting"), asked.text
        path = f"/api/v1/subject-requests/{asked.json()['id']}"
        assert client.post(f"{path}/export").status_code == 409
        assert client.post(f"{path}/confirm").status_code == 409
        assert other.post(f"{path}/confirm").json()["state"] == "open"
        assert other.post(f"{path}/export").status_code == 404
        assert client.post(f"{path}/erase").status_code == 404
        answer = client.post(f"{path}/export").json()
        assert client.post(f"{path}/export").status_code == 409
        looks = who.get(f"/api/v1/audit/subjects/{person}").json()["items"]
    assert (answer["person"]["name"], len(answer["sections"]["residencies"])) == (FULL_NAME, 1)
    assert "categories" not in answer["sections"]
    assert len(answer["left_out"]) == 2
    told = [(look["action"], look["detail"].get("case")) for look in looks[1:]]
    assert told == [(f"person.export{act}", "2026-4") for act in ("", ".confirm", ".ask")]


def test_a_request_needs_a_purpose_and_a_case_and_is_good_for_a_week(world: TwoCommunities, person: UUID) -> None:
    with world.client(REGISTRAR) as client, world.client(REGISTRAR) as other:
        assert ask(client, person, "export", purpose="").status_code == 422
        assert ask(client, person, "export", case_number="").status_code == 422
        assert ask(client, person, "sell").status_code == 422
        path = f"/api/v1/subject-requests/{ask(client, person, 'export').json()['id']}"
        other.post(f"{path}/confirm")
        with world.console.database.write() as connection:
            connection.execute(update(SubjectRequest).values(asked_at=utc_now() - timedelta(days=7, seconds=1)))
        assert client.post(f"{path}/export").status_code == 409
        assert client.get("/api/v1/subject-requests").json()["items"] == []


def test_who_lived_elsewhere_too_is_answered_by_who_has_all_of_it(world: TwoCommunities, person: UUID) -> None:
    with world.console.database.write() as connection:
        stay = {"person_id": person, "dwelling_id": UUID(FOREIGN.dwelling_id), "role": "tenant"}
        over = {"since": given.LONG_AGO, "until": utc_now() - timedelta(days=9)}
        connection.execute(insert(Residency).values(id=new_id(), **stay, **over))
    with world.client(REGISTRAR) as client, world.client(REGISTRAR, bound=False) as whole:
        assert ask(client, person, "erase").status_code == 404
        assert ask(whole, person, "erase").status_code == 201


def test_an_export_has_the_events_of_one_s_own_part(world: TwoCommunities, person: UUID) -> None:
    seed = world.console.seed
    own = seed.gateway.event(granted(seed.credential), place="gate-east", at=utc_now())
    foreign = world.gateway.event(granted(seed.credential), FOREIGN.device, place=FOREIGN.place, at=utc_now())
    world.console.store(own, foreign)
    found = {}
    for bound in (True, False):
        with world.client(REGISTRAR, bound=bound) as client, world.client(REGISTRAR) as other:
            path = f"/api/v1/subject-requests/{ask(client, person, 'export').json()['id']}"
            other.post(f"{path}/confirm")
            found[bound] = {event["id"] for event in client.post(f"{path}/export").json()["sections"]["events"]}
    assert found == {True: {str(own.id)}, False: {str(own.id), str(foreign.id)}}


def test_an_erasure_is_planned_confirmed_and_done(world: TwoCommunities, person: UUID) -> None:
    with world.client(REGISTRAR) as client, world.client(AccountRole.DISTRICT) as other:
        path = f"/api/v1/subject-requests/{ask(client, person, 'erase').json()['id']}"
        planned = client.get(f"{path}/plan").json()
        assert {line["what"]: line["goes"] for line in planned["lines"]}["residencies"] == 1
        assert client.post(f"{path}/erase").status_code == 409
        other.post(f"{path}/confirm")
        erased = client.post(f"{path}/erase").json()
        assert (erased["is_whole"], erased["lines"][:7]) == (True, planned["lines"][:7])
        assert client.post(f"{path}/erase").status_code == 404
        assert ask(client, person, "export").status_code == 404
    with world.console.database.read() as connection:
        assert connection.execute(select(Person.id).where(Person.id == person)).first() is None
        assert (
            connection.execute(select(SubjectRequest.is_left).where(SubjectRequest.person_id == person)).scalar() == 0
        )
    verify_chain(world.console.database)


def test_a_held_person_is_not_erased_and_holds_are_ended(world: TwoCommunities, person: UUID) -> None:
    with world.client(REGISTRAR) as client, world.client(AccountRole.DISTRICT) as other:
        wanted = {"purpose": "letter 7 of the procuratorate", "case_number": "2026-7"}
        hold = other.post(f"/api/v1/people/{person}/holds", json=wanted)
        assert other.post(f"/api/v1/people/{person}/holds", json=wanted).status_code == 409
        path = f"/api/v1/subject-requests/{ask(client, person, 'erase').json()['id']}"
        other.post(f"{path}/confirm")
        done = client.post(f"{path}/erase").json()
        assert (done["held_by"], done["is_whole"]) == ("2026-7", False)
        [left] = client.get("/api/v1/subject-requests").json()["items"]
        assert left["state"] == "left"
        assert other.post(f"/api/v1/person-holds/{hold.json()['id']}/end").json()["case_number"] == "2026-7"
        assert other.post(f"/api/v1/person-holds/{hold.json()['id']}/end").status_code == 404


def test_of_two_that_erase_at_once_one_does(world: TwoCommunities, person: UUID) -> None:
    with world.client(REGISTRAR) as client, world.client(AccountRole.DISTRICT) as other:
        path = f"/api/v1/subject-requests/{ask(client, person, 'erase').json()['id']}"
        other.post(f"{path}/confirm")
        statuses: list[int] = []
        threads = [
            threading.Thread(target=lambda: statuses.append(client.post(f"{path}/erase").status_code)) for _ in range(3)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert sorted(statuses)[0] == 200
    assert set(statuses) <= {200, 404, 409}
    assert statuses.count(200) == 1


# --- On the hub's machine

Line = Callable[..., Result]


@pytest.fixture
def line(tmp_path: Path) -> Line:
    def run(*words: str, typed: str = "") -> Result:
        done = CliRunner().invoke(app, words, input=typed, env={"GATEHOUSE_HUB_STATE_DIR": str(tmp_path / "hub")})
        assert "Traceback" not in done.output
        return done

    return run


WHY = ("--purpose", PURPOSE, "--case", "2026-4")


@pytest.fixture
def zhang(line: Line, tmp_path: Path) -> Iterator[tuple[str, Database]]:
    """The id of a person who lives somewhere."""
    assert line("migrate").exit_code == 0
    database = open_database(f"sqlite:///{tmp_path / 'hub' / 'hub.db'}")
    with database.write() as connection:
        person, dwelling = given.add_person(connection), new_id()
        given.add_place(connection, {"id": dwelling, "kind": "dwelling", "code": "d1", "name": "101"})
        stay = {"person_id": person, "dwelling_id": dwelling, "role": "owner", "since": given.LONG_AGO}
        connection.execute(insert(Residency).values(id=new_id(), **stay))
    yield str(person), database
    database.close()


def test_a_person_is_found_and_handed_what_is_held(line: Line, zhang: tuple[str, Database], tmp_path: Path) -> None:
    person, _ = zhang
    assert person in line("person", "find", "--name", "张三").stdout
    assert line("person", "find").exit_code == 2
    out = tmp_path / "zhang.json"
    assert line("person", "export", str(new_id()), "--out", str(out), *WHY).exit_code == 2
    assert line("person", "export", person, "--out", str(out), "--purpose", "x", "--case", "y").exit_code == 2
    assert not out.exists()
    done = line("person", "export", person, "--out", str(out), *WHY)
    assert done.exit_code == 0, done.output
    page = tmp_path / "zhang.html"
    assert [path.stat().st_mode & 0o777 for path in (out, page)] == [0o600, 0o600]
    found = json.loads(out.read_text(encoding="utf-8"))
    assert (found["person"]["name"], found["sections"]["residencies"][0]["dwelling"]) == ("张三", "d1")
    assert found["sections"]["looks"][0]["action"] == "person.export"
    assert "张三" in page.read_text(encoding="utf-8")
    assert line("person", "export", person, "--out", str(out), *WHY).exit_code == 1


def test_a_contact_is_taken_out(line: Line, zhang: tuple[str, Database], tmp_path: Path) -> None:
    person, database = zhang
    vault = Vault(read_secret_file(tmp_path / "hub" / "vault.key", KEY_BYTES))
    contact, seal = new_id(), vault.seal
    values = {"person_id": UUID(person), "name_sealed": seal("张敏".encode(), CONTACT_NAME), "relation": "女儿"}
    phone = {"phone_sealed": seal(b"13900001111", CONTACT_PHONE), **phone_indexes(vault, "13900001111")}
    change = {"at": utc_now(), "source": "s", "kind": "contact", "entry_id": contact, "act": "added"}
    with database.write() as connection:
        connection.execute(insert(Contact).values(id=contact, **values, **phone))
        connection.execute(insert(RegisterHistory).values(id=new_id(), **change))
    listed = line("person", "contacts", person).stdout
    assert [word in listed for word in (str(contact), "张*", "女儿", "…11", "张敏", "1111")] == [True] * 4 + [False] * 2
    assert line("person", "hold", person, *WHY).exit_code == 0
    assert line("person", "remove-contact", str(contact), "--yes").exit_code == 2
    with database.write() as connection:
        connection.execute(update(PersonHold).values(ended_at=utc_now()))
    assert line("person", "remove-contact", str(contact), "--dry-run").exit_code == 0
    assert line("person", "remove-contact", str(contact), "--yes").exit_code == 0
    assert line("person", "remove-contact", str(contact), "--yes").exit_code == 2
    with database.read() as connection:
        assert (
            connection.execute(select(Contact.id)).all() == connection.execute(select(RegisterHistory.id)).all() == []
        )


def test_a_person_is_erased_after_a_look_at_what_goes(line: Line, zhang: tuple[str, Database]) -> None:
    person, database = zhang
    planned = line("person", "erase", person, *WHY, "--dry-run")
    assert (planned.exit_code, "residencies" in planned.stdout) == (0, True)
    assert line("person", "erase", person, *WHY, typed="n\n").exit_code == 1
    assert line("person", "hold", person, *WHY).exit_code == 0
    held = line("person", "erase", person, *WHY, "--yes")
    assert (held.exit_code, "case 2026-4 holds" in held.stdout, "is left" in held.stdout) == (0, True, True)
    with database.read() as connection:
        hold = str(connection.execute(select(PersonHold.id)).scalar_one())
    assert hold in line("person", "holds").stdout
    assert line("person", "release", hold, "--yes").exit_code == 0
    assert line("person", "erase", person, *WHY, "--yes").exit_code == 0
    with database.read() as connection:
        assert connection.execute(select(Person.id)).all() == []
        assert connection.execute(select(Place.code)).scalars().all() == ["d1"]
        query = select(AuditEntry.action).join(AuditSubject, AuditSubject.number == AuditEntry.number)
        actions = connection.execute(query.order_by(AuditEntry.number)).scalars().all()
    erased = ["person.erase", "person.erased"]
    assert actions == ["person.hold", *erased, "person.hold.end", *erased]
    assert line("audit", "verify").exit_code == 0
