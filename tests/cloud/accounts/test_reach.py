"""Every route of the hub with every role, against a part of the hub that the account is not bound to.

The routes are taken from the application: one that has no case here fails the test. An answer about something foreign
must be the one about something that is not there, word for word; and no list may hold a trace of it.
"""

import io
import json
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from string import Template
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import insert, select, update
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from cloud.accounts import PERMISSIONS, Permission
from cloud.alarms.monthly import CHINA
from cloud.database.engine import Database
from cloud.database.tables import AccountRole, Credential, Door, Place
from cloud.register.sealed import NUMBER
from protocols.clip_events import ClipKept
from protocols.events import Box, Event, PersonEnteredZone, Snapshot
from tests.support.console import RunningConsole, utc_now
from tests.support.events import granted, new_id, opened
from tests.support.register import vault
from tests.support.routes import routes_of
from tests.support.two_communities import ABSENT, ALARM_RAISED, FOREIGN, LEASE_ENDS, SECRETS, Names, TwoCommunities

ACCESS = "/api/v1/access"
LATER = (utc_now() + timedelta(hours=5)).isoformat()


@dataclass(frozen=True)
class Case:
    """A request. In path and body `$gateway`, `$person` and so on are the foreign things' names, or an absent's.

    Attributes:
        asks: what the role needs; others get 403.
        path: with what the route's parameters are filled; None: the route has none.
    """

    asks: Permission
    path: str | None = None
    body: Any = None

    def send(self, client: httpx.Client, route: str, names: Names) -> httpx.Response:
        """The answer, asked for these things."""
        method, _, path = route.partition(" ")
        body = Template(json.dumps(self.body)).substitute(asdict(names)) if self.body is not None else None
        url = Template(self.path or path).substitute(asdict(names))
        headers = {"Content-Type": "application/json"} if body is not None else {}
        return client.request(method, url, content=body, headers=headers)


def case(asks: Permission, path: str | None = None, body: Any = None) -> Case:
    return Case(asks, path and (path if path.startswith("/api") else ACCESS + path), body)


DOOR, WHY = "/doors/$gateway/$device", {"why": "x"}
PASS = {
    "kind": "guest",
    "host": "$person",
    "label": "x",
    "since": utc_now().isoformat(),
    "until": LATER,
    "doors": [{"gateway": "$gateway", "device": "$device"}],
}
CAMERA = "/api/v1/cameras/$gateway/$camera"
ALARM = "/api/v1/alarms/$alarm"
CATEGORY = {"legal_basis": "a test of reach", "review_on": LATER[:10], "purpose": "a test of reach"}
REQUEST, ASKED = {"purpose": "a test of reach", "case_number": "2026-1"}, "/api/v1/subject-requests/$request"
CENTRE, HANDOVER = "/api/v1/duty/centres/$centre", "/api/v1/duty/handovers/$handover"
MATTER, ORDER = "/api/v1/matters/$matter", "/api/v1/orders/$order"
RAISED_IN = ALARM_RAISED.astimezone(CHINA).strftime("%Y-%m")
NEW_MATTER = {"kind": "repair", "text": "x", "place": "$dwelling_id", "reported_by": "window"}
SESSIONS = "/api/v1/accounts/$account/sessions"
LINKING, CASE = "/api/v1/linking", "purpose=a+test+of+reach&case=2026-1"


def _around(moment: datetime) -> str:
    """A span in a query, which no alarm of today is in."""
    since, until = moment - timedelta(hours=1), moment + timedelta(hours=1)
    return str(httpx.QueryParams({"since": since.isoformat(), "until": until.isoformat()}))


LISTS = {
    "GET /api/v1/events": Permission.WATCH,
    "GET /api/v1/doors": Permission.WATCH,
    "GET /api/v1/gateways": Permission.WATCH,
    f"GET {ACCESS}/doors": Permission.WATCH,
    f"GET {ACCESS}/areas": Permission.WATCH,
    f"GET {ACCESS}/groups": Permission.WATCH,
    f"GET {ACCESS}/lockdowns": Permission.WATCH,
    f"GET {ACCESS}/passes": Permission.SEE_PASSES,
    f"GET {ACCESS}/leases": Permission.SEE_PEOPLE,
    f"GET {ACCESS}/lease-notices": Permission.SEE_NOTICES,
    "GET /api/v1/histories/waiting": Permission.READ_HISTORY,
    "GET /api/v1/alarms": Permission.SEE_ALARMS,
    "GET /api/v1/categories/notices": Permission.CATEGORIES,
    "GET /api/v1/subject-requests": Permission.ANSWER_REQUESTS,
    "GET /api/v1/person-holds": Permission.HOLD_EVIDENCE,
    "GET /api/v1/notify/notices": Permission.SEE_ALARMS,
    "GET /api/v1/matters": Permission.SEE_MATTERS,
    "GET /api/v1/orders": Permission.SEE_ALARMS,
    "GET /api/v1/duty/centres": Permission.SEE_DUTY,
    "GET /api/v1/duty/handovers": Permission.SEE_DUTY,
    f"GET {LINKING}/expired-credentials": Permission.WATCH,
    f"GET {LINKING}/quiet-households": Permission.SEE_PEOPLE,
}
"""Without parameters: what is foreign is not among it."""

CASES = {
    "GET /api/v1/commands/{corr}": case(Permission.WATCH, "/api/v1/commands/$corr"),
    "GET /api/v1/pictures/{sha256}": case(Permission.LOOK, "/api/v1/pictures/$picture"),
    "GET /api/v1/clips/{sha256}": case(Permission.LOOK, "/api/v1/clips/$clip"),
    "GET /api/v1/cameras/{gateway}/{camera}/snapshot": case(Permission.LOOK, f"{CAMERA}/snapshot"),
    f"GET {ACCESS}/doors/{{gateway}}/{{device}}": case(Permission.WATCH, DOOR),
    f"GET {ACCESS}/areas/{{code}}": case(Permission.WATCH, "/areas/$area"),
    f"GET {ACCESS}/groups/{{code}}": case(Permission.WATCH, "/groups/$group"),
    f"GET {ACCESS}/lockdowns/{{identifier}}": case(Permission.WATCH, "/lockdowns/$lockdown"),
    f"GET {ACCESS}/residents": case(Permission.SEE_PEOPLE, "/residents?dwelling=$dwelling"),
    f"GET {ACCESS}/credentials": case(Permission.SEE_PEOPLE, "/credentials?person=$person"),
    f"GET {ACCESS}/credentials/{{credential}}": case(Permission.SEE_PEOPLE, "/credentials/$credential"),
    f"GET {ACCESS}/passes/{{identifier}}": case(Permission.SEE_PASSES, "/passes/$access_pass"),
    "POST /api/v1/people/{identifier}/reveal": case(
        Permission.REVEAL, "/api/v1/people/$person/reveal", {"fields": ["name"], "purpose": "a test of reach"}
    ),
    "POST /api/v1/people/{identifier}/histories": case(
        Permission.READ_HISTORY,
        "/api/v1/people/$person/histories",
        {"purpose": "a test of reach", "case_number": "2026-1", "since": utc_now().isoformat(), "until": LATER},
    ),
    "POST /api/v1/categories/look": case(
        Permission.CATEGORIES, "/api/v1/categories/look", {"purpose": "a test of reach", "person": "$person"}
    ),
    "POST /api/v1/people/{identifier}/categories": case(
        Permission.CATEGORIES, "/api/v1/people/$person/categories", {"category": "key_personnel", **CATEGORY}
    ),
    "POST /api/v1/categories/{identifier}/review": case(
        Permission.CATEGORIES, "/api/v1/categories/$category/review", CATEGORY
    ),
    "POST /api/v1/categories/{identifier}/end": case(
        Permission.CATEGORIES, "/api/v1/categories/$category/end", {"purpose": "a test of reach"}
    ),
    "POST /api/v1/people/{identifier}/requests": case(
        Permission.ANSWER_REQUESTS, "/api/v1/people/$person/requests", {"kind": "export", **REQUEST}
    ),
    "POST /api/v1/subject-requests/{identifier}/confirm": case(Permission.ANSWER_REQUESTS, f"{ASKED}/confirm"),
    "GET /api/v1/subject-requests/{identifier}/plan": case(Permission.ANSWER_REQUESTS, f"{ASKED}/plan"),
    "POST /api/v1/subject-requests/{identifier}/export": case(Permission.ANSWER_REQUESTS, f"{ASKED}/export"),
    "POST /api/v1/subject-requests/{identifier}/erase": case(Permission.ANSWER_REQUESTS, f"{ASKED}/erase"),
    "POST /api/v1/people/{identifier}/holds": case(Permission.HOLD_EVIDENCE, "/api/v1/people/$person/holds", REQUEST),
    "POST /api/v1/person-holds/{identifier}/end": case(Permission.HOLD_EVIDENCE, "/api/v1/person-holds/$hold/end"),
    "POST /api/v1/histories/{identifier}/confirm": case(Permission.READ_HISTORY, "/api/v1/histories/$history/confirm"),
    "GET /api/v1/histories/{identifier}/events": case(Permission.READ_HISTORY, "/api/v1/histories/$history/events"),
    "GET /api/v1/accounts/{username}/sessions": case(Permission.END_SESSIONS, SESSIONS),
    "POST /api/v1/accounts/{username}/sessions/{identifier}/end": case(
        Permission.END_SESSIONS, f"{SESSIONS}/$session/end"
    ),
    "POST /api/v1/accounts/{username}/sessions/end": case(Permission.END_SESSIONS, f"{SESSIONS}/end"),
    "GET /api/v1/audit/subjects/{identifier}": case(Permission.READ_AUDIT, "/api/v1/audit/subjects/$person"),
    f"GET {LINKING}/doors/{{gateway}}/{{device}}/events": case(
        Permission.WATCH, f"{LINKING}/doors/$gateway/$device/events"
    ),
    f"GET {LINKING}/ties": case(Permission.WATCH, f"{LINKING}/ties?event=$sighting"),
    f"GET {LINKING}/dwellings/{{dwelling}}/events": case(
        Permission.READ_HISTORY, f"{LINKING}/dwellings/$dwelling_id/events?{CASE}"
    ),
    f"GET {LINKING}/credentials/{{credential}}/events": case(
        Permission.READ_HISTORY, f"{LINKING}/credentials/$credential/events?{CASE}"
    ),
    "GET /api/v1/alarms/figures": case(Permission.SEE_ALARMS, f"/api/v1/alarms/figures?{_around(ALARM_RAISED)}"),
    "GET /api/v1/alarms/health": case(Permission.SEE_ALARMS, f"/api/v1/alarms/health?{_around(ALARM_RAISED)}"),
    "GET /api/v1/alarms/months/{month}": case(Permission.SEE_ALARMS, f"/api/v1/alarms/months/{RAISED_IN}"),
    "GET /api/v1/alarms/months/{month}/csv": case(Permission.SEE_ALARMS, f"/api/v1/alarms/months/{RAISED_IN}/csv"),
    "GET /api/v1/alarms/{identifier}": case(Permission.SEE_ALARMS, ALARM),
    "POST /api/v1/alarms/{identifier}/acknowledge": case(Permission.HANDLE_ALARMS, f"{ALARM}/acknowledge", {}),
    "POST /api/v1/alarms/{identifier}/begin": case(Permission.HANDLE_ALARMS, f"{ALARM}/begin", {"note": "x"}),
    "POST /api/v1/alarms/{identifier}/note": case(Permission.HANDLE_ALARMS, f"{ALARM}/note", {"note": "x"}),
    "POST /api/v1/alarms/{identifier}/pass-up": case(Permission.HANDLE_ALARMS, f"{ALARM}/pass-up", {"note": "x"}),
    "POST /api/v1/alarms/{identifier}/shelve": case(
        Permission.HANDLE_ALARMS, f"{ALARM}/shelve", {"until": LATER, "why": "painters"}
    ),
    "POST /api/v1/alarms/{identifier}/unshelve": case(Permission.HANDLE_ALARMS, f"{ALARM}/unshelve", {}),
    "POST /api/v1/alarms/{identifier}/close": case(
        Permission.HANDLE_ALARMS, f"{ALARM}/close", {"outcome": "false_alarm", "note": "x"}
    ),
    "GET /api/v1/duty/now": case(Permission.SEE_DUTY, "/api/v1/duty/now?place=$dwelling_id"),
    "GET /api/v1/duty/centres/{identifier}": case(Permission.SEE_DUTY, CENTRE),
    "GET /api/v1/duty/centres/{identifier}/gaps": case(Permission.SEE_DUTY, f"{CENTRE}/gaps"),
    "PUT /api/v1/duty/centres": case(Permission.SET_DUTY, None, {"place": "$dwelling_id", "level": 0, "name": "x"}),
    "PUT /api/v1/duty/centres/{identifier}/rosters/{code}": case(
        Permission.SET_DUTY, f"{CENTRE}/rosters/desk", {"since": LATER[:10]}
    ),
    "POST /api/v1/duty/centres/{identifier}/rosters/{code}/exceptions": case(
        Permission.SET_DUTY, f"{CENTRE}/rosters/desk/exceptions", {"day": LATER[:10], "shift": "day"}
    ),
    "POST /api/v1/duty/centres/{identifier}/posts": case(
        Permission.SET_DUTY, f"{CENTRE}/posts", {"account": "foreign", "function": "x"}
    ),
    "POST /api/v1/duty/posts/{identifier}/end": case(Permission.SET_DUTY, "/api/v1/duty/posts/$centre_post/end"),
    "POST /api/v1/duty/centres/{identifier}/handovers": case(
        Permission.HANDLE_ALARMS, f"{CENTRE}/handovers", {"note": "x"}
    ),
    "POST /api/v1/duty/handovers/{identifier}/accept": case(Permission.HANDLE_ALARMS, f"{HANDOVER}/accept", {}),
    "GET /api/v1/matters/{number}": case(Permission.SEE_MATTERS, MATTER),
    "POST /api/v1/matters": case(Permission.ENTER_MATTERS, None, NEW_MATTER),
    "POST /api/v1/matters/{number}/reporter": case(
        Permission.REVEAL, f"{MATTER}/reporter", {"purpose": "a test of reach"}
    ),
    "GET /api/v1/orders/{identifier}": case(Permission.SEE_ALARMS, ORDER),
    "POST /api/v1/orders/{identifier}/accept": case(Permission.HANDLE_ALARMS, f"{ORDER}/accept", {}),
    "POST /api/v1/orders/{identifier}/refuse": case(Permission.HANDLE_ALARMS, f"{ORDER}/refuse", {"note": "x"}),
    "POST /api/v1/orders/{identifier}/done": case(Permission.HANDLE_ALARMS, f"{ORDER}/done", {"note": "x"}),
    "POST /api/v1/alarms/{identifier}/orders": case(
        Permission.GIVE_ORDERS,
        "/api/v1/alarms/$matter_id/orders",
        {"assignee": "nobody", "what": "x", "due": LATER},
    ),
    "POST /api/v1/orders/{identifier}/withdraw": case(Permission.GIVE_ORDERS, f"{ORDER}/withdraw", {"note": "x"}),
    "POST /api/v1/matters/{number}/pass-on": case(
        Permission.ENTER_MATTERS, f"{MATTER}/pass-on", {"place": "$dwelling_id", "note": "x"}
    ),
    "POST /api/v1/doors/{gateway}/{device}/release": case(Permission.OPERATE, "/api/v1/doors/$gateway/$device/release"),
    f"POST {ACCESS}/doors/{{gateway}}/{{device}}/release": case(Permission.OPERATE, f"{DOOR}/release", WHY),
    f"POST {ACCESS}/doors/{{gateway}}/{{device}}/mode": case(
        Permission.OPERATE, f"{DOOR}/mode", {"mode": "locked", "why": "x"}
    ),
    f"POST {ACCESS}/areas/{{code}}/forgive": case(Permission.OPERATE, "/areas/$area/forgive", WHY),
    f"POST {ACCESS}/lockdowns": case(Permission.LOCK_DOWN, None, {"gateways": ["$gateway"], "why": "x"}),
    f"POST {ACCESS}/lockdowns/{{identifier}}/confirm": case(Permission.LOCK_DOWN, "/lockdowns/$lockdown/confirm"),
    f"POST {ACCESS}/lockdowns/{{identifier}}/repeat": case(Permission.LOCK_DOWN, "/lockdowns/$lockdown/repeat"),
    f"POST {ACCESS}/lockdowns/{{identifier}}/end": case(Permission.LOCK_DOWN, "/lockdowns/$lockdown/end"),
    f"POST {ACCESS}/gateways/{{gateway}}/holds": case(
        Permission.HOLD_EVIDENCE,
        "/gateways/$gateway/holds",
        {"since": utc_now().isoformat(), "until": LATER, "why": "x"},
    ),
    f"POST {ACCESS}/gateways/{{gateway}}/holds/{{identifier}}/end": case(
        Permission.HOLD_EVIDENCE, "/gateways/$gateway/holds/0199a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b/end", WHY
    ),
    f"POST {ACCESS}/lease-notices/{{identifier}}/dealt-with": case(
        Permission.SEE_NOTICES, "/lease-notices/$residency/dealt-with", {"until": LEASE_ENDS.isoformat()}
    ),
    f"POST {ACCESS}/passes": case(Permission.GIVE, None, PASS),
    f"POST {ACCESS}/passes/{{identifier}}/codes": case(Permission.GIVE, "/passes/$access_pass/codes"),
    f"DELETE {ACCESS}/passes/{{identifier}}": case(Permission.GIVE, "/passes/$access_pass"),
    f"POST {ACCESS}/credentials": case(
        Permission.GIVE, None, {"person": "$person", "kind": "card", "number": "w26:1:77", "groups": []}
    ),
    f"PUT {ACCESS}/credentials/{{credential}}": case(Permission.GIVE, "/credentials/$credential", {"groups": []}),
    f"DELETE {ACCESS}/credentials/{{credential}}": case(Permission.GIVE, "/credentials/$credential"),
    f"PUT {ACCESS}/doors/{{gateway}}/{{device}}": case(Permission.SET_DOORS, DOOR, {"place": "$place", "name": "x"}),
    f"PUT {ACCESS}/doors/{{gateway}}/{{device}}/rule": case(
        Permission.SET_DOORS, f"{DOOR}/rule", {"methods": ["card"]}
    ),
    f"DELETE {ACCESS}/doors/{{gateway}}/{{device}}/rule": case(Permission.SET_DOORS, f"{DOOR}/rule"),
    f"PUT {ACCESS}/doors/{{gateway}}/{{device}}/readers/{{reader}}": case(
        Permission.SET_DOORS, f"{DOOR}/readers/$reader", {"device": "r", "name": "r", "leads": "nowhere"}
    ),
    f"DELETE {ACCESS}/doors/{{gateway}}/{{device}}/readers/{{reader}}": case(
        Permission.SET_DOORS, f"{DOOR}/readers/$reader"
    ),
    f"DELETE {ACCESS}/doors/{{gateway}}/{{device}}": case(Permission.SET_DOORS, DOOR),
}
"""With parameters: what is foreign is not there."""

MORE = [
    ("GET", case(Permission.WATCH, "/api/v1/events?only=doors&limit=200")),
    ("GET", case(Permission.SEE_ALARMS, "/api/v1/alarms?state=closed")),  # its case above has closed it
    ("GET", case(Permission.SEE_ALARMS, "/api/v1/notify/notices?alarm=$alarm")),
    ("GET", case(Permission.SEE_PASSES, "/passes?host=$person&running=false")),
    ("GET", case(Permission.SEE_PEOPLE, "/leases?days=366")),
    ("PUT", case(Permission.SET_DOORS, "/doors/gw-quiet/d-east", {"place": "$place", "name": "x"})),
    (
        "PUT",
        case(
            Permission.SET_DOORS,
            "/doors/gw-quiet/d-east/readers/r-east",
            {"device": "r-east", "name": "r", "leads": "into", "area": "$area"},
        ),
    ),
    ("POST", case(Permission.LOCK_DOWN, "/lockdowns", {"gateways": ["gw-quiet", "$gateway"], "why": "x"})),
    ("PUT", case(Permission.SET_DOORS, DOOR, {"place": "gate-east", "name": "taken over"})),  # last: the door is moved
]
"""The same routes with one's own things in the path and foreign ones in the body, and filters."""

_CALENDAR = {"counts_as": 7, "name": "x"}
WHOLE_HUB = {
    f"PUT {ACCESS}/areas/{{code}}": case(Permission.SET_DOORS, "/areas/$area", {"name": "x", "anti_passback": "off"}),
    f"DELETE {ACCESS}/areas/{{code}}": case(Permission.SET_DOORS, "/areas/$area"),
    f"PUT {ACCESS}/groups/{{code}}": case(
        Permission.SET_DOORS, "/groups/$group", {"name": "x", "schedule": "always", "doors": []}
    ),
    f"DELETE {ACCESS}/groups/{{code}}": case(Permission.SET_DOORS, "/groups/$group"),
    f"PUT {ACCESS}/schedules/{{code}}": case(Permission.SET_DOORS, "/schedules/x", {"name": "x", "intervals": []}),
    f"DELETE {ACCESS}/schedules/{{code}}": case(Permission.SET_DOORS, "/schedules/always"),
    f"PUT {ACCESS}/holidays/{{day}}": case(Permission.SET_DOORS, "/holidays/2026-10-01", _CALENDAR),
    f"DELETE {ACCESS}/holidays/{{day}}": case(Permission.SET_DOORS, "/holidays/2026-10-01"),
    f"POST {ACCESS}/holidays/import": case(Permission.SET_DOORS, None, {"items": []}),
    "GET /api/v1/notify/channels": case(Permission.SEE_ALARMS, "/api/v1/notify/channels"),
    "POST /api/v1/notify/channels/{channel}/test": case(Permission.SET_RULES, "/api/v1/notify/channels/x/test"),
    "PUT /api/v1/rules/{code}": case(Permission.SET_RULES, "/api/v1/rules/door_forced", {}),
    f"PUT {ACCESS}/leases/grace": case(Permission.SET_DOORS, None, {"grace_s": {}}),
}
"""What concerns the whole hub is changed by nobody who is bound to a part of it."""

OF_NO_PLACE = {
    f"GET {ACCESS}/schedules": Permission.WATCH,
    f"GET {ACCESS}/schedules/{{code}}": Permission.WATCH,
    f"GET {ACCESS}/holidays": Permission.WATCH,
    f"GET {ACCESS}/leases/grace": Permission.SEE_PEOPLE,
    "GET /api/v1/categories/kinds": Permission.CATEGORIES,
    "GET /api/v1/rules": Permission.SEE_RULES,
    "GET /api/v1/matters/kinds": Permission.SEE_MATTERS,
    "GET /api/v1/rules/{code}": Permission.SEE_RULES,
    "GET /metrics": Permission.READ_METRICS,
}
"""Weeks, holidays, rules and the hub's own figures: they tell nothing of a place or a person."""

FOR_NO_ACCOUNT = {
    "GET /",
    "GET /login",
    "GET /matters/new",
    "POST /matters/new",
    "POST /login",
    "POST /login/second-factor",
    "POST /logout",
    "GET /preferences",
    "GET /icon.svg",
    "GET /healthz",
    "GET /api/v1/openapi.json",
    f"GET {ACCESS}/openapi.json",
    "GET /api/v1/media/openapi.json",
    "PUT /api/v1/gateway/pictures/{sha256}",
    "GET /api/v1/gateway/clips/{sha256}",
    "PUT /api/v1/gateway/clips/{sha256}/{size_bytes}/{offset}",
    "WEBSOCKET /api/v1/gateway/live",
}
"""Pages and descriptions without data of the register, and what gateways prove themselves for. The form of matters is
tried in tests/cloud/matters/test_matters_page.py."""

OF_ONESELF = {
    "GET /account",
    "POST /account/password",
    "POST /account/sessions/{identifier}/end",
    "POST /account/sessions/end-others",
    "POST /account/second-factor",
    "POST /account/second-factor/confirm",
    "GET /api/v1/account/sessions",
    "POST /api/v1/account/sessions/{identifier}/end",
    "POST /api/v1/account/sessions/end-others",
}
"""For every account its own, and no others' (tests/cloud/accounts/test_own_sessions.py, test_account_pages.py)."""

OF_WHO_ASKED = {
    "GET /api/v1/histories/{identifier}/events",
    "POST /api/v1/subject-requests/{identifier}/export",
    "POST /api/v1/subject-requests/{identifier}/erase",
}
"""For nobody but the account that asked, whatever it is bound to (tests/cloud/disclosure)."""

FILES = {"POST /api/v1/register/export"}
"""Answered with a file of all that lies in the account's part."""

SOCKETS = {"WEBSOCKET /api/v1/live", "WEBSOCKET /api/v1/cameras/{gateway}/{camera}/live"}


@pytest.fixture
def world(database: Database, tmp_path: Path) -> Iterator[TwoCommunities]:
    running = RunningConsole(database, tmp_path)
    yield TwoCommunities(running)
    running.stop()


def who_may(permission: Permission) -> AccountRole:
    """The most powerful role that has a permission and is not bound by its nature."""
    others = (AccountRole.AUDITOR, AccountRole.CATEGORY_OFFICER, AccountRole.REGISTRAR)
    roles = (AccountRole.ADMINISTRATOR, AccountRole.DISTRICT, *others)
    return next(role for role in roles if permission in PERMISSIONS[role])


def told(answer: httpx.Response, names: Names) -> tuple[int, str]:
    """What an answer says, without the names that were asked for."""
    return answer.status_code, names.hidden_in(answer.text)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_every_route_of_the_application_has_a_case(world: TwoCommunities) -> None:
    known = {*LISTS, *CASES, *WHOLE_HUB, *OF_NO_PLACE, *FOR_NO_ACCOUNT, *FILES, *OF_ONESELF, *SOCKETS}
    assert routes_of(world.console.app) == known


@pytest.mark.parametrize("role", AccountRole)
def test_what_is_foreign_is_not_there_for_a_role_that_is_bound(world: TwoCommunities, role: AccountRole) -> None:
    asked = [*CASES.items(), *((f"{method} {each.path}", each) for method, each in MORE)]
    with world.client(role) as client:
        for route, each in asked:
            foreign, absent = each.send(client, route, FOREIGN), each.send(client, route, ABSENT)
            assert told(foreign, FOREIGN) == told(absent, ABSENT), route
            assert (foreign.status_code == 403) is (each.asks not in PERMISSIONS[role]), (route, foreign.text)
            assert "异地" not in foreign.text, route
        for route, permission in LISTS.items():
            answer = client.get(route.removeprefix("GET "))
            assert answer.status_code == (200 if permission in PERMISSIONS[role] else 403), route
            assert [secret for secret in SECRETS if secret in answer.text] == [], route
        for route, each in WHOLE_HUB.items():
            assert each.send(client, route, FOREIGN).status_code == 403, route
    assert world.console.sent == [], "a command went to a foreign gateway"


def test_these_requests_find_what_is_foreign_for_who_has_the_whole_hub(world: TwoCommunities) -> None:
    """Else the test above could not fail."""
    same = []
    with ExitStack() as pages:
        bound = {role: pages.enter_context(world.client(role)) for role in AccountRole}
        whole = {role: pages.enter_context(world.client(role, bound=False)) for role in AccountRole}
        for route, permission in LISTS.items():
            text = whole[who_may(permission)].get(route.removeprefix("GET ")).text
            assert any(secret in text for secret in SECRETS), route
        for route, each in [*CASES.items(), *((f"{method} {each.path}", each) for method, each in MORE)]:
            role = who_may(each.asks)
            refused, found = each.send(bound[role], route, FOREIGN), each.send(whole[role], route, FOREIGN)
            if told(refused, FOREIGN) == told(found, FOREIGN) and route not in OF_WHO_ASKED:
                same.append((route, found.status_code, found.text))
    assert [route for route, _, _ in same] == [], same


@pytest.mark.parametrize("role", AccountRole)
def test_a_file_of_the_register_holds_one_s_own_part(world: TwoCommunities, role: AccountRole) -> None:
    with world.console.database.write() as connection:  # what cannot be opened is not told, and the seed's is sealed so
        connection.execute(update(Credential).values(number_sealed=vault().seal(b"w26:1:1", NUMBER)))
    wanted = {"format": "csv", "masked": False, "purpose": "a test of reach"}
    told = {}
    for bound in (True, False):
        with world.client(role, bound=bound) as client:
            answer = client.post("/api/v1/register/export", json=wanted)
        assert answer.status_code == (200 if Permission.EXPORT_REGISTER in PERMISSIONS[role] else 403), answer.text
        if answer.status_code == 200:
            archive = zipfile.ZipFile(io.BytesIO(answer.content))
            told[bound] = "".join(archive.read(name).decode() for name in archive.namelist())
    if told:
        assert "qt-3-2-501" in told[True]
        assert [secret for secret in (*SECRETS, "司徒") if secret in told[True]] == []
        assert "司徒异地" in told[False]


@pytest.mark.parametrize(("route", "permission"), OF_NO_PLACE.items())
def test_what_belongs_to_no_place_asks_for_a_permission(
    world: TwoCommunities, route: str, permission: Permission
) -> None:
    code = "door_forced" if "/rules/" in route else "always"
    path = route.removeprefix("GET ").replace("{code}", code)
    local = path == "/metrics"  # open to programs on this machine: a proxy's client is none
    headers = {"X-Forwarded-For": "203.0.113.9"} if local else {}
    for role in AccountRole:
        with world.client(role, bound=not local) as client:
            answer = client.get(path, headers=headers)
        assert (answer.status_code == 200) is (permission in PERMISSIONS[role]), (role, answer.text)


@pytest.mark.parametrize("role", AccountRole)
def test_the_live_page_is_told_of_its_own_part(world: TwoCommunities, role: AccountRole) -> None:
    if Permission.WATCH not in PERMISSIONS[role]:
        with pytest.raises(InvalidStatus), socket(world, role, "/api/v1/live"):
            pytest.fail("it was let in")
        return
    with socket(world, role, "/api/v1/live") as bound, socket(world, role, "/api/v1/live", bound=False) as whole:
        foreign = world.store_foreign()
        own = world.console.seed.gateway.event(opened())
        world.console.store(own)
        heard_whole = hear(whole, until=str(own.id))
        heard = hear(bound, until=str(own.id))
    assert str(foreign.id) in heard_whole
    assert [secret for secret in (*SECRETS, str(foreign.id)) if secret in heard] == []


def test_who_comes_from_elsewhere_is_not_named_at_one_s_own_door(world: TwoCommunities) -> None:
    gateway = world.console.seed.gateway
    guest = gateway.event(granted(UUID(FOREIGN.credential)), at=utc_now())
    resident = gateway.event(granted(world.console.seed.credential), at=utc_now())
    world.console.store(guest, resident)
    shown = {}
    for bound in (True, False):
        with world.client(AccountRole.GUARD, bound=bound) as client:
            rows = {row["id"]: row for row in client.get("/api/v1/events").json()["events"]}
        shown[bound] = [(rows[str(each.id)]["person"], rows[str(each.id)]["dwelling"]) for each in (guest, resident)]
    assert shown[True] == [(None, None), ("欧阳*", "3栋 2单元 501")]
    assert shown[False] == [("司徒*", "异地101"), ("欧阳*", "3栋 2单元 501")]


def test_a_gateway_that_serves_both_is_shared_door_by_door(world: TwoCommunities) -> None:
    """The foreign gateway gets a door at the own gate: that door is there, the others and what is the gateway's own
    (lockdown, holds, its pictures without an event) are not."""
    with world.console.database.write() as connection:
        gate = connection.execute(select(Place.id).where(Place.code == "gate-east")).scalar_one()
        values = {"id": new_id(), "gateway_id": FOREIGN.gateway, "device": "d-shared", "place_id": gate, "name": "x"}
        connection.execute(insert(Door).values(**values))
    shot = Snapshot(sha256=FOREIGN.picture, size_bytes=1, width=64, height=48)
    seen = PersonEnteredZone(
        zone="z", track=1, score=0.9, box=Box(left=0.0, top=0.0, right=0.5, bottom=0.5), snapshot=shot
    )
    here = world.gateway.event(seen, "c-shared", place="gate-east", at=utc_now())
    there = world.gateway.event(seen, FOREIGN.camera, place=FOREIGN.place, at=utc_now())
    opening = world.gateway.event(opened(), "d-shared", place="gate-east", at=utc_now())
    kept_here, kept_there = (
        world.gateway.event(_kept(opening), camera, place=place, at=utc_now())
        for camera, place in (("c-shared", "gate-east"), (FOREIGN.camera, FOREIGN.place))
    )
    world.console.store(here, there, opening, kept_here, kept_there)
    picture = f"/api/v1/pictures/{FOREIGN.picture}"
    with world.client(AccountRole.ADMINISTRATOR) as client:
        doors = client.get("/api/v1/doors").json()["doors"]
        assert {row["device"] for row in doors if row["gateway"] == FOREIGN.gateway} == {"d-shared"}
        assert client.post(f"/api/v1/doors/{FOREIGN.gateway}/d-shared/release").status_code == 202
        wanted = {"gateways": [FOREIGN.gateway], "why": "x"}
        assert client.post(f"{ACCESS}/lockdowns", json=wanted).status_code == 422
        assert [client.get(picture).status_code, client.get(picture, params={"event": str(there.id)}).status_code] == [
            404,
            404,
        ]
        assert client.get(picture, params={"event": str(here.id)}).status_code == 200
        assert client.get(f"/api/v1/cameras/{FOREIGN.gateway}/{FOREIGN.camera}/snapshot").status_code == 404
        clips = next(row for row in client.get("/api/v1/events").json()["events"] if row["id"] == str(opening.id))[
            "clips"
        ]
        assert [(clip["camera"], clip["told_by"]) for clip in clips] == [("c-shared", str(kept_here.id))]
        clip = f"/api/v1/clips/{FOREIGN.clip}"
        for event, status in ((opening, 404), (kept_there, 404), (kept_here, 200)):
            assert client.get(clip, params={"event": str(event.id)}).status_code == status
        assert client.get(f"/api/v1/cameras/{FOREIGN.gateway}/c-shared/snapshot").status_code == 503


def test_the_outcome_of_a_command_goes_to_the_pages_of_its_door(world: TwoCommunities) -> None:
    console = world.console
    with (
        socket(world, AccountRole.GUARD, "/api/v1/live") as bound,
        socket(world, AccountRole.GUARD, "/api/v1/live", bound=False) as whole,
        world.client(AccountRole.GUARD, bound=False) as client,
    ):
        hear(bound, until='"board"')
        client.post(f"/api/v1/doors/{FOREIGN.gateway}/{FOREIGN.device}/release")
        hear(whole, until='"command"')
        client.post("/api/v1/doors/gw-quiet/d-east/release")
        heard = hear(bound, until='"command"')
    assert FOREIGN.gateway not in heard
    assert "gw-quiet" in heard
    assert len(console.sent) == 2


def test_a_foreign_camera_is_not_shown(world: TwoCommunities) -> None:
    path = f"/api/v1/cameras/{FOREIGN.gateway}/{FOREIGN.camera}/live"
    for role in AccountRole:
        with pytest.raises(InvalidStatus) as refused, socket(world, role, path):
            pytest.fail(f"{role} was let in")
        assert refused.value.response.status_code == 403
    with socket(world, AccountRole.GUARD, path, bound=False) as whole:
        assert "waiting" in str(whole.recv(timeout=30))


def _kept(event: Event) -> ClipKept:
    now = utc_now()
    times = {"since": now - timedelta(seconds=15), "until": now}
    return ClipKept(clip=event.id, sha256=FOREIGN.clip, size_bytes=1, codec="h264", events=(event.id,), **times)


def socket(world: TwoCommunities, role: AccountRole, path: str, *, bound: bool = True) -> Any:
    url = world.console.url
    headers = {"Cookie": f"gatehouse={world.token(role, bound=bound)}"}
    return connect(url.replace("http", "ws") + path, origin=url, additional_headers=headers, open_timeout=30)


def hear(open_socket: Any, until: str) -> str:
    """Everything that was told up to this text."""
    heard = ""
    while until not in heard:
        heard += str(open_socket.recv(timeout=30))
    return heard
