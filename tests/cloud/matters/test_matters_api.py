"""Matters, orders and months over real HTTP, with the hub's own engine running."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from cloud.accounts import PERMISSIONS, Permission
from cloud.alarms.monthly import CHINA
from cloud.audit.log import verify_chain
from cloud.database.engine import Database
from cloud.database.tables import Account, AccountRole, AuditEntry, Place
from tests.support.console import RunningConsole, utc_now
from tests.support.events import new_id
from tests.support.two_communities import TwoCommunities


@pytest.fixture
def world(database: Database, tmp_path: Path) -> Iterator[TwoCommunities]:
    running = RunningConsole(database, tmp_path)
    yield TwoCommunities(running)
    running.stop()


def form(world: TwoCommunities, **changes: Any) -> dict[str, Any]:
    """A matter at the own community's dwelling, which lies in its grid."""
    with world.console.database.read() as connection:
        place = connection.execute(select(Place.id).where(Place.code == "qt-3-2-501")).scalar_one()
    reporter = {"name": "司徒婉儿", "phone": "13800000042"}
    base = {"kind": "repair", "text": "no light", "place": str(place), "reported_by": "resident", "reporter": reporter}
    return base | changes


def test_one_window_accepts_and_many_hands_settle(world: TwoCommunities) -> None:
    request = str(new_id())
    with world.client(AccountRole.COMMUNITY) as centre, world.client(AccountRole.GRID_MEMBER) as member:
        entered = centre.post("/api/v1/matters", json=form(world, request=request))
        assert entered.status_code == 201, entered.text
        matter = entered.json()
        assert (matter["reporter"]["name"], matter["reporter"]["phone"]) == ("司徒*", "*********42")
        assert centre.post("/api/v1/matters", json=form(world, request=request)).json()["number"] == matter["number"]
        row = matter["alarm"]["alarm"]
        assert [each["number"] for each in centre.get("/api/v1/matters").json()["items"]] == [matter["number"]]
        listed = member.get("/api/v1/alarms", params={"source": "matter"}).json()["items"]
        assert [(each["number"], each["title_zh"]) for each in listed] == [(matter["number"], "报修")]
        order = give(world, centre, row["id"])
        assert [each["id"] for each in member.get("/api/v1/orders").json()["items"]] == [order]
        assert member.post(f"/api/v1/orders/{order}/accept", json={}).json()["state"] == "accepted"
        assert member.post(f"/api/v1/orders/{order}/accept", json={}).status_code == 409
        assert member.post(f"/api/v1/orders/{order}/done", json={"note": "new lamp"}).json()["state"] == "done"
        for move, body in (("acknowledge", {}), ("begin", {"note": "x"})):
            assert member.post(f"/api/v1/alarms/{row['id']}/{move}", json=body).status_code == 200
        closed = member.post(f"/api/v1/alarms/{row['id']}/close", json={"outcome": "settled", "note": "it burns"})
        assert closed.json()["orders"][0]["state"] == "done"
        month = f"/api/v1/alarms/months/{datetime.now(CHINA):%Y-%m}"
        (figures,) = [each for each in centre.get(month).json()["items"] if each["source"] == "matter"]
        assert (figures["number"], figures["open"], figures["settled_at"]) == (1, 0, {"community": 1})
        file = centre.get(f"{month}/csv")
        assert file.headers["content-type"] == "text/csv; charset=utf-8"
        assert "matter.repair:1" in file.text
        span = {"since": "2020-01-01T00:00:00Z", "until": "2020-02-01T00:00:00Z"}
        for path in ("months/2020-01", "months/2020-01/csv", "figures", "health"):
            refused = centre.get(f"/api/v1/alarms/{path}", params={} if "months" in path else span)
            assert (refused.status_code, "would not be whole" in refused.text) == (422, True), path
    verify_chain(world.console.database)


def give(world: TwoCommunities, centre: Any, alarm: str) -> str:
    """An order to the newest grid member's account."""
    with world.console.database.read() as connection:
        members = select(Account.username).where(Account.role == AccountRole.GRID_MEMBER).order_by(Account.id.desc())
        name = connection.execute(members.limit(1)).scalar_one()
    due = (utc_now() + timedelta(hours=1)).isoformat()
    wanted = {"assignee": name, "what": "look at it", "due": due}
    given = centre.post(f"/api/v1/alarms/{alarm}/orders", json=wanted)
    assert given.status_code == 201, given.text
    return str(UUID(given.json()["id"]))


def test_who_reported_is_told_for_a_purpose_that_is_written_down_first(world: TwoCommunities) -> None:
    with world.client(AccountRole.COMMUNITY) as centre, world.client(AccountRole.GRID_MEMBER) as member:
        number = centre.post("/api/v1/matters", json=form(world)).json()["number"]
        asked = {"purpose": "to ask which lamp"}
        assert member.post(f"/api/v1/matters/{number}/reporter", json=asked).status_code == 403
        assert centre.post(f"/api/v1/matters/{number}/reporter", json={"purpose": ""}).status_code == 422
        told = centre.post(f"/api/v1/matters/{number}/reporter", json=asked).json()
        assert told == {"name": "司徒婉儿", "phone": "13800000042"}
    with world.console.database.read() as connection:
        entries = connection.execute(select(AuditEntry.action, AuditEntry.detail)).all()
    looks = [detail for action, detail in entries if action == "matter.reporter"]
    assert looks == [{"matter": number, "purpose": "to ask which lamp"}]
    assert "司徒婉儿" not in str(entries)


def test_a_token_without_the_permission_sees_no_matters_in_the_queue(world: TwoCommunities) -> None:
    console = world.console
    console.accounts.create_account("screen", "correct horse battery", AccountRole.COMMUNITY)
    alone = console.accounts.tokens.create("screen", "x", {Permission.SEE_ALARMS}, timedelta(days=1))
    every = console.accounts.tokens.create("screen", "y", PERMISSIONS[AccountRole.COMMUNITY], timedelta(days=1))
    with world.client(AccountRole.COMMUNITY) as centre:
        number = centre.post("/api/v1/matters", json=form(world)).json()["number"]
        centre.cookies.clear()
        seen = {}
        for token in (alone, every):
            headers = {"Authorization": f"Bearer {token}"}
            seen[token] = centre.get("/api/v1/alarms", headers=headers).text
        month = f"/api/v1/alarms/months/{datetime.now(CHINA):%Y-%m}"
        assert "matter" not in {
            each["source"] for each in centre.get(month, headers={"Authorization": f"Bearer {alone}"}).json()["items"]
        }
        assert centre.get("/api/v1/matters", headers={"Authorization": f"Bearer {alone}"}).status_code == 403
    assert number not in seen[alone]
    assert number in seen[every]
