"""Duty over real HTTP: centres, rosters, who is on duty, handovers; each within the account's part, all audited."""

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from pathlib import Path
from time import sleep
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import select

from cloud.alarms.monthly import CHINA
from cloud.audit.log import verify_chain
from cloud.database.engine import Database
from cloud.database.tables import Account, AccountRole, Alarm, AlarmTold, AuditEntry, Place
from protocols.access_events import DoorForced
from tests.support.console import RunningConsole, utc_now, wait_for
from tests.support.two_communities import TwoCommunities

DUTY = "/api/v1/duty"
LONG_AGO = date(2026, 1, 1)
_A_TEST_S = 60.0


@pytest.fixture
def world(database: Database, tmp_path: Path) -> Iterator[TwoCommunities]:
    running = RunningConsole(database, tmp_path)
    yield TwoCommunities(running)
    running.stop()


def place_of(world: TwoCommunities, code: str = "qt") -> str:
    with world.console.database.read() as connection:
        return str(connection.execute(select(Place.id).where(Place.code == code)).scalar_one())


def own_name(world: TwoCommunities, client: httpx.Client) -> str:
    """The user name behind a client."""
    found = world.console.accounts.sessions.find(client.cookies["gatehouse"])
    assert found is not None
    return found.username


def centre(world: TwoCommunities, client: httpx.Client, level: int = 1) -> str:
    wanted = {"place": place_of(world), "level": level, "name": "安静社区综治中心"}
    answer = client.put(f"{DUTY}/centres", json=wanted)
    assert answer.status_code == 200, answer.text
    made: str = answer.json()["id"]
    return made


@pytest.fixture
def today() -> date:
    """The day in China, and it does not end within the next minute: the hub reads its own clock, later than a test."""
    now = utc_now().astimezone(CHINA)
    left = (datetime.combine(now.date() + timedelta(days=1), time(), CHINA) - now).total_seconds()
    if left > _A_TEST_S:
        return now.date()
    sleep(left)
    return now.date() + timedelta(days=1)


def whole_day(*members: str, since: date = LONG_AGO, **values: Any) -> dict[str, Any]:
    shift = {"name": "day", "begins": "00:00", "ends": "00:00", "members": members}
    return {"since": str(since), "shifts": [shift], **values}


def test_a_centre_sets_up_its_roster_and_is_told_who_is_on_duty(world: TwoCommunities, today: date) -> None:
    with world.client(AccountRole.COMMUNITY) as client, world.client(AccountRole.COMMUNITY) as other:
        me, she = own_name(world, client), own_name(world, other)
        made = centre(world, client)
        assert centre(world, client) == made, "of a level there is one at a place"
        post = {"account": me, "function": "值班长"}
        given = client.post(f"{DUTY}/centres/{made}/posts", json=post)
        assert given.json()["change"] == "added"
        roster = f"{DUTY}/centres/{made}/rosters/desk"
        assert client.put(roster, json=whole_day(me)).json() == {"change": "added"}
        assert client.put(roster, json=whole_day(me)).json() == {"change": "unchanged"}
        [level] = [
            row for row in client.get(f"{DUTY}/now?place={place_of(world, 'gate-east')}").json()["items"]
            if row["level"] == 1
        ]  # fmt: skip
        assert (level["centre"], level["everybody"]) == ("安静社区综治中心", False)
        [person] = level["on_duty"]
        assert (person["account"], person["functions"], person["shift"]) == (me, ["值班长"], "day")
        swap = {"day": str(today), "shift": "day", "members": [she], "note": "换班"}
        assert client.post(f"{roster}/exceptions", json=swap).json() == {"change": "added"}
        [row] = client.get(f"{DUTY}/centres").json()["items"]
        assert [each["account"] for each in row["on_duty"]] == [she]
        before = utc_now() - timedelta(hours=1)
        told = client.get(f"{DUTY}/centres", params={"at": before.isoformat()}).json()["items"]
        assert [each["on_duty"] for each in told] == [[]], "nothing was written then"
        whole = client.get(f"{DUTY}/centres/{made}").json()
        assert [each["function"] for each in whole["posts"]] == ["值班长"]
        assert [each["note"] for each in whole["rosters"][0]["changes"]] == ["换班"]
        assert [each["written_by"] for each in whole["rosters"][0]["versions"]] == [me]
        assert client.post(f"{DUTY}/posts/{whole['posts'][0]['id']}/end").status_code == 204
        assert client.post(f"{DUTY}/posts/{whole['posts'][0]['id']}/end").status_code == 409
        assert client.get(f"{DUTY}/centres/{made}").json()["posts"] == []
    actions = audited(world)
    assert [each for each in actions if each.startswith("duty.")] == [
        *("duty.centre", "duty.centre", "duty.post", "duty.roster", "duty.roster", "duty.exception", "duty.post.end"),
    ]


def test_the_running_hub_tells_whoever_is_on_duty_alone(world: TwoCommunities) -> None:
    with world.client(AccountRole.COMMUNITY) as client, world.client(AccountRole.GUARD) as guard:
        world.token(AccountRole.GUARD)  # a colleague who is off duty
        post, name = centre(world, client, level=0), own_name(world, guard)
        client.put(f"{DUTY}/centres/{post}/rosters/desk", json=whole_day(name)).raise_for_status()
        event = world.console.seed.gateway.event(DoorForced(), "d-east", place="gate-east", at=utc_now())
        world.console.store(event)
        assert wait_for(lambda: told_of(world, event.id), what="the alarm") == {name}


def told_of(world: TwoCommunities, event: UUID) -> set[str]:
    """Who was told that the event's alarm was raised."""
    query = select(Account.username).join(AlarmTold, AlarmTold.account_id == Account.id)
    query = query.join(Alarm, Alarm.id == AlarmTold.alarm_id).where(Alarm.first_event_id == event, AlarmTold.step == 1)
    with world.console.database.read() as connection:
        return set(connection.execute(query).scalars())


def test_gaps_of_the_days_to_come_are_told(world: TwoCommunities, today: date) -> None:
    with world.client(AccountRole.COMMUNITY) as client:
        me, made = own_name(world, client), centre(world, client)
        last = today + timedelta(days=2)
        client.put(f"{DUTY}/centres/{made}/rosters/desk", json=whole_day(me))
        client.put(f"{DUTY}/centres/{made}/rosters/desk", json=whole_day(since=last, until=str(last + timedelta(1))))
        [gap] = client.get(f"{DUTY}/centres/{made}/gaps?days=5").json()["items"]
        assert gap["since"].startswith(f"{last - timedelta(days=1)}T16:00:00")
        assert gap["until"].startswith(f"{last}T16:00:00")


def test_a_handover_is_written_and_accepted_by_the_next(world: TwoCommunities) -> None:
    with world.client(AccountRole.COMMUNITY) as client, world.client(AccountRole.COMMUNITY) as other:
        made = centre(world, client)
        left = client.post(f"{DUTY}/centres/{made}/handovers", json={"note": "一切正常", "special": "3栋电梯停用"})
        assert left.status_code == 201, left.text
        handover = left.json()
        accept = f"{DUTY}/handovers/{handover['id']}/accept"
        assert client.post(accept, json={}).status_code == 409
        waiting = other.get(f"{DUTY}/handovers?waiting=true").json()
        assert [each["special"] for each in waiting["items"]] == ["3栋电梯停用"]
        assert waiting["overdue"] == 0
        assert other.post(accept, json={"note": "好"}).json()["accepted_by"] == own_name(world, other)
        assert other.get(f"{DUTY}/handovers?waiting=true").json()["items"] == []
        at = handover["written_at"]
        assert other.get(f"{DUTY}/handovers", params={"before": at}).json()["items"] == []
        assert len(other.get(f"{DUTY}/handovers", params={"before": utc_now().isoformat()}).json()["items"]) == 1
    with world.client(AccountRole.DISTRICT, bound=False) as district:
        assert district.get(f"{DUTY}/handovers").json()["overdue"] == 1, "the foreign one"


def test_an_account_of_elsewhere_is_told_as_one_that_is_not_there(world: TwoCommunities) -> None:
    with world.client(AccountRole.COMMUNITY) as client:
        made = centre(world, client)
        said = {
            name: client.put(f"{DUTY}/centres/{made}/rosters/desk", json=whole_day(name)).json()["detail"]
            for name in ("foreign", "nobody")
        }
        assert said["foreign"].replace("foreign", "nobody") == said["nobody"]


def test_guards_see_duty_and_set_nothing(world: TwoCommunities) -> None:
    with world.client(AccountRole.GUARD) as client:
        assert client.get(f"{DUTY}/centres").json() == {"items": []}
        wanted = {"place": place_of(world), "level": 1, "name": "x"}
        assert client.put(f"{DUTY}/centres", json=wanted).status_code == 403


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2026-11-24T08:00:00"])
def test_a_moment_beyond_all_calendars_is_refused(world: TwoCommunities, at: str) -> None:
    with world.client(AccountRole.GUARD) as client:
        assert client.get(f"{DUTY}/centres", params={"at": at}).status_code == 422


def audited(world: TwoCommunities) -> list[str]:
    verify_chain(world.console.database)
    with world.console.database.read() as connection:
        return list(connection.execute(select(AuditEntry.action).order_by(AuditEntry.number)).scalars())
