"""Service categories: who sees them, how they lapse, what is written down, and that they go by themselves."""

import hashlib
import threading
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from hypothesis import given as for_all
from hypothesis import settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from sqlalchemy import func, insert, select, update

from cloud.access.errors import NotNow
from cloud.access.reach import Reach
from cloud.accounts import WHOLE
from cloud.audit import AuditLog
from cloud.categories.chores import CategoryChores, tell_warnings
from cloud.categories.entries import CategoryOffice, a_year_after
from cloud.categories.kinds import CategoryKinds
from cloud.categories.values import CategoryReview, NewCategory
from cloud.database.engine import Database
from cloud.database.tables import (
    Account,
    AccountRole,
    AuditEntry,
    AuditSubject,
    CategoryWarning,
    Person,
    PersonHold,
    RegisterHistory,
    ServiceCategory,
)
from cloud.media.clips import ClipStore
from cloud.media.store import PictureStore
from cloud.register.errors import RegisterError
from cloud.register.ids import IdMaker
from cloud.register.importing import CHINA
from cloud.retention import RetentionDays, RetentionService
from tests.support import register as given
from tests.support.console import FULL_NAME, RunningConsole, utc_now
from tests.support.events import new_id
from tests.support.two_communities import FOREIGN, TwoCommunities

PURPOSE = "visits before the cold spell"
BASIS = "Order of the State Council 649; decision 2026-17"
OFFICER = AccountRole.CATEGORY_OFFICER
NOW = datetime(2026, 11, 23, 12, tzinfo=CHINA)
TODAY = NOW.date()


@pytest.fixture
def world(database: Database, tmp_path: Path) -> Iterator[TwoCommunities]:
    running = RunningConsole(database, tmp_path)
    yield TwoCommunities(running)
    running.stop()


@pytest.fixture
def person(world: TwoCommunities) -> UUID:
    with world.console.database.read() as connection:
        return connection.execute(select(Person.id).where(Person.name == FULL_NAME)).scalar_one()


def in_days(days: int) -> str:
    return (utc_now().astimezone(CHINA).date() + timedelta(days=days)).isoformat()


def add(client: httpx.Client, person: UUID | str, **changed: Any) -> httpx.Response:
    values = {"category": "key_personnel", "legal_basis": BASIS, "review_on": in_days(300), "purpose": PURPOSE}
    return client.post(f"/api/v1/people/{person}/categories", json={**values, **changed})


def look(client: httpx.Client, **query: Any) -> httpx.Response:
    return client.post("/api/v1/categories/look", json={"purpose": PURPOSE, **query})


def test_an_officer_makes_looks_up_reviews_and_ends_entries(world: TwoCommunities, person: UUID) -> None:
    with world.client(OFFICER) as client:
        made = add(client, person)
        assert (made.status_code, made.json()["name"], made.json()["state"]) == (201, "欧阳*", "holds"), made.text
        assert add(client, person).status_code == 409
        assert add(client, person, category="renter").status_code == 201
        [found] = look(client, category="key_personnel").json()["items"]
        assert found == made.json()
        assert len(look(client, person=str(person)).json()["items"]) == 2
        path = f"/api/v1/categories/{found['id']}"
        reviewed = client.post(f"{path}/review", json={"review_on": in_days(365), "purpose": "the yearly review"})
        assert reviewed.json()["review_at"] > found["review_at"]
        assert client.post(f"{path}/end", json={"purpose": "moved away"}).json()["state"] == "ended"
        assert client.post(f"{path}/end", json={"purpose": "moved away"}).status_code == 409
        assert [each["category"] for each in look(client).json()["items"]] == ["renter"]
        past = look(client, past=True, limit=1).json()
        assert (len(past["items"]), past["more"]) == (1, True)
        assert look(client, past=True, limit=1, after=past["items"][0]["id"]).json()["more"] is False
    assert stored_texts(world.console.database) == []


def stored_texts(database: Database) -> list[str]:
    """Whatever of the entries can be read in the database without its key."""
    with database.read() as connection:
        rows = [*connection.execute(select(ServiceCategory.__table__)), *connection.execute(select(RegisterHistory))]
        rows += connection.execute(select(AuditEntry.detail)).all()
    text = "".join(repr(row) for row in rows)
    return [secret for secret in ("key_personnel", "Order of the State") if secret in text]


def test_each_look_up_is_written_down_for_each_person(world: TwoCommunities, person: UUID) -> None:
    with world.client(OFFICER) as client, world.client(AccountRole.AUDITOR) as auditor:
        assert look(client, purpose="x").status_code == 422
        add(client, person)
        look(client, category="renter")
        look(client)
        looks = auditor.get(f"/api/v1/audit/subjects/{person}").json()["items"]
    told = [(each["action"], each["detail"].get("purpose")) for each in looks]
    assert told[1:] == [("person.category.look", PURPOSE), ("person.category.add", PURPOSE)]
    with world.console.database.read() as connection:
        query = select(AuditEntry.detail).where(AuditEntry.action == "category.look")
        assert connection.execute(query).scalar_one() == {"purpose": PURPOSE, "persons": 0}


@pytest.mark.parametrize("role", [role for role in AccountRole if role is not OFFICER])
def test_nobody_else_sees_them(world: TwoCommunities, person: UUID, role: AccountRole) -> None:
    with world.client(OFFICER) as client:
        add(client, person)
    with world.client(role, bound=False) as client:
        assert look(client).status_code == 403
        assert add(client, person, category="renter").status_code == 403
        for path in ("categories/kinds", "categories/notices"):
            assert client.get(f"/api/v1/{path}").status_code == 403
        for path in ("access/residents?dwelling=qt-3-2-501", f"access/credentials?person={person}", "events"):
            assert "key_personnel" not in client.get(f"/api/v1/{path}").text


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"category": "ethnicity"}, "there is no category"),
        ({"review_on": (a_year_after(date.today()) + timedelta(days=2)).isoformat()}, "more than a year"),  # noqa: DTZ011
        ({"review_on": "2020-01-01"}, "is over"),
        ({"since": "2999-01-01"}, "future"),
        ({"legal_basis": "信仰佛教的居民"}, "no basis"),
        ({"legal_basis": "  "}, "legal_basis"),
        ({"officer": "guard"}, "is an officer for categories"),
        ({"officer": "nobody"}, "is an officer for categories"),
        ({"purpose": " x "}, "purpose"),
        ({"religion": "x"}, "religion"),
    ],
)
def test_an_entry_needs_a_basis_an_officer_and_a_review_within_a_year(
    world: TwoCommunities, person: UUID, changed: dict[str, Any], problem: str
) -> None:
    with world.client(OFFICER) as client:
        answer = add(client, person, **changed)
        assert (answer.status_code, problem in answer.text) == (422, True), answer.text
        assert look(client, person=str(person)).json()["items"] == []


def test_an_officer_of_another_part_cannot_be_made_responsible(world: TwoCommunities, person: UUID) -> None:
    with world.console.database.write() as connection:
        connection.execute(update(Account).where(Account.username == FOREIGN.account).values(role=OFFICER))
    with world.client(OFFICER) as client, world.client(OFFICER, bound=False) as whole:
        assert add(client, person, officer=FOREIGN.account).status_code == 422
        assert add(whole, FOREIGN.person, officer=FOREIGN.account).status_code == 201
        assert add(client, FOREIGN.person).status_code == 404


def test_notices_say_when_and_to_whom_but_not_whose(world: TwoCommunities, person: UUID) -> None:
    with world.client(OFFICER) as client, world.client(OFFICER) as other:
        entry = add(client, person, review_on=in_days(5)).json()["id"]
        add(client, person, category="renter", review_on=in_days(60))
        CategoryChores(world.console.database, utc_now, CollectorRegistry()).run_once()
        [notice] = client.get("/api/v1/categories/notices").json()["items"]
        assert (notice["id"], notice["mine"], notice["days_left"], notice["told"]) == (entry, True, 5, [7])
        assert [each["mine"] for each in other.get("/api/v1/categories/notices").json()["items"]] == [False]
        assert str(person) not in str(notice)


# --- By the clock


@pytest.fixture
def office() -> CategoryOffice:
    return CategoryOffice(given.vault(), CategoryKinds(), IdMaker())


@pytest.fixture
def ids(database: Database) -> tuple[UUID, UUID]:
    """A person and an officer."""
    officer = new_id()
    values = {"username": "zhou", "password_hash": "-", "role": OFFICER, "created_at": given.LONG_AGO}
    with database.write() as connection:
        connection.execute(insert(Account).values(id=officer, **values))
        return given.add_person(connection), officer


def wanted(review_on: date, category: str = "renter") -> NewCategory:
    return NewCategory(category=category, legal_basis=BASIS, review_on=review_on, purpose=PURPOSE)


def at(moment: datetime) -> Reach:
    return Reach(WHOLE, moment)


def test_an_entry_lapses_by_the_clock_and_is_not_reviewed_after(
    database: Database, office: CategoryOffice, ids: tuple[UUID, UUID]
) -> None:
    person, officer = ids
    last_moment = datetime(2026, 12, 31, 23, 59, 59, 999999, tzinfo=CHINA)
    after = last_moment + timedelta(microseconds=1)
    with database.write() as connection:
        made = office.add(connection, person, wanted(date(2026, 12, 31)), officer, at(NOW))
        assert office.value(connection, made.id, at(last_moment)).state == "holds"
        assert office.value(connection, made.id, at(after)).state == "lapsed"
        review = CategoryReview(review_on=date(2027, 6, 1), purpose=PURPOSE)
        with pytest.raises(NotNow):
            office.review(connection, made.id, review, officer, at(after))
        assert office.add(connection, person, wanted(date(2027, 6, 1)), officer, at(after)).state == "holds"


@settings(deadline=None, max_examples=60)
@for_all(st.dates(date(2023, 1, 1), date(2030, 12, 31)), st.integers(-3, 800))
def test_a_review_date_is_a_year_ahead_at_the_most(today: date, days: int) -> None:
    office = CategoryOffice(given.vault(), CategoryKinds(), IdMaker())
    now = datetime(today.year, today.month, today.day, 9, tzinfo=CHINA)
    last = today + timedelta(days=days)
    may = days >= 0 and (last.year, last.month, last.day) <= (today.year + 1, today.month, today.day)
    if may and (today.month, today.day) == (2, 29):
        may = last <= date(today.year + 1, 2, 28)
    try:
        review_at = office._review_at(last, today, now)
    except RegisterError:
        assert not may
    else:
        assert may
        assert review_at.astimezone(CHINA).date() == last + timedelta(days=1)


def test_officers_are_told_once_at_each_distance_and_anew_for_another_date(
    database: Database, office: CategoryOffice, ids: tuple[UUID, UUID]
) -> None:
    person, officer = ids
    with database.write() as connection:
        made = office.add(connection, person, wanted(date(2026, 12, 31)), officer, at(NOW))
        told = []
        for days in range(45):
            moment = NOW + timedelta(days=days)
            told += [(days, each) for each in tell_warnings(connection, moment)]
            tell_warnings(connection, moment)
    assert told == [(9, 30), (32, 7), (38, 1)]
    with database.write() as connection:
        connection.execute(update(ServiceCategory).values(review_at=made.review_at + timedelta(days=100)))
        assert tell_warnings(connection, made.review_at + timedelta(days=99, hours=18)) == {1: 1}


def test_a_hub_that_was_away_tells_the_nearest_warning_alone(
    database: Database, office: CategoryOffice, ids: tuple[UUID, UUID]
) -> None:
    with database.write() as connection:
        office.add(connection, ids[0], wanted(date(2026, 12, 31)), ids[1], at(NOW))
        assert tell_warnings(connection, datetime(2026, 12, 31, 12, tzinfo=CHINA)) == {1: 1}
        assert tell_warnings(connection, datetime(2027, 1, 2, 12, tzinfo=CHINA)) == {}


def test_two_officers_at_once_make_one_entry(
    database: Database, office: CategoryOffice, ids: tuple[UUID, UUID]
) -> None:
    made: list[object] = []
    together = threading.Barrier(4)

    def make() -> None:
        together.wait(60)
        try:
            with database.write() as connection:
                made.append(office.add(connection, ids[0], wanted(date(2027, 1, 1)), ids[1], at(NOW)))
        except NotNow as refused:
            made.append(refused)

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(isinstance(each, NotNow) for each in made) == [False, True, True, True]


def retention(database: Database, folder: Path, now: datetime) -> RetentionService:
    parts = PictureStore(folder / "p", database, utc_now), ClipStore(folder / "c", database, utc_now)
    audit = AuditLog(database, lambda: now)
    return RetentionService(database, *parts, audit, lambda: now, RetentionDays(), CollectorRegistry())


def test_lapsed_entries_go_by_themselves_and_leave_a_proof(
    database: Database, office: CategoryOffice, ids: tuple[UUID, UUID], tmp_path: Path
) -> None:
    person, officer = ids
    with database.write() as connection:
        lapsed = office.add(connection, person, wanted(date(2026, 12, 31)), officer, at(NOW))
        ended = office.add(connection, person, wanted(date(2027, 11, 1), "key_personnel"), officer, at(NOW))
        stays = office.add(connection, person, wanted(date(2027, 11, 1), "minimum_living_allowance"), officer, at(NOW))
        office.end(connection, ended.id, officer, at(NOW))
        tell_warnings(connection, NOW + timedelta(days=35))
        held = {"person_id": person, "case_number": "2026-1", "purpose": PURPOSE, "held_at": NOW}
        connection.execute(insert(PersonHold).values(id=new_id(), **held))
    late = datetime(2027, 1, 31, 1, tzinfo=CHINA)
    assert retention(database, tmp_path, late).run_once()["categories"] == 0
    with database.write() as connection:
        connection.execute(update(PersonHold).values(ended_at=late))
    assert retention(database, tmp_path, late - timedelta(days=2)).run_once()["categories"] == 1
    assert retention(database, tmp_path, late).run_once()["categories"] == 1
    with database.read() as connection:
        assert connection.execute(select(ServiceCategory.id)).scalars().all() == [stays.id]
        assert connection.execute(select(RegisterHistory.entry_id)).scalars().all() == [stays.id]
        assert connection.execute(select(func.count()).select_from(CategoryWarning)).scalar() == 0
        query = select(AuditEntry.detail).where(AuditEntry.action == "retention").order_by(AuditEntry.number)
        proofs = [detail["categories_sha256"] for detail in connection.execute(query).scalars()]
        assert connection.execute(select(func.count()).select_from(AuditSubject)).scalar() == 0
    assert proofs == [hashlib.sha256(f"{each.id}\n".encode()).hexdigest() for each in (ended, lapsed)]
