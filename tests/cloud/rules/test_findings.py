"""What rules find about credentials, people who agreed to be looked after, leases and dwellings."""

from datetime import datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import insert, update

from cloud.database.engine import Database
from cloud.database.tables import CareAgreement, Credential, Gateway, Residency, ResidencyRole
from cloud.rules.book import find_rule, write_rule
from cloud.rules.definition import TenancyEnds
from tests.support.alarms import START, City
from tests.support.events import granted, new_id
from tests.support.register import add_credentials

DAY = timedelta(days=1)


@pytest.fixture
def city(database: Database) -> City:
    return City(database)


def add_card(city: City, person: UUID, number: int = 1) -> UUID:
    with city.database.write() as connection:
        return add_credentials(connection, person, [f"w26:1:{number}"], [])[0]


def move_in(
    city: City, person: UUID, dwelling: str = "east-501", until: datetime | None = None, role: str = "tenant"
) -> UUID:
    residency = new_id()
    values = {"id": residency, "person_id": person, "dwelling_id": city.places[dwelling], "until": until}
    with city.database.write() as connection:
        since = START - 300 * DAY
        connection.execute(insert(Residency).values(**values, role=ResidencyRole(role), since=since))
    return residency


def passage(city: City, credential: UUID, at: datetime, side: str = "east") -> None:
    event = city.gateways[side].event(granted(credential), device=f"d-{side}", at=at, place=f"gate-{side}")
    city.store(event, received_at=at)


def test_one_credential_at_two_distant_doors(city: City) -> None:
    card = add_card(city, city.add_person())
    passage(city, card, START, "east")
    passage(city, card, START + timedelta(seconds=121), "west")
    city.tick(121)
    assert city.alarms() == []
    passage(city, card, START + timedelta(seconds=240), "east")
    city.tick(119)
    alarm = city.alarm("two_places")
    assert alarm.key == f"two_places:{card}"


def test_the_same_credential_twice_at_one_site_is_nothing(city: City) -> None:
    card = add_card(city, city.add_person())
    for seconds in (0, 5, 10):
        passage(city, card, START + timedelta(seconds=seconds))
    city.tick(10)
    assert city.alarms() == []


@pytest.mark.parametrize(("revoked_before", "rules"), [(True, ["revoked_let_in"]), (False, [])])
def test_a_revoked_credential_that_still_opens(city: City, revoked_before: bool, rules: list[str]) -> None:
    card = add_card(city, city.add_person())
    revoked_at = START + timedelta(hours=-1 if revoked_before else 1)
    with city.database.write() as connection:
        connection.execute(update(Credential).where(Credential.id == card).values(revoked_at=revoked_at))
    passage(city, card, START)
    city.tick()
    assert [alarm.rule for alarm in city.alarms()] == rules


def agree(city: City, person: UUID, hours: int = 48, until: datetime | None = None) -> UUID:
    identifier, dwelling = new_id(), city.places["east-501"]
    values = {"id": identifier, "person_id": person, "dwelling_id": dwelling, "hours": hours, "consent": "form 12"}
    with city.database.write() as connection:
        connection.execute(insert(CareAgreement).values(**values, since=START, until=until))
    return identifier


def test_no_passage_for_longer_than_agreed_is_told_to_who_stands_for_the_unit_head(city: City) -> None:
    person = city.add_person()
    card = add_card(city, person)
    move_in(city, person)
    agree(city, person)
    passage(city, card, START + timedelta(hours=10))
    city.tick(57 * 3600)
    assert city.alarms() == []
    city.tick(3600)
    alarm = city.alarm("no_passage")
    assert (alarm.place_id, alarm.happened_at) == (city.places["east-501"], START + timedelta(hours=58))
    assert city.told(alarm.id) == [(1, "centre-east")]
    passage(city, card, city.clock())
    city.tick(600)
    city.tick(1)
    assert city.alarm().condition == "cleared"


def test_without_consent_or_after_it_nobody_is_looked_after(city: City) -> None:
    city.add_person()
    withdrawn = city.add_person()
    agree(city, withdrawn, until=START + timedelta(hours=24))
    city.tick(30 * 86400)
    assert city.alarms() == []


def test_a_tenancy_that_ends_within_a_week_is_the_communitys(city: City) -> None:
    move_in(city, city.add_person(), until=START + 8 * DAY)
    move_in(city, city.add_person(), until=START + 8 * DAY, role="owner")
    city.tick()
    assert city.alarms() == []
    city.tick(86400)
    alarm = city.alarm("tenancy_ends")
    assert (alarm.level, city.told(alarm.id)) == (1, [(1, "centre-east")])


@pytest.mark.parametrize(("regulars", "days", "rules"), [(4, 5, ["occupancy"]), (3, 5, []), (4, 4, [])])
def test_more_regulars_than_residents(city: City, regulars: int, days: int, rules: list[str]) -> None:
    """One resident; who lived there until an hour ago and still comes and goes is counted by their cards."""
    for number in range(regulars):
        person = city.add_person()
        move_in(city, person, until=START - timedelta(hours=1) if number else None)
        card = add_card(city, person, number)
        for day in range(1, days + 1):
            passage(city, card, START - day * DAY)
    city.tick()
    assert [(alarm.rule, alarm.place_id, alarm.level) for alarm in city.alarms()] == [
        (rule, city.places["east-501"], 1) for rule in rules
    ]


def test_a_rule_that_is_written_anew_is_looked_at_at_once(city: City) -> None:
    person = city.add_person()
    move_in(city, person, until=START + 8 * DAY)
    city.tick()
    assert city.alarms() == []
    with city.database.write() as connection:
        rule = find_rule(connection, "tenancy_ends").rule
        write_rule(connection, rule.model_copy(update={"when": TenancyEnds(days=9)}), None, START)
    city.tick(1)
    assert city.alarm().rule == "tenancy_ends"


def test_a_clock_that_stays_unsynchronised(city: City) -> None:
    with city.database.write() as connection:
        reported = {"clock": "unsynced"}
        connection.execute(update(Gateway).where(Gateway.id == "gw-east").values(reported=reported))
    city.tick()
    city.tick(899)
    assert city.alarms() == []
    city.tick(1)
    assert city.alarm().rule == "clock_wrong"
