"""The routes of alarms over real HTTP, with the hub's own engine running; each is bounded by the account's scope."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import Mock
from uuid import UUID

import httpx
import pytest
from fastapi.openapi.utils import get_openapi
from sqlalchemy import select, update
from websockets.sync.client import connect
from websockets.typing import Origin

from cloud.alarms.api import alarm_router
from cloud.audit.log import verify_chain
from cloud.console.guard import Guard
from cloud.database.engine import Database
from cloud.database.tables import Account, AccountRole, AuditEntry, Place, PlaceKind
from protocols.access_events import DoorForced
from tests.support.console import ADMINISTRATOR, GUARD, PASSWORD, RunningConsole, utc_now, wait_for
from tests.support.events import new_id
from tests.support.register import add_place

TOKEN = re.compile(r'name="page-token" content="([0-9a-f]{64})"')
BASE = "/api/v1/alarms"
BODIES: dict[str, dict[str, Any]] = {
    "acknowledge": {"note": ""},
    "begin": {"note": "going"},
    "note": {"note": "seen"},
    "pass-up": {"note": "too much"},
    "shelve": {"until": "2026-11-23T12:00:00Z", "why": "painters"},
    "unshelve": {"note": ""},
    "close": {"outcome": "false_alarm", "note": "wind"},
}


@pytest.fixture
def console(database: Database, tmp_path: Path) -> Iterator[RunningConsole]:
    """With a guard of the seed's community and a guard of another one."""
    running = RunningConsole(database, tmp_path)
    with database.write() as connection:
        other = new_id()
        add_place(connection, {"id": other, "kind": PlaceKind.COMMUNITY, "code": "far", "name": "远方社区"})
        here = connection.execute(select(Place.id).where(Place.code == "qt")).scalar_one()
    for name, place in (("own", here), ("foreign", other)):
        running.accounts.create_account(name, PASSWORD, AccountRole.GUARD)
        with database.write() as connection:
            connection.execute(update(Account).where(Account.username == name).values(place_id=place))
    yield running
    running.stop()


@contextmanager
def signed_in(console: RunningConsole, username: str) -> Iterator[httpx.Client]:
    """A client whose changes come from the hub's own page."""
    with console.client(username) as client:
        found = TOKEN.search(client.get("/").text)
        assert found is not None
        client.headers["X-Gatehouse-Token"] = found[1]
        client.timeout = httpx.Timeout(60)
        yield client


def raised(console: RunningConsole, client: httpx.Client, device: str = "d-east") -> UUID:
    """A door is forced, and the hub's engine has made an alarm of it."""
    wait_for(lambda: client.get("/api/v1/rules").json()["items"], 60, "the shipped rules")
    console.store(console.seed.gateway.event(DoorForced(), device=device, at=utc_now()))
    items = wait_for(lambda: client.get(BASE).json()["items"], 60, "an alarm")
    return UUID(items[-1]["id"])


def test_an_alarm_from_the_door_to_its_end(console: RunningConsole) -> None:
    with signed_in(console, "own") as client:
        alarm = raised(console, client)
        row = client.get(BASE).json()["items"][0]
        assert (row["title_zh"], row["place"], row["device"], row["sounds"]) == ("门被强行打开", "东门岗", "东门", True)
        for move in ("acknowledge", "begin", "close"):
            body = {**BODIES[move], "outcome": "device_fault"} if move == "close" else BODIES[move]
            answer = client.post(f"{BASE}/{alarm}/{move}", json=body)
            assert answer.status_code == 200, answer.text
        steps = answer.json()["steps"]
        assert [(step["move"], step["account"]) for step in steps] == [
            ("raised", None),
            ("acknowledged", "own"),
            ("begun", "own"),
            ("closed", "own"),
        ]
        assert client.get(BASE).json()["items"] == []
        assert client.get(BASE, params={"state": "closed"}).json()["items"][0]["outcome"] == "device_fault"
    with console.database.read() as connection:
        actions = set(connection.execute(select(AuditEntry.action)).scalars())
    assert {"alarm.acknowledge", "alarm.begin", "alarm.close"} <= actions
    verify_chain(console.database)


def test_the_second_to_acknowledge_is_told_who_was_first(console: RunningConsole) -> None:
    with signed_in(console, "own") as first, signed_in(console, GUARD) as second:
        alarm = raised(console, first)
        assert first.post(f"{BASE}/{alarm}/acknowledge", json={}).status_code == 200
        answer = second.post(f"{BASE}/{alarm}/acknowledge", json={})
        assert answer.status_code == 409
        assert "own has taken it on already" in answer.json()["detail"]


def test_another_communitys_guard_finds_nothing_by_any_route(console: RunningConsole) -> None:
    with signed_in(console, "own") as own, signed_in(console, "foreign") as foreign:
        alarm = raised(console, own)
        unknown = new_id()
        month = {"since": "2026-01-01T00:00:00Z", "until": "2026-12-31T00:00:00Z"}
        for state in ("open", "shelved", "closed"):
            answer = foreign.get(BASE, params={"state": state}).json()
            assert (answer["items"], answer["floods"], answer["shelved"]) == ([], [], 0)
        assert foreign.get(f"{BASE}/figures", params=month).json()["items"] == []
        assert foreign.get(f"{BASE}/health", params=month).json()["alarms"] == 0
        answers = [(foreign.get(f"{BASE}/{alarm}"), foreign.get(f"{BASE}/{unknown}"))]
        answers += [
            (foreign.post(f"{BASE}/{alarm}/{move}", json=body), foreign.post(f"{BASE}/{unknown}/{move}", json=body))
            for move, body in BODIES.items()
        ]
        for there, nowhere in answers:
            assert there.status_code == nowhere.status_code == 404
            assert there.json()["detail"] == nowhere.json()["detail"], "it is not said that there is one"
        assert own.get(f"{BASE}/{alarm}").json()["alarm"]["revision"] == 1
        assert own.get(f"{BASE}/figures", params=month).json()["items"][0]["alarms"] == 1
        assert own.get(f"{BASE}/health", params=month).json()["priorities"] == {"2": 1.0}


def test_every_route_is_among_those_that_the_tests_walk() -> None:
    routes = alarm_router(Mock(), Guard(Mock(), https=False)).routes
    paths = get_openapi(title="alarms", version="1", routes=routes)["paths"]
    moves = {path.rsplit("/", 1)[1] for path in paths if "/{identifier}/" in path}
    assert moves == set(BODIES)


def test_rules_are_an_administrators_to_write(console: RunningConsole) -> None:
    with signed_in(console, GUARD) as guard, signed_in(console, ADMINISTRATOR) as administrator:
        wait_for(lambda: guard.get("/api/v1/rules").json()["items"], 60, "the shipped rules")
        rule = guard.get("/api/v1/rules/door_held").json()["items"][0]["rule"]
        changed = {**rule, "on_delay_s": 90.0}
        assert guard.put("/api/v1/rules/door_held", json=changed).status_code == 403
        assert administrator.put("/api/v1/rules/door_held", json=changed).json()["version"] == 2
        found = guard.get("/api/v1/rules/door_held").json()["items"]
        assert [(each["version"], each["rule"]["on_delay_s"]) for each in found] == [(2, 90.0), (1, 30.0)]
        assert administrator.put("/api/v1/rules/other", json=changed).status_code == 422
        assert administrator.put("/api/v1/rules/door_held", json={**changed, "category": "x"}).status_code == 422


def test_a_request_from_elsewhere_changes_nothing(console: RunningConsole) -> None:
    with signed_in(console, "own") as client:
        alarm = raised(console, client)
        del client.headers["X-Gatehouse-Token"]
        assert client.post(f"{BASE}/{alarm}/acknowledge", json={}).status_code == 403
    with httpx.Client(base_url=console.url) as nobody:
        assert nobody.get(BASE).status_code == 401
        assert nobody.get("/api/v1/rules").status_code == 401


def test_a_span_has_bounds(console: RunningConsole) -> None:
    with signed_in(console, "own") as client:
        now = utc_now()
        for since, until in ((now, now), (now - timedelta(days=500), now)):
            span = {"since": since.isoformat(), "until": until.isoformat()}
            assert client.get(f"{BASE}/health", params=span).status_code == 422


def test_an_open_page_is_told_that_there_is_something_and_not_what(console: RunningConsole) -> None:
    with signed_in(console, "own") as own, signed_in(console, "foreign") as foreign:
        cookie = "; ".join(f"{name}={value}" for name, value in foreign.cookies.items())
        address, headers = f"ws://127.0.0.1:{console.port}/api/v1/live", {"Cookie": cookie}
        with connect(address, origin=Origin(console.url), additional_headers=headers) as page:
            raised(console, own)
            texts: list[str] = []
            while not texts or json.loads(texts[-1])["kind"] != "alarms":
                texts.append(str(page.recv(60)))
    assert set(json.loads(texts[-1])) == {"n", "kind"}
