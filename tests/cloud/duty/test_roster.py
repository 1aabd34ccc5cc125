"""Alarms are told to whoever is on duty, through the hub's own engine, desk and notifications."""

from datetime import date, time, timedelta
from uuid import UUID

import pytest
from sqlalchemy import event, select

from cloud.accounts.scope import WHOLE
from cloud.alarms.roster import Duty, Told
from cloud.alarms.states import Audience, Level
from cloud.database.engine import Database
from cloud.database.tables import AccountRole, Notice
from cloud.duty.plan import RosterPlan, Team
from cloud.duty.reading import read_centres
from cloud.register.errors import RegisterError
from protocols.access_events import DoorForced
from tests.support.alarms import SHANGHAI, START, City
from tests.support.duty import Duties, plan, shift
from tests.support.notify import NotifyingCity

SUNDAY = START.astimezone(SHANGHAI).date()
"""The city's clock begins there at eight in the evening."""


@pytest.fixture
def city(database: Database) -> City:
    return City(database)


@pytest.fixture
def duties(city: City) -> Duties:
    made = Duties(city)
    made.colleagues("east-garden", AccountRole.GUARD, "li", "wang", "zhang")
    return made


def force(city: City) -> UUID:
    """A door in the east is forced: an alarm of priority 2 for the guard post."""
    known = {alarm.id for alarm in city.alarms()}
    data = city.gateways["east"].event(DoorForced(), device=f"d-{len(known)}", place="gate-east", at=city.clock())
    city.store(data)
    city.tick()
    [made] = {alarm.id for alarm in city.alarms()} - known
    return made


def told(city: City) -> set[str]:
    return {name for _, name in city.told(force(city))}


def two_shifts(duties: Duties) -> UUID:
    """The eastern post: wang by day, li by night."""
    post = duties.centre("east-garden", Level.GUARD)
    duties.write(post, plan(shift("day", 8, 20, "wang"), shift("night", 20, 8, "li")))
    return post


def test_without_a_roster_everybody_of_the_level_is_told(city: City, duties: Duties) -> None:
    duties.centre("east-garden", Level.GUARD)
    assert told(city) == {"guard-east", "li", "wang", "zhang"}


def test_whoever_is_on_duty_is_told_over_midnight_and_a_restart(city: City, duties: Duties) -> None:
    two_shifts(duties)
    assert told(city) == {"li"}
    city.clock.forward(4 * 3600)
    assert city.clock().astimezone(SHANGHAI).time() == time(0)
    city.engine = city.new_engine()
    assert told(city) == {"li"}
    city.clock.forward(8 * 3600)
    assert told(city) == {"wang"}


def test_a_gap_tells_everybody_of_the_level_and_says_so(city: City, duties: Duties) -> None:
    post = duties.centre("east-garden", Level.GUARD)
    duties.write(post, plan(shift("day", 8, 20, "wang")))
    assert told(city) == {"guard-east", "li", "wang", "zhang"}
    assert asked(city, Level.GUARD).nobody_on_duty
    city.clock.forward(12 * 3600)
    assert told(city) == {"wang"}
    assert not asked(city, Level.GUARD).nobody_on_duty


def test_a_roster_of_somebody_who_is_gone_is_a_gap(city: City, duties: Duties) -> None:
    two_shifts(duties)
    duties.disable("li")
    assert told(city) == {"guard-east", "wang", "zhang"}
    assert asked(city, Level.GUARD).nobody_on_duty


def test_what_is_changed_holds_from_the_next_step_on(city: City, duties: Duties) -> None:
    post = two_shifts(duties)
    first = force(city)
    duties.swap(post, SUNDAY, "night", "zhang")
    assert told(city) == {"zhang"}
    assert city.told(first) == [(1, "li")]
    duties.write(post, plan(shift("whole", 0, 0, "wang"), since=SUNDAY), code="other")
    assert told(city) == {"zhang", "wang"}, "rosters that overlap are told together"


def test_an_older_roster_comes_back_when_a_newer_one_is_over(city: City, duties: Duties) -> None:
    post = two_shifts(duties)
    festival = plan(shift("whole", 8, 8, "zhang"), since=SUNDAY, until=SUNDAY + timedelta(days=1))
    duties.write(post, festival)
    assert told(city) == {"zhang"}
    city.clock.forward(24 * 3600)
    assert told(city) == {"li"}


def test_the_nearest_centre_with_a_roster_is_asked(city: City, duties: Duties) -> None:
    two_shifts(duties)
    gate = duties.centre("gate-east", Level.GUARD)
    assert told(city) == {"li"}, "a post without a roster does not count"
    duties.write(gate, plan(shift("whole", 0, 0, "zhang")))
    assert told(city) == {"zhang"}
    duties.centre("gate-east", Level.GUARD, closed=True)
    assert told(city) == {"li"}


def test_every_level_has_its_own_roster_as_it_climbs(city: City, duties: Duties) -> None:
    duties.colleagues("east-village", AccountRole.COMMUNITY, "centre-2", "centre-3")
    two_shifts(duties)
    village = duties.centre("east-village", Level.COMMUNITY)
    turns = RosterPlan(
        since=date(2026, 11, 1),
        anchor=date(2026, 11, 16),
        teams=(Team(name="a", members=("centre-2",)), Team(name="b", members=("centre-3",))),
        shifts=(shift("whole", 0, 0),),
    )
    duties.write(village, turns)
    alarm = force(city)
    city.tick(10 * 60)
    assert city.told(alarm)[:3] == [(1, "li"), (2, "centre-2"), (3, "town-east")]
    city.clock.forward(4 * 3600)
    alarm = force(city)
    city.tick(10 * 60)
    assert city.told(alarm)[:2] == [(1, "li"), (2, "centre-3")], "it is Monday, and the next team's week"


def test_nobody_is_told_of_what_lies_outside_of_his_part(city: City, duties: Duties) -> None:
    """On duty at the district's level is somebody who sees one township alone."""
    city.add_account("west-officer", AccountRole.DISTRICT, "west-town")
    district = duties.centre("xixiu", Level.DISTRICT)
    duties.write(district, plan(shift("whole", 0, 0, "west-officer")))
    answer = asked(city, Level.DISTRICT)
    assert (answer.accounts, answer.nobody_on_duty) == ((city.accounts["district"],), True)


def test_an_alarm_of_no_place_is_told_as_without_rosters(city: City, duties: Duties) -> None:
    city.add_account("whole", AccountRole.DISTRICT, None)
    duties.write(duties.centre("xixiu", Level.DISTRICT), plan(shift("whole", 0, 0, "district")))
    with city.database.read() as connection:
        answer = city.roster.on_duty(connection, Duty(Level.DISTRICT, Audience.DUTY, None, None, city.clock()))
    assert answer.accounts == (city.accounts["whole"],)


def asked(city: City, level: Level, audience: Audience = Audience.DUTY, place: str = "gate-east") -> Told:
    with city.database.read() as connection:
        return city.roster.on_duty(connection, Duty(level, audience, city.places[place], None, city.clock()))


def visit(city: City) -> set[str]:
    """Who is told to call at east-501."""
    answer = asked(city, Level.GUARD, Audience.UNIT_HEAD, "east-501")
    names = {account: name for name, account in city.accounts.items()}
    return {names[each] for each in answer.accounts}


def test_the_head_of_the_unit_is_told_by_his_account_else_the_community_on_duty(city: City, duties: Duties) -> None:
    duties.colleagues("east-village", AccountRole.COMMUNITY, "centre-2")
    assert visit(city) == {"centre-east", "centre-2"}
    duties.write(duties.centre("east-village", Level.COMMUNITY), plan(shift("whole", 0, 0, "centre-2")))
    head = duties.unit_head("east-501", "east-village")
    assert visit(city) == {"centre-2"}, "the head has no account"
    duties.tie("zhang", head)
    assert visit(city) == {"zhang"}
    duties.disable("zhang")
    assert visit(city) == {"centre-2"}


def test_a_head_whose_account_does_not_see_the_dwelling_is_not_told(city: City, duties: Duties) -> None:
    duties.tie("guard-west", duties.unit_head("east-501", "east-village"))
    assert visit(city) == {"centre-east"}


@pytest.mark.parametrize("name", ["nobody", "guard-west", "auditor", "gone"])
def test_a_roster_names_accounts_of_its_place_that_handle_alarms(city: City, duties: Duties, name: str) -> None:
    city.add_account("auditor", AccountRole.AUDITOR, "east-garden")
    duties.colleagues("east-garden", AccountRole.GUARD, "gone")
    duties.disable("gone")
    with pytest.raises(RegisterError, match=f"'{name}': no account that can be on duty here"):
        duties.write(duties.centre("east-garden", Level.GUARD), plan(shift("whole", 0, 0, name)))


def test_a_centre_of_a_level_is_at_a_place_of_its_kind(city: City, duties: Duties) -> None:
    with pytest.raises(RegisterError, match="no centre of this level is at a compound"):
        duties.centre("east-garden", Level.TOWNSHIP)


def test_a_change_of_a_shift_that_is_none_is_refused(city: City, duties: Duties) -> None:
    post = two_shifts(duties)
    with pytest.raises(RegisterError, match="no shift 'evening' on 2026-11-22"):
        duties.swap(post, SUNDAY, "evening", "zhang")
    with pytest.raises(RegisterError, match="no shift 'night' on 2026-10-31"):
        duties.swap(post, date(2026, 10, 31), "night", "zhang")


def test_many_centres_are_read_with_as_few_queries_as_one(city: City, duties: Duties) -> None:
    def queries() -> int:
        asked: list[str] = []
        event.listen(city.database.engine, "before_cursor_execute", lambda *words: asked.append(words[2]))
        with city.database.read() as connection:
            read_centres(connection, WHOLE, city.clock(), SHANGHAI)
        return len([each for each in asked if each.startswith("SELECT")])

    two_shifts(duties)
    before = queries()
    for place, level in (("east-village", 1), ("west-village", 1), ("xixiu", 3), ("east-town", 2), ("gate-west", 0)):
        duties.write(duties.centre(place, Level(level)), plan(shift("whole", 0, 0, "district")))
    assert queries() == before == 7


def test_channels_tell_whoever_is_on_duty_alone_and_say_when_nobody_is(database: Database) -> None:
    city = NotifyingCity(
        database,
        {
            "channels": {
                "sms": {
                    "kind": "sms",
                    "url": "https://example.org/send",
                    "to": {"guard-east": "13800000001", "li": "13800000002", "wang": "13800000003"},
                    "only_told": True,
                }
            },
            "routes": {"all": {"channel": "sms"}},
        },
    )
    duties = Duties(city)
    duties.colleagues("east-garden", AccountRole.GUARD, "li", "wang")
    two_shifts(duties)
    city.force()
    assert notices(city) == [("li", False)]
    duties.swap(duties.centre("east-garden", Level.GUARD), SUNDAY, "night")
    city.clock.forward(3600)
    city.duress()
    assert notices(city)[-3:] == [("guard-east", True), ("li", True), ("wang", True)]


def notices(city: City) -> list[tuple[str, bool]]:
    """Of the alarms' first steps: to whom, and whether nobody was on duty."""
    query = select(Notice.recipient, Notice.nobody_on_duty).where(Notice.step == 1)
    with city.database.read() as connection:
        return [tuple(row) for row in connection.execute(query.order_by(Notice.made_at, Notice.recipient))]
