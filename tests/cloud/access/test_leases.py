"""Leases that end as the desk and the command line see them, and the mark for what somebody dealt with."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import insert, select, update

from cloud.access import leases
from cloud.access.errors import NotThere
from cloud.access.values.leases import GraceChange, LeaseNotice
from cloud.database import tables
from cloud.database.engine import Database
from cloud.database.tables import ResidencyRole
from tests.support import register as given

NOW = datetime(2026, 5, 1, tzinfo=UTC)
DAY = timedelta(days=1)


class Building:
    """A building with dwellings; `tenant` gives one a person with a residency until then."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.building = uuid4()
        self.account = given.add_account(database)
        with database.write() as connection:
            place = {"id": self.building, "kind": "building", "code": "b-3", "name": "3栋"}
            given.add_place(connection, place)
            leases.set_grace(connection, GraceChange(grace_s={ResidencyRole.TENANT: 3 * 86_400}))

    def tenant(self, number: int, until: datetime | None, person: UUID | None = None, role: str = "tenant") -> UUID:
        residency, dwelling = uuid4(), uuid4()
        with self.database.write() as connection:
            place = {"id": dwelling, "kind": "dwelling", "code": f"b-3-{number}", "name": str(number)}
            given.add_place(connection, place, self.building)
            values = {"dwelling_id": dwelling, "role": role, "since": given.LONG_AGO, "until": until}
            who = person or given.add_person(connection)
            connection.execute(insert(tables.Residency).values(id=residency, person_id=who, **values))
        return residency

    def notices(self, now: datetime = NOW) -> list[LeaseNotice]:
        with self.database.read() as connection:
            return list(leases.notices(connection, now).items)

    def deal_with(self, residency: UUID, until: datetime, now: datetime = NOW) -> bool:
        with self.database.write() as connection:
            return leases.deal_with(connection, residency, until, self.account, now)


@pytest.fixture
def building(database: Database) -> Building:
    return Building(database)


def test_what_ends_within_seven_days_or_is_in_grace_is_shown_and_nothing_else(building: Building) -> None:
    for number, until in enumerate((NOW + 7 * DAY, NOW + 7.01 * DAY, NOW - 2 * DAY, NOW - 3 * DAY, None)):
        building.tenant(500 + number, until)
    building.tenant(510, NOW - DAY, role="owner")  # a role without grace

    shown = [(each.where, each.in_grace, each.days_left) for each in building.notices()]

    assert shown == [("3栋 502", True, 1), ("3栋 500", False, 7)]


def test_the_nearest_end_of_access_comes_first_and_the_name_is_masked(building: Building) -> None:
    building.tenant(501, NOW + 2 * DAY)
    building.tenant(502, NOW + 4 * DAY, role="owner")
    building.tenant(503, NOW - DAY / 2)

    shown = building.notices()

    assert [each.where for each in shown] == ["3栋 503", "3栋 502", "3栋 501"]
    assert {each.name for each in shown} == {"张*"}
    assert "person" not in LeaseNotice.model_fields


def test_who_lives_on_elsewhere_is_not_shown(building: Building) -> None:
    with building.database.write() as connection:
        person = given.add_person(connection)
    building.tenant(501, NOW + DAY, person)
    building.tenant(502, None, person)

    assert building.notices() == []


def test_the_list_is_bounded_and_says_so(building: Building) -> None:
    for number in range(leases.MAX_NOTICES + 1):
        building.tenant(number, NOW + DAY + timedelta(minutes=number))
    with building.database.read() as connection:
        found = leases.notices(connection, NOW)

    assert (len(found.items), found.more) == (leases.MAX_NOTICES, True)
    assert found.items[0].where == "3栋 0"


def test_a_mark_says_who_and_when_and_the_first_one_stays(building: Building) -> None:
    residency = building.tenant(501, NOW + 6 * DAY)

    assert building.deal_with(residency, NOW + 6 * DAY)
    assert not building.deal_with(residency, NOW + 6 * DAY, NOW + DAY)

    [notice] = building.notices()
    assert (notice.dealt_with_at, notice.dealt_with_by, notice.warned) == (NOW, "wang", (7,))


def test_the_next_warning_is_shown_anew(building: Building) -> None:
    residency = building.tenant(501, NOW + 6 * DAY)
    building.deal_with(residency, NOW + 6 * DAY)
    with building.database.write() as connection:
        leases.tell_warnings(connection, NOW + 4 * DAY)

    [notice] = building.notices(NOW + 4 * DAY)
    assert (notice.warned, notice.dealt_with_at) == ((7, 3), None)
    assert building.deal_with(residency, NOW + 6 * DAY, NOW + 4 * DAY)
    with building.database.read() as connection:
        marks = connection.execute(select(tables.LeaseWarning.days, tables.LeaseWarning.dealt_with_at)).all()
    assert dict(tuple(mark) for mark in marks) == {7: NOW, 3: NOW + 4 * DAY}


def test_a_mark_holds_through_the_grace_and_one_in_grace_works_once(building: Building) -> None:
    early, late = building.tenant(501, NOW + DAY / 2), building.tenant(502, NOW + DAY / 2)
    building.deal_with(early, NOW + DAY / 2)

    assert building.deal_with(late, NOW + DAY / 2, NOW + DAY)
    assert not building.deal_with(late, NOW + DAY / 2, NOW + DAY)

    marks = {each.where: each.dealt_with_at for each in building.notices(NOW + DAY)}
    assert marks == {"3栋 501": NOW, "3栋 502": NOW + DAY}


def test_a_lease_that_was_prolonged_is_over_or_unknown_cannot_be_marked(building: Building) -> None:
    residency = building.tenant(501, NOW + DAY)
    with building.database.write() as connection:
        connection.execute(update(tables.Residency).values(until=NOW + 2 * DAY))

    for identifier, until, now in (
        (residency, NOW + DAY, NOW),
        (residency, NOW + 2 * DAY, NOW + 6 * DAY),
        (uuid4(), NOW + 2 * DAY, NOW),
    ):
        with pytest.raises(NotThere):
            building.deal_with(identifier, until, now)
