"""The form page: what a clerk fills in becomes a matter; what is wrong is said at its field, in both languages."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from cloud.accounts import PERMISSIONS, Permission
from cloud.database.engine import Database
from cloud.database.tables import AccountRole
from tests.support.console import RunningConsole
from tests.support.two_communities import FOREIGN, TwoCommunities

PAGE = "/matters/new"


@pytest.fixture
def world(database: Database, tmp_path: Path) -> Iterator[TwoCommunities]:
    running = RunningConsole(database, tmp_path)
    yield TwoCommunities(running)
    running.stop()


class Form(HTMLParser):
    """The page's hidden values, its controls and labels."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.hidden: dict[str, str] = {}
        self.controls: set[str] = set()
        self.labels: set[str] = set()
        self.invalid: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "input" and given.get("type") == "hidden":
            self.hidden[str(given["name"])] = str(given["value"])
        elif tag in ("input", "select", "textarea"):
            self.controls.add(str(given["id"]))
            if "aria-invalid" in given:
                self.invalid.append(str(given["id"]))
        elif tag == "label":
            self.labels.add(str(given["for"]))


def filled(page: str, **changes: str) -> dict[str, Any]:
    fields = {"kind": "repair", "text": "no light", "place": "qt-3-2-501", "grid": "", "reported_by": "resident"}
    return {**Form(page).hidden, **fields, "name": "张伟", "phone": "13800000042", **changes}


def test_a_clerk_enters_a_matter_and_sees_its_number(world: TwoCommunities) -> None:
    with world.client(AccountRole.GRID_MEMBER) as clerk:
        page = clerk.get(PAGE).text
        form = Form(page)
        assert form.controls == form.labels, "every control has its label"
        assert "异地" not in page
        sent = clerk.post(PAGE, data=filled(page))
        assert sent.status_code == 303, sent.text
        again = clerk.post(PAGE, data=filled(page))
        assert again.headers["location"] == sent.headers["location"], "sent twice, it is one matter"
        number = re.search(r"entered=(.*)", sent.headers["location"])
        assert number is not None
        assert number[1] in clerk.get(sent.headers["location"]).text
        shown = clerk.get(f"/api/v1/matters/{number[1]}").json()
        assert (shown["text"], shown["reporter"]["name"]) == ("no light", "张*")
        assert clerk.get(PAGE, params={"entered": "<script>"}).status_code == 422


@pytest.mark.parametrize("language", ["zh-CN", "en"])
def test_what_is_wrong_is_said_at_its_field_and_nothing_is_lost(world: TwoCommunities, language: str) -> None:
    with world.client(AccountRole.COMMUNITY) as clerk:
        clerk.cookies.set("language", language)
        page = clerk.get(PAGE).text
        for field, bad in (
            ("text", " "),
            ("place", FOREIGN.dwelling),
            ("place", "nowhere"),
            ("kind", "party"),
            ("phone", "call me"),
            ("name", "x" * 61),
            ("reported_by", "nobody"),
            ("grid", "x"),
        ):
            answer = clerk.post(PAGE, data=filled(page, **{"text": "<b>no light</b>", field: bad}))
            form = Form(answer.text)
            assert (answer.status_code, form.invalid) == (422, [field]), (field, answer.text)
            assert 'role="alert"' in answer.text
            assert field == "text" or "&lt;b&gt;no light&lt;/b&gt;" in answer.text
        neither = clerk.post(PAGE, data=filled(page, place=""))
        assert Form(neither.text).invalid == ["place"]
        assert clerk.get("/api/v1/matters").json()["items"] == []


def test_it_takes_the_own_page_and_the_permission(world: TwoCommunities) -> None:
    with world.client(AccountRole.COMMUNITY) as clerk:
        page = clerk.get(PAGE).text
        assert clerk.post(PAGE, data=filled(page), headers={"Origin": "http://evil.example"}).status_code == 403
        assert clerk.post(PAGE, data=filled(page, page_token="0" * 64)).status_code == 403
        clerk.cookies.clear()
        assert clerk.get(PAGE).headers["location"] == "/login"
        assert clerk.post(PAGE, data=filled(page)).headers["location"] == "/login"
    for role in AccountRole:
        with world.client(role) as client:
            allowed = Permission.ENTER_MATTERS in PERMISSIONS[role]
            assert client.get(PAGE).status_code == (200 if allowed else 403), role
