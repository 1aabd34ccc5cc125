"""Figures against numbers counted by hand."""

from datetime import timedelta

import pytest

from cloud.accounts.scope import WHOLE
from cloud.alarms.figures import centre_figures, health_report
from cloud.alarms.states import Outcome
from cloud.alarms.values import CentreFigures
from cloud.database.engine import Database
from protocols.access_events import AccessDuress, DoorForced
from tests.support.alarms import START, City
from tests.support.events import new_id


@pytest.fixture
def city(database: Database) -> City:
    """In the east: one false alarm after 20 s, one that climbs. In the west: thirteen in a flood."""
    city = City(database)
    east, west = city.gateways["east"], city.gateways["west"]
    city.store(east.event(DoorForced(), at=START))
    city.tick()
    city.clock.forward(20)
    guard = city.actor("guard-east")
    city.desk.acknowledge(city.alarm().id, guard)
    city.clock.forward(10)
    city.desk.close(city.alarm().id, guard, Outcome.FALSE_ALARM, "wind")
    city.store(east.event(AccessDuress(reader="r-east", credential=new_id()), at=city.clock()))
    city.tick()
    city.tick(30)
    for number in range(13):
        city.store(west.event(DoorForced(), device=f"d-{number}", at=city.clock(), place="gate-west"))
    city.tick()
    city.tick(600)
    return city


def test_each_communitys_month(city: City) -> None:
    with city.database.read() as connection:
        found = centre_figures(connection, WHOLE, START, START + timedelta(days=30))
        later = centre_figures(connection, WHOLE, START + timedelta(days=1), START + timedelta(days=30))
        bounded = centre_figures(connection, city.actor("centre-east").scope, START, START + timedelta(days=30))
    east = CentreFigures(
        community="east-village",
        alarms=2,
        acknowledge_s=20.0,
        close_s=30.0,
        overdue=1,
        false_alarms=1,
        still_open=1,
    )
    west = CentreFigures(
        community="west-village",
        alarms=13,
        acknowledge_s=None,
        close_s=None,
        overdue=13,
        false_alarms=0,
        still_open=13,
    )
    assert (found, bounded, later) == ([east, west], [east], [])


def test_the_health_report(city: City) -> None:
    with city.database.read() as connection:
        report = health_report(connection, WHOLE, START, START + timedelta(hours=5))
        stale = health_report(connection, WHOLE, START, START + timedelta(hours=25)).stale
    assert (report.alarms, report.per_10_min, report.busiest_hour_per_10_min) == (15, 0.5, 2.5)
    assert report.flood_share == pytest.approx(600 / (5 * 3600))
    assert report.priorities == {1: 1 / 15, 2: 14 / 15}
    assert (len(report.top_ten), report.top_ten[0].share, report.chattering) == (10, 1 / 15, 0)
    assert (report.stale, stale) == (0, 13)
