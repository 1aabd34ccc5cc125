"""The API of door management over real HTTP: who may, what comes of it, and every error as a problem detail."""

import importlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pkgutil import iter_modules
from typing import Any
from unittest.mock import Mock
from uuid import UUID, uuid4

import httpx
import pytest
from pydantic import BaseModel
from sqlalchemy import select, text

from cloud.access.api import access_router, openapi_document
from cloud.access.problems import MEDIA_TYPE
from cloud.access.values.doors import RuleValue
from cloud.console.guard import Guard
from cloud.credentials.rules import rules_of
from cloud.database import tables
from cloud.database.tables import AccountRole
from protocols.commands import Command, EvidenceHold, ReplyState
from protocols.passes import read_token
from tests.support.console import ADMINISTRATOR, GUARD, PASSWORD, RunningConsole, wait_for

BASE = "/api/v1/access"
DOOR = f"{BASE}/doors/gw-quiet/d-east"
TOKEN = re.compile(r'name="page-token" content="([0-9a-f]{64})"')
DOCUMENT = openapi_document(access_router(Mock(), Guard(Mock(), https=False)))
OPERATIONS = [
    (f"{method.upper()} {path}", operation)
    for path, operations in DOCUMENT["paths"].items()
    for method, operation in operations.items()
]


@contextmanager
def signed_in(console: RunningConsole, username: str = ADMINISTRATOR) -> Iterator[httpx.Client]:
    """A client whose changes come from the hub's own page."""
    with console.client(username) as client:
        found = TOKEN.search(client.get("/").text)
        assert found is not None
        client.headers["X-Gatehouse-Token"] = found[1]
        yield client


def problem(answer: httpx.Response, status: int) -> dict[str, Any]:
    """What an error says, once it was seen to be a problem detail."""
    assert (answer.status_code, answer.headers["content-type"]) == (status, MEDIA_TYPE), answer.text
    told: dict[str, Any] = answer.json()
    assert told["status"] == status
    assert told["type"].startswith("urn:gatehouse:problem:")
    assert told["title"]
    assert told["detail"]
    assert told["instance"] == answer.request.url.path
    return told


def audited(console: RunningConsole) -> list[tuple[str, dict[str, Any]]]:
    query = select(tables.AuditEntry.action, tables.AuditEntry.detail).order_by(tables.AuditEntry.number)
    with console.database.read() as connection:
        return [(action, detail) for action, detail in connection.execute(query) if not action.startswith("login")]


def host(console: RunningConsole) -> str:
    with console.database.read() as connection:
        return str(connection.execute(select(tables.Person.id)).scalar_one())


# --- the OpenAPI document


@pytest.mark.parametrize(("name", "operation"), OPERATIONS, ids=[name for name, _ in OPERATIONS])
def test_every_operation_has_a_description_examples_and_its_problems(name: str, operation: dict[str, Any]) -> None:
    assert len(operation["description"]) > 8
    contents = [operation["requestBody"]] if "requestBody" in operation else []
    good = [body for status, body in operation["responses"].items() if status.startswith("2")]
    assert len(good) == 1
    if "204" not in operation["responses"]:
        contents += good
    for body in contents:
        assert body["content"]["application/json"]["example"], name
    for parameter in operation.get("parameters", ()):
        assert parameter["schema"].get("examples") or parameter.get("example"), (name, parameter["name"])
    wanted = {"401", "503"} | (set() if name.startswith("GET") else {"403"})
    if "requestBody" in operation or operation.get("parameters"):
        wanted.add("422")
    if "{" in name:
        wanted.add("404")
    assert wanted <= operation["responses"].keys()
    for status, body in operation["responses"].items():
        if not status.startswith("2"):
            told = body["content"][MEDIA_TYPE]
            assert told["schema"] == {"$ref": "#/components/schemas/Problem"}
            assert told["example"]["status"] == int(status)


def test_every_example_is_one_that_the_model_takes() -> None:
    from cloud.access import routes, values

    subjects = [importlib.import_module(f"{values.__name__}.{found.name}") for found in iter_modules(values.__path__)]
    every = {each for module in (*subjects, routes) for each in vars(module).values() if isinstance(each, type)}
    models = [each for each in every if issubclass(each, BaseModel)]
    seen = 0
    for model in models:
        for example in (model.model_config.get("json_schema_extra") or {}).get("examples", ()):
            model.model_validate(example)
            seen += 1
    assert seen >= 25


def test_every_reference_of_the_document_leads_somewhere() -> None:
    references = set(re.findall(r"'\$ref': '#/components/schemas/([^']+)'", repr(DOCUMENT)))
    assert references
    assert references <= DOCUMENT["components"]["schemas"].keys()
    assert "#/$defs" not in repr(DOCUMENT)


def test_the_document_is_served_to_who_is_signed_in(console: RunningConsole) -> None:
    with console.client() as client:
        assert client.get(f"{BASE}/openapi.json").json()["paths"].keys() == DOCUMENT["paths"].keys()
    problem(httpx.get(f"{console.url}{BASE}/openapi.json"), 401)


# --- who may


def called(client: httpx.Client, name: str, operation: dict[str, Any]) -> httpx.Response:
    """Call an operation with the examples of its document."""
    method, path = name.split()
    for parameter in operation.get("parameters", ()):
        if parameter["in"] == "path":
            path = path.replace(f"{{{parameter['name']}}}", str(parameter["schema"]["examples"][0]))
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("example")
    return client.request(method, path, json=body)


def test_nobody_gets_in_without_a_session_and_nothing_changes_without_the_page(console: RunningConsole) -> None:
    with console.client(None) as client:
        for name, operation in OPERATIONS:
            assert problem(called(client, name, operation), 401)["detail"] == "log in first"
    with console.client(ADMINISTRATOR) as client:
        for name, operation in OPERATIONS:
            if not name.startswith("GET"):
                problem(called(client, name, operation), 403)
    assert console.sent == []


def test_a_guard_reads_and_acts_and_manages_nothing(console: RunningConsole) -> None:
    with signed_in(console, GUARD) as client:
        for name, operation in OPERATIONS:
            status = called(client, name, operation).status_code
            acts = operation["tags"][0] in ("commands", "lockdowns", "lease notices")
            people = operation["tags"][0] in ("credentials", "leases")
            allowed = acts or (name.startswith("GET") and not people)
            assert (status == 403) is not allowed, (name, status)


# --- doors


def test_a_rule_is_set_shown_compiled_and_audited(console: RunningConsole) -> None:
    rule = {"methods": ["card", "card_pin"], "card_alone": "day", "two_persons": True}
    week = {"name": "白天", "intervals": [{"weekday": 0, "since": 480, "until": 1080}]}
    with signed_in(console) as client:
        assert client.put(f"{BASE}/schedules/day", json=week).json() == {"change": "added"}
        assert client.put(f"{DOOR}/rule", json=rule).json() == {"change": "added"}
        assert client.put(f"{DOOR}/rule", json=rule).json() == {"change": "unchanged"}
        shown = client.get(DOOR).json()
        assert RuleValue.model_validate(shown["rule"]) == RuleValue.model_validate(rule)
        assert problem(client.delete(f"{BASE}/schedules/day"), 409)["errors"][0]["field"] == "schedule"
        with console.database.read() as connection:
            [compiled] = rules_of(connection, "gw-quiet").doors
        assert (compiled.card_alone, compiled.two_persons) == ("day", True)
        assert client.delete(f"{DOOR}/rule").status_code == 204
        problem(client.delete(f"{DOOR}/rule"), 404)
    assert [action for action, _ in audited(console)][-3:] == ["schedule.put", "door.rule.put", "door.rule.remove"]


def test_what_is_wrong_is_told_by_field(console: RunningConsole) -> None:
    with signed_in(console) as client:
        faceless = problem(client.put(f"{DOOR}/rule", json={"methods": ["face"]}), 422)
        assert "palm or vein may never be the only way in" in faceless["errors"][0]["problem"]
        unknown = problem(client.put(f"{DOOR}/rule", json={"methods": ["card"], "free": "nights"}), 422)
        assert unknown["errors"] == [
            {"field": "free", "problem": "there is no schedule 'nights'", "remedy": "add it to the schedules first"}
        ]
        several = problem(client.put(f"{DOOR}/rule", json={"methods": ["knock"], "speed": 1}), 422)
        assert {each["field"] for each in several["errors"]} >= {"methods.0", "speed"}
        problem(client.put(f"{DOOR}/rule", content=b"{", headers={"Content-Type": "application/json"}), 422)
        problem(client.get(f"{BASE}/doors/gw-quiet/d-none"), 404)
        problem(client.get(f"{BASE}/holidays", params={"year": 1}), 422)


def test_a_database_that_fails_is_told_as_a_problem(console: RunningConsole) -> None:
    with signed_in(console) as client:
        with console.database.write() as connection:
            connection.execute(text("DROP TABLE reader"))
        problem(client.get(f"{BASE}/doors"), 503)


def test_readers_areas_groups_and_holidays(console: RunningConsole) -> None:
    with signed_in(console) as client:
        area = {"name": "车库", "anti_passback": "timed", "minutes": 5}
        assert client.put(f"{BASE}/areas/garage", json=area).json() == {"change": "added"}
        reader = {"device": "r-in", "name": "in", "leads": "into", "area": "garage"}
        assert client.put(f"{DOOR}/readers/r-in", json=reader).json() == {"change": "added"}
        problem(client.delete(f"{BASE}/areas/garage"), 409)
        assert client.get(f"{BASE}/areas/garage").json()["forgives_at"] == 240
        client.put(f"{BASE}/schedules/always", json={"name": "全天", "intervals": []})
        group = {"name": "住户", "schedule": "always", "doors": [{"gateway": "gw-quiet", "device": "d-east"}]}
        assert client.put(f"{BASE}/groups/all", json=group).json() == {"change": "added"}
        assert client.get(f"{BASE}/groups").json()["items"][0]["credentials"] == 0
        problem(client.delete(DOOR), 409)
        assert client.delete(f"{BASE}/groups/all").status_code == 204
        assert client.delete(f"{DOOR}/readers/r-in").status_code == 204
        assert client.delete(DOOR).status_code == 204
        day = {"day": "2026-10-01", "counts_as": 7, "name": "国庆节"}
        imported = client.post(f"{BASE}/holidays/import", json={"items": [day]}).json()
        assert imported == {"added": 1, "updated": 0, "unchanged": 0}
        assert client.get(f"{BASE}/holidays", params={"year": 2026}).json() == {"items": [day]}
        assert client.delete(f"{BASE}/holidays/2026-10-01").status_code == 204
        problem(client.delete(f"{BASE}/holidays/2026-10-01"), 404)


# --- persons


def test_a_pass_is_made_shown_and_revoked(console: RunningConsole) -> None:
    wanted = {
        "kind": "guest",
        "host": host(console),
        "label": "亲戚",
        "since": "2099-05-01T08:00:00+08:00",
        "until": "2099-05-01T20:00:00+08:00",
        "doors": [{"gateway": "gw-quiet", "device": "d-east"}],
    }
    with signed_in(console) as client:
        issued = client.post(f"{BASE}/passes", json=wanted)
        assert issued.status_code == 201
        [code] = issued.json()["qr_codes"]
        token = read_token(code["token"], lambda *_words: True)
        assert (str(token.ref), token.doors) == (issued.json()["id"], ("d-east",))
        path = f"{BASE}/passes/{issued.json()['id']}"
        assert client.get(path).json()["label"] == "亲戚"
        assert len(client.post(f"{path}/codes").json()["items"]) == 1
        assert len(client.get(f"{BASE}/passes", params={"host": wanted["host"]}).json()["items"]) == 1
        assert client.delete(path).status_code == 204
        problem(client.delete(path), 409)
        problem(client.post(f"{path}/codes"), 409)
        assert client.get(f"{BASE}/passes").json() == {"items": []}
        backwards = problem(client.post(f"{BASE}/passes", json={**wanted, "until": wanted["since"]}), 422)
        assert "ends before it begins" in backwards["detail"]
    assert code["token"] not in str(audited(console))


def test_credentials_and_leases(console: RunningConsole) -> None:
    with console.database.write() as connection:
        connection.execute(text("DELETE FROM credential"))
    with signed_in(console) as client:
        [person] = client.get(f"{BASE}/residents", params={"dwelling": "qt-3-2-501"}).json()["items"]
        assert person["name"] == "欧阳*"
        new = {"person": person["id"], "kind": "card", "number": "w26:12:345", "groups": [], "pin": "2580"}
        made = client.post(f"{BASE}/credentials", json=new)
        assert made.status_code == 201
        assert problem(client.post(f"{BASE}/credentials", json=new), 409)["errors"][0]["field"] == "number"
        path = f"{BASE}/credentials/{made.json()['id']}"
        changed = client.put(path, json={"groups": [], "duress_pin": "0852", "first": True}).json()
        assert (changed["has_pin"], changed["has_duress_pin"], changed["first"]) == (True, True, True)
        listed = client.get(f"{BASE}/credentials", params={"person": person["id"]}).json()["items"]
        assert listed == [changed] == [client.get(path).json()]
        assert "12:345" not in str(listed)
        assert client.delete(path).status_code == 204
        problem(client.get(path), 404)
        grace = {"grace_s": {"tenant": 3600}}
        assert client.put(f"{BASE}/leases/grace", json=grace).json() == grace
        assert client.get(f"{BASE}/leases/grace").json() == grace
        assert client.get(f"{BASE}/leases").json() == {"items": []}
    assert "2580" not in str(audited(console))
    assert "0852" not in str(audited(console))


# --- commands


def last(console: RunningConsole) -> Command:
    _, message = wait_for(lambda: console.sent and console.sent.pop(), what="a command")
    return Command.model_validate_json(message)


def test_opening_freeing_and_forgiving_are_signed_for_and_audited(console: RunningConsole) -> None:
    with signed_in(console, GUARD) as client:
        opened = client.post(f"{DOOR}/release", json={"why": "locked out"})
        assert opened.status_code == 202
        [corr] = opened.json()["commands"]
        assert str(last(console).corr) == corr
        console.answer(UUID(corr), ReplyState.DONE)
        assert client.get(f"/api/v1/commands/{corr}").json()["state"] == "done"
        mode = client.post(f"{DOOR}/mode", json={"mode": "free", "until": "2099-01-01T00:00:00Z"})
        assert mode.status_code == 202
        assert last(console).args.model_dump(mode="json")["mode"] == "free"
        past = problem(client.post(f"{DOOR}/mode", json={"mode": "free", "until": "2001-01-01T00:00:00Z"}), 422)
        assert past["errors"][0]["field"] == "until"
        problem(client.post(f"{BASE}/doors/gw-quiet/d-none/release", json={}), 404)
        problem(client.post(f"{BASE}/areas/garage/forgive", json={}), 404)
        problem(client.post(f"{DOOR}/release", json={"why": "x" * 201}), 422)
    with signed_in(console) as client:
        client.put(f"{BASE}/areas/garage", json={"name": "车库"})
        client.put(f"{DOOR}/readers/r", json={"device": "r", "name": "in", "leads": "into", "area": "garage"})
        assert len(client.post(f"{BASE}/areas/garage/forgive", json={"why": "drill"}).json()["commands"]) == 1
        assert last(console).action == "antipassback.forgive"
    entries = audited(console)
    assert ("door.release", {"gateway": "gw-quiet", "door": "d-east", "why": "locked out"}) in entries
    assert [action for action, _ in entries if action.startswith("door.mode")] == ["door.mode", "door.mode.sent"]


def test_an_administrator_holds_evidence_and_ends_the_hold(console: RunningConsole) -> None:
    path = f"{BASE}/gateways/gw-quiet/holds"
    wanted = {"camera": "c-east", "since": "2026-10-01T08:00:00Z", "until": "2026-10-01T09:00:00Z", "why": "case 17"}
    with signed_in(console, GUARD) as client:
        problem(client.post(path, json=wanted), 403)
    with signed_in(console) as client:
        sent = client.post(path, json=wanted)
        assert sent.status_code == 202
        command = last(console)
        assert isinstance(command.args, EvidenceHold)
        assert (str(command.args.hold), command.args.active) == (sent.json()["hold"], True)
        assert command.args.camera == "c-east"
        assert str(command.corr) == sent.json()["command"]
        ended = client.post(f"{path}/{sent.json()['hold']}/end", json={"why": "closed"})
        assert ended.status_code == 202
        command = last(console)
        assert isinstance(command.args, EvidenceHold)
        assert (str(command.args.hold), command.args.active) == (sent.json()["hold"], False)
        late = problem(client.post(path, json={**wanted, "until": "2026-10-01T08:00:00Z"}), 422)
        assert late["errors"][0]["field"] == "until"
        problem(client.post(path, json={**wanted, "why": ""}), 422)
        problem(client.post(f"{BASE}/gateways/gw-none/holds", json=wanted), 404)
    details = [detail for action, detail in audited(console) if action == "evidence.hold"]
    assert [detail.get("why") for detail in details] == ["case 17", "closed"]


def test_a_lockdown_takes_two_accounts(console: RunningConsole) -> None:
    console.accounts.create_account("second", PASSWORD, AccountRole.GUARD)
    wanted = {"gateways": ["gw-quiet"], "why": "break-in"}
    with signed_in(console, GUARD) as one, signed_in(console, "second") as other:
        asked = one.post(f"{BASE}/lockdowns", json=wanted)
        assert (asked.status_code, asked.json()["state"], console.sent) == (201, "asked", [])
        path = f"{BASE}/lockdowns/{asked.json()['id']}"
        assert "another person" in problem(one.post(f"{path}/confirm"), 409)["detail"]
        assert console.sent == []
        active = other.post(f"{path}/confirm").json()
        assert (active["state"], len(active["commands"])) == ("active", 1)
        command = last(console)
        assert command.args.model_dump() == {"active": True, "confirmed_by": active["confirmed_by"]}
        assert command.issued_by == active["asked_by"] != active["confirmed_by"]
        assert len(one.post(f"{path}/repeat").json()["commands"]) == 1
        assert last(console).args.model_dump()["active"] is True
        ended = one.post(f"{path}/end").json()
        assert ended["state"] == "ended"
        assert last(console).args.model_dump() == {"active": False, "confirmed_by": None}
        problem(one.post(f"{path}/end"), 409)
        problem(one.get(f"{BASE}/lockdowns/{uuid4()}"), 404)
        assert [each["state"] for each in one.get(f"{BASE}/lockdowns").json()["items"]] == ["ended"]
    actions = [action for action, _ in audited(console)]
    assert [action for action in actions if action.startswith("lockdown.") and not action.endswith("sent")] == [
        "lockdown.ask",
        "lockdown.confirm",
        "lockdown.confirm",
        "lockdown.repeat",
        "lockdown.end",
        "lockdown.end",
    ]
