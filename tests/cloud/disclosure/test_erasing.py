"""What is erased with a person, and what stays for a case: by a look at every row of every table."""

import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import MetaData, insert, select, text, update

from cloud.access.errors import NotThere
from cloud.audit import AuditLog, verify_chain
from cloud.credentials import compiler
from cloud.credentials.marks import take_marks
from cloud.database import tables
from cloud.database.engine import Database
from cloud.database.tables import Alarm, AuditEntry, Base, Credential, EventRecord, Person, PersonHold, Residency
from cloud.disclosure import erasing
from cloud.disclosure.chores import ErasureChores
from cloud.disclosure.collecting import COLLECTED, Breadth, collect
from cloud.disclosure.erasing import DECIDED, ERASED, NOBODY, Plan, erase, plan
from cloud.disclosure.page import person_page
from cloud.disclosure.requests import ask, close
from cloud.disclosure.values import SubjectWanted
from cloud.linking.relinking import INGEST_LOCK, Relinker
from cloud.register.ids import IdMaker
from cloud.rules.book import prepare_rules
from tests.support import register as given
from tests.support.console import Seed, utc_now
from tests.support.events import new_id
from tests.support.gateways import eventually
from tests.support.whole_person import ID, WholePerson

NOW = utc_now()
RECORDS = {"audit_entry", "audit_subject", "history_look", "subject_request", "person_hold"}
"""Records of who asked and looked, which stay with the person's id."""
LEADS_NOWHERE = {"register_change", "relinking"}
"""Marks for the distribution and the relinker, which take them away."""


@pytest.fixture
def zhang(database: Database) -> WholePerson:
    seed = Seed(database)
    with database.write() as connection:
        connection.execute(update(tables.Gateway).values(card_key_sealed=None))
    return WholePerson(database, seed, NOW, "张三丰", 4)


@pytest.fixture
def neighbour(zhang: WholePerson) -> WholePerson:
    return WholePerson(zhang.database, zhang.seed, NOW, "李时珍", 5)


def done(database: Database, person: UUID) -> Plan:
    with database.read() as connection:
        planned = plan(connection, person)
    with database.write() as connection:
        erased = erase(connection, person, NOW)
    assert erased.lines == planned.lines
    return erased


def everything(database: Database) -> Iterator[tuple[str, str]]:
    """Table and row, as text; ids without dashes."""
    found = MetaData()
    found.reflect(database.engine)
    with database.read() as connection:
        for table in found.sorted_tables:
            for row in connection.execute(select(table)):
                yield table.name, repr(tuple(row)).replace("-", "")


def traces(database: Database, *ids: UUID) -> set[str]:
    """The tables that hold one of these ids anywhere."""
    wanted = [each.hex for each in ids]
    return {table for table, row in everything(database) if any(each in row for each in wanted)}


def naming_a_person() -> set[str]:
    return {
        table.name
        for table in Base.metadata.sorted_tables
        for column in table.columns
        if column.name == "person_id" or any(key.column.table.name == "person" for key in column.foreign_keys)
    }


def test_each_table_that_names_a_person_was_thought_of() -> None:
    """A new one has to be decided on in `cloud.disclosure.erasing` and `collecting`."""
    assert set(DECIDED) - {"person"} == naming_a_person() == set(COLLECTED)


def test_nothing_leads_to_an_erased_person_any_more(
    database: Database, zhang: WholePerson, neighbour: WholePerson
) -> None:
    zhang.pass_a_door()
    zhang.pass_a_door(credential=zhang.qr_pass)
    theirs = neighbour.pass_a_door()
    ids = (zhang.person, zhang.card, zhang.residency, *zhang.entries)
    assert {"event", "register_history", "lease_warning", "category_warning"} <= traces(database, *ids)
    others = (neighbour.person, neighbour.card, neighbour.residency, *neighbour.entries)
    before = traces(database, *others)
    erased = done(database, zhang.person)
    assert (erased.is_whole, erased.held_by, len(erased.digest)) == (True, None, 64)
    take_marks(database)
    relinker = Relinker(database, utc_now)
    while relinker.step() is not None:
        pass
    assert traces(database, *ids) <= RECORDS | LEADS_NOWHERE
    assert [row for _, row in everything(database) if "张三丰" in row or "访客张" in row] == []
    assert (
        traces(database, neighbour.person, neighbour.card, neighbour.residency, *neighbour.entries)
        == before - LEADS_NOWHERE
    )
    with database.read() as connection:
        assert connection.execute(select(EventRecord.person_id).where(EventRecord.id == theirs)).scalar() is not None
        assert connection.execute(text("SELECT count(*) FROM link_correction")).scalar() == 0


def test_events_stay_as_what_happened_at_a_door(database: Database, zhang: WholePerson) -> None:
    ids = [zhang.pass_a_door(), zhang.pass_a_door(ago=timedelta(minutes=2))]
    done(database, zhang.person)
    with database.read() as connection:
        rows = connection.execute(select(EventRecord.__table__).where(EventRecord.id.in_(ids))).mappings().all()
    links = ("person_id", "credential_id", "dwelling_id", "household_id", "joint_unit_id")
    assert [[row[name] for name in links] for row in rows] == [[None] * 5] * 2
    assert all(row["place_id"] is not None for row in rows)
    bodies = [json.loads(row["body"]) for row in rows]
    assert [body["data"]["credential"] for body in bodies] == [str(NOBODY)] * 2
    assert all(body["type"] == "access.granted.v1" for body in bodies)


def test_corrections_of_links_go_and_rules_see_no_event_anew(database: Database, zhang: WholePerson) -> None:
    with database.write() as connection:
        prepare_rules(connection, NOW)
    zhang.pass_a_door()
    with database.write() as connection:
        connection.execute(update(Residency).where(Residency.id == zhang.residency).values(household_id=None))
        connection.execute(text("DELETE FROM event_mark"))
    relinker = Relinker(database, utc_now)
    while relinker.step() is not None:
        pass
    with database.read() as connection:
        assert connection.execute(text("SELECT count(*) FROM link_correction")).scalar() == 1
    done(database, zhang.person)
    with database.read() as connection:
        counts = [
            connection.execute(text(f"SELECT count(*) FROM {t}")).scalar()
            for t in ("link_correction", "event_mark", "event")
        ]
    assert counts == [0, 0, 1]


def test_a_case_holds_everything_until_it_is_over(database: Database, zhang: WholePerson) -> None:
    zhang.pass_a_door()
    hold = {"person_id": zhang.person, "case_number": "2026-9", "purpose": "p", "held_at": NOW}
    with database.write() as connection:
        connection.execute(insert(PersonHold).values(id=new_id(), **hold))
        before = connection.execute(select(Person.__table__)).all()
    erased = done(database, zhang.person)
    assert (erased.held_by, erased.is_whole, {line.goes for line in erased.lines}) == ("2026-9", False, {0})
    with database.read() as connection:
        assert connection.execute(select(Person.__table__)).all() == before
        assert connection.execute(select(Credential.revoked_at).where(Credential.id == zhang.card)).scalar() is None


@pytest.fixture
def chores(database: Database) -> ErasureChores:
    return ErasureChores(database, AuditLog(database, utc_now), utc_now, CollectorRegistry())


def test_what_an_open_alarm_needs_stays_and_goes_by_itself_when_it_is_closed(
    database: Database, zhang: WholePerson, chores: ErasureChores
) -> None:
    held, free = zhang.pass_a_door(), zhang.pass_a_door(ago=timedelta(days=2))
    with database.write() as connection:
        prepare_rules(connection, NOW)
        connection.execute(insert(Alarm).values(**open_alarm(held)))
        wanted = SubjectWanted(kind="erase", purpose="form 3", case_number="2026-2")
        request = ask(connection, IdMaker(), zhang.person, wanted, None, NOW)
    erased = done(database, zhang.person)
    with database.write() as connection:
        close(connection, request.id, NOW, is_left=True)
        person = connection.execute(select(Person.__table__).where(Person.id == zhang.person)).one()
        cards = connection.execute(select(Credential.revoked_at).where(Credential.id == zhang.card)).scalars().all()
        events = dict(connection.execute(select(EventRecord.id, EventRecord.person_id)).all())
    assert not erased.is_whole
    assert (person.name, person.phone_sealed, person.id_number_index) == ("张三丰", None, None)
    assert (cards, events) == ([NOW], {held: zhang.person, free: None})
    assert traces(database, *zhang.entries) == set()
    relinker = Relinker(database, utc_now)
    while relinker.step() is not None:
        pass
    assert chores.run_once() == 0
    with database.write() as connection:
        assert connection.execute(select(EventRecord.person_id).where(EventRecord.id == held)).scalar() == zhang.person
        connection.execute(update(Alarm).values(closed_at=NOW))
    assert chores.run_once() == 1
    assert chores.run_once() == 0
    take_marks(database)
    assert traces(database, zhang.person, zhang.card, zhang.residency) <= RECORDS | LEADS_NOWHERE
    with database.read() as connection:
        detail = connection.execute(select(AuditEntry.detail).where(AuditEntry.action == "person.erased")).scalar_one()
    assert detail["whole"] == "True"
    verify_chain(database)


def open_alarm(event: UUID) -> dict[str, Any]:
    moments = dict.fromkeys(("happened_at", "raised_at", "last_at"), NOW)
    state = {"priority": 2, "handling": "new", "condition": "active", "level": 0, "audience": "duty"}
    counts = {"rule_version": 1, "times": 1, "chatter_count": 1, "revision": 1}
    return {"id": new_id(), "rule": "x", "key": "x", "first_event_id": event, **moments, **state, **counts}


def test_credentials_leave_the_gateways_and_a_pass_in_a_guest_s_hand_stays_refused(
    database: Database, zhang: WholePerson, chores: ErasureChores
) -> None:
    vault = given.vault()
    with database.write() as connection:
        given.add_gateway(connection, "g1")
        given.add_doors(connection, "g1", {"residents": ["d1"]})
        for credential in (zhang.card, zhang.qr_pass):
            connection.execute(insert(tables.CredentialGroup).values(credential_id=credential, group_code="residents"))
        connection.execute(update(tables.Gateway).values(reported={"policy_format": 2}))
    wanted = [zhang.card, zhang.qr_pass]
    with database.read() as connection:
        aims = compiler.targets(connection, vault)
        assert {ref for _, ref in compiler.rows_of(connection, vault, aims, wanted)} == set(wanted)
    take_marks(database)
    done(database, zhang.person)
    assert {zhang.card, zhang.qr_pass} <= set(take_marks(database).credentials)
    with database.read() as connection:
        rows = compiler.rows_of(connection, vault, compiler.targets(connection, vault), wanted)
        assert [(ref, row.not_after) for (_, ref), row in rows.items()] == [(zhang.qr_pass, NOW)]
        assert connection.execute(select(Credential.person_id).where(Credential.id == zhang.qr_pass)).scalar() == ERASED
        with pytest.raises(NotThere):
            plan(connection, ERASED)
    with database.write() as connection:
        connection.execute(update(tables.AccessPass).values(dropped=True))
    chores.run_once()
    with database.read() as connection:
        assert connection.execute(select(Credential.id).where(Credential.id.in_(wanted))).all() == []


class _Cut(Exception):
    pass


@pytest.mark.parametrize("step", ["_unlink_events", "_forget_changes", "_end_credentials", "_delete"])
def test_an_erasure_that_is_cut_off_has_erased_nothing(
    database: Database, zhang: WholePerson, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    zhang.pass_a_door()
    before = sorted(everything(database))
    real = getattr(erasing, step)

    def cut(*words: Any, **named: Any) -> None:
        real(*words, **named)
        raise _Cut

    monkeypatch.setattr(erasing, step, cut)
    with pytest.raises(_Cut), database.write() as connection:
        erase(connection, zhang.person, NOW)
    assert sorted(everything(database)) == before
    monkeypatch.undo()
    assert done(database, zhang.person).is_whole


def test_whoever_is_not_there_cannot_be_erased(database: Database, zhang: WholePerson) -> None:
    done(database, zhang.person)
    for act in (plan, lambda connection, person: erase(connection, person, NOW)):
        with database.write() as connection, pytest.raises(NotThere):
            act(connection, zhang.person)


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_what_ingest_linked_at_the_same_moment_is_unlinked_too(database: Database, zhang: WholePerson) -> None:
    """Ingest has read the register and not committed: the erasure waits for it. (On SQLite one writes at a time.)"""
    event = zhang.pass_a_door()
    with database.engine.connect() as ingest:
        ingest.execute(text(f"SELECT pg_advisory_xact_lock_shared({INGEST_LOCK})"))
        row = dict(ingest.execute(select(EventRecord.__table__).where(EventRecord.id == event)).mappings().one())
        late = new_id()
        ingest.execute(insert(EventRecord).values({**row, "id": late}))
        erasure = threading.Thread(target=done_at_last, args=(database, zhang.person))
        erasure.start()
        waits = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
        eventually(lambda: ingest.execute(waits).scalar() == 1, 60, "the erasure waiting for ingest")
        ingest.commit()
    erasure.join(60)
    assert not erasure.is_alive()
    with database.read() as connection:
        assert connection.execute(select(EventRecord.person_id)).scalars().all() == [None, None]


def done_at_last(database: Database, person: UUID) -> None:
    with database.write() as connection:
        erase(connection, person, NOW)


# --- What is handed out


def test_all_that_is_held_is_handed_out_and_no_pin(database: Database, zhang: WholePerson) -> None:
    zhang.pass_a_door()
    AuditLog(database, utc_now).append("person.reveal", None, {"fields": "phone"}, (zhang.person,))
    with database.read() as connection:
        found = collect(connection, given.vault(), zhang.person)
    assert found.person == {"id": str(zhang.person), "name": "张三丰", "id_number": ID, "phone": zhang.phone}
    empty = {name for name, entries in found.sections.items() if not entries}
    assert empty == {"groups", "alarms", "holds", "requests"}
    assert found.sections["categories"][0]["category"] == "renter"
    assert found.sections["credentials"][0]["number"] == "w26:7:4"
    assert found.sections["vehicles"][0]["plate"] == "贵G12344"
    assert found.sections["looks"][0]["action"] == "person.reveal"
    assert len(found.sections["changes"]) == 8
    told = json.dumps(found.model_dump(), ensure_ascii=False)
    assert ("2580" in told, '"pin": "1"' in told) == (False, False)
    page = person_page(found, NOW)
    for secret in ("张三丰", ID, "贵G12344", "w26:7:4", "renter"):
        assert secret in page


def test_the_page_escapes_what_it_shows(database: Database, zhang: WholePerson) -> None:
    with database.write() as connection:
        connection.execute(update(Person).where(Person.id == zhang.person).values(name="<script>x</script>"))
        found = collect(connection, given.vault(), zhang.person)
    assert "<script>" not in person_page(found, NOW)


def test_whoever_may_not_see_categories_is_told_that_they_are_left_out(database: Database, zhang: WholePerson) -> None:
    with database.read() as connection:
        found = collect(connection, given.vault(), zhang.person, Breadth(with_categories=False))
    assert "categories" not in found.sections
    assert len(found.left_out) == 1
    assert "renter" not in json.dumps(found.model_dump())
    assert {change["entry"] for change in found.sections["changes"]}.isdisjoint({str(zhang.entries[0])})
