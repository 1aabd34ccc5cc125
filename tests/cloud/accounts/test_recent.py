"""Events of long ago are told to nobody who states no purpose: every route that reads, with every role."""

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from pydantic import ValidationError
from sqlalchemy import insert, select

from cloud.accounts import PERMISSIONS, Permission, Recent, Scope
from cloud.app_settings import AppSettings
from cloud.database.engine import Database
from cloud.database.tables import AccountRole, AuditEntry, Picture, Place
from cloud.live.rows import read_rows
from cloud.media.reach import is_shown
from protocols.access_events import AccessDenied, AccessMethod, DenialReason
from protocols.event_data import Box
from protocols.events import Event, PersonEnteredZone, Snapshot
from tests.support.console import RunningConsole, utc_now
from tests.support.events import granted, new_id, opened
from tests.support.routes import routes_of
from tests.support.two_communities import FOREIGN, TwoCommunities

DOOR = "/api/v1/linking/doors/gw-quiet/d-east/events"
EXPIRED = "/api/v1/linking/expired-credentials"
TIES = "/api/v1/linking/ties"
LONG_AGO = timedelta(days=30)
WHY = "the lock was broken, since when is asked"


@pytest.fixture
def world(database: Database, tmp_path: Path) -> Iterator[TwoCommunities]:
    running = RunningConsole(database, tmp_path)
    yield TwoCommunities(running)
    running.stop()


def store(console: RunningConsole, ago: timedelta) -> tuple[Event, ...]:
    """What a door and a camera told then: opened, somebody let in, somebody refused, somebody seen."""
    gateway, at = console.seed.gateway, utc_now() - ago
    refused = AccessDenied(
        reader="r-east-in",
        method=AccessMethod.CARD,
        reason=DenialReason.EXPIRED,
        credential=console.seed.credential,
        policy_version=1,
        decision_us=1,
    )
    seen = PersonEnteredZone(zone="z", track=1, score=0.9, box=Box(left=0.0, top=0.0, right=0.5, bottom=0.5))
    told = [gateway.event(data, at=at) for data in (opened(), granted(console.seed.credential), refused)]
    events = (*told, gateway.event(seen, "c-east", at=at))
    console.seed.store(*events, received_at=at)
    return events


def found_in(text: str, events: tuple[Event, ...]) -> list[str]:
    return [str(each.id) for each in events if str(each.id) in text]


def reads(world: TwoCommunities) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every route that reads, about one's own things, and no purpose."""
    console = world.console
    with console.database.read() as connection:
        places = {row.code: row.id for row in connection.execute(select(Place.code, Place.id))}
    own = {
        "gateway": "gw-quiet",
        "device": "d-east",
        "camera": "c-east",
        "dwelling": places["qt-3-2-501"],
        "credential": console.seed.credential,
        "month": f"{utc_now():%Y-%m}",
        "sha256": "0" * 64,
    }
    for route in sorted(routes_of(console.app)):
        method, _, path = route.partition(" ")
        if method == "GET" and "/snapshot" not in path:  # asks the gateway, and reads no event
            yield re.sub(r"\{(\w+)\}", lambda part: str(own.get(part[1], new_id())), path), {}


@pytest.mark.parametrize("role", AccountRole)
def test_no_route_tells_events_of_long_ago(world: TwoCommunities, role: AccountRole) -> None:
    old, new = store(world.console, LONG_AGO), store(world.console, timedelta(hours=1))
    for bound in (True, False):
        with world.client(role, bound=bound) as client:
            check_no_route_tells(client, world, role, old, new)


def check_no_route_tells(
    client: httpx.Client, world: TwoCommunities, role: AccountRole, old: tuple[Event, ...], new: tuple[Event, ...]
) -> None:
    long_ago = (utc_now() - 2 * LONG_AGO).isoformat()
    told = set()
    asked = [*reads(world), ("/api/v1/events", {"after": long_ago}), ("/api/v1/events", {"only": "doors"})]
    asked += [(path, {"since": long_ago}) for path in (DOOR, EXPIRED)]
    asked += [(TIES, {"event": [str(each[-1].id)]}) for each in (old, new)]
    for path, query in asked:
        text = client.get(path, params=query).text
        if query.get("event") == [str(old[-1].id)]:
            assert str(old[0].id) not in text
        else:
            assert found_in(text, old) == [], (path, query)
        told |= set(found_in(text, new))
    expected = {str(each.id) for each in new} if Permission.WATCH in PERMISSIONS[role] else set()
    assert told == expected, "else this test could not fail"


@pytest.mark.parametrize("role", [AccountRole.GUARD, AccountRole.GRID_MEMBER, AccountRole.ADMINISTRATOR])
def test_events_of_long_ago_are_told_for_a_purpose_that_is_kept(world: TwoCommunities, role: AccountRole) -> None:
    old = store(world.console, LONG_AGO)
    since = (utc_now() - 2 * LONG_AGO).isoformat()
    with world.client(role) as client:
        for path, mine in ((DOOR, old[:3]), (EXPIRED, old[2:3])):
            refused = client.get(path, params={"since": since})
            assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "purpose")
            for word in ("purpose=", "more than 7 days", "查询 7 天以前的事件须说明用途"):
                assert word in refused.text
            assert client.get(path, params={"since": since, "purpose": "x"}).status_code == 422, "that is none"
            answer = client.get(path, params={"since": since, "purpose": WHY})
            assert found_in(answer.text, mine) == [str(each.id) for each in mine]
    with world.console.database.read() as connection:
        details = connection.scalars(
            select(AuditEntry.detail).where(AuditEntry.action == "events.history").order_by(AuditEntry.number)
        ).all()
    assert [each["what"] for each in details] == ["door", "expired credentials"]
    assert {each["purpose"] for each in details} == {WHY}
    assert {each["since"] for each in details} == {since}


def test_a_night_and_a_week_need_no_purpose(world: TwoCommunities) -> None:
    store(world.console, timedelta(hours=1))
    with world.client(AccountRole.GUARD) as client:
        week = {"since": (utc_now() - timedelta(days=7)).isoformat()}
        for path in (DOOR, EXPIRED):
            assert client.get(path).json()["events"]
            assert client.get(path, params=week).json()["events"]


def test_what_a_gateway_sends_late_is_news(world: TwoCommunities) -> None:
    console = world.console
    late = console.seed.gateway.event(opened(), at=utc_now() - LONG_AGO)
    console.seed.store(late)
    with world.client(AccountRole.GUARD) as client:
        assert str(late.id) in client.get("/api/v1/events").text


def test_a_program_s_token_reads_no_further_back(world: TwoCommunities) -> None:
    old = store(world.console, LONG_AGO)
    token = world.console.accounts.tokens.create("guard", "screen", [Permission.WATCH], timedelta(days=1))
    with world.console.client(None) as client:
        client.headers["Authorization"] = f"Bearer {token}"
        assert found_in(client.get("/api/v1/events").text, old) == []
        assert client.get(DOOR, params={"since": (utc_now() - LONG_AGO).isoformat()}).status_code == 422


def test_the_picture_of_an_older_event_is_shown_to_who_knows_both(world: TwoCommunities) -> None:
    """A row that was read for a purpose leads to its picture; without one the row is not told."""
    console, sha256 = world.console, "a" * 64
    shot = Snapshot(sha256=sha256, size_bytes=1, width=64, height=48)
    box = Box(left=0.0, top=0.0, right=0.5, bottom=0.5)
    seen = PersonEnteredZone(zone="z", track=1, score=0.9, box=box, snapshot=shot)
    received = utc_now() - LONG_AGO
    event = world.gateway.event(seen, FOREIGN.camera, place="gate-east", at=received)
    console.seed.store(event, received_at=received)
    with console.database.write() as connection:
        values = {"sha256": sha256, "gateway_id": FOREIGN.gateway, "size_bytes": 1, "received_at": received}
        connection.execute(insert(Picture).values(**values))
    found = console.accounts.sessions.find(world.token(AccountRole.GUARD))
    assert found is not None
    assert is_shown(console.database, Picture, sha256, found.scope, event.id)
    assert not is_shown(console.database, Picture, sha256, found.scope, None)
    with console.database.read() as connection:
        assert read_rows(connection, [event.id], found.scope) == []
        assert len(read_rows(connection, [event.id], found.scope.with_purpose())) == 1


def test_scopes_of_one_clock_and_window_are_one() -> None:
    """Open pages are grouped by their scopes."""
    first, second = (Scope(grid_id=UUID(int=1), recent=Recent(utc_now)) for _ in range(2))
    assert first == second
    assert {first: "x"}[second] == "x"
    assert first.with_purpose() != first


@pytest.mark.parametrize("days", [0, 93])
def test_how_far_back_is_set_within_bounds(days: int) -> None:
    assert AppSettings(days_without_purpose=14).days_without_purpose == 14
    with pytest.raises(ValidationError):
        AppSettings(days_without_purpose=days)
