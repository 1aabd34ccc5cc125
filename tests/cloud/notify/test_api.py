"""The routes of notifications over real HTTP, with the hub's own threads sending to a real receiver."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select

from cloud.accounts.sessions import csrf_token
from cloud.app_settings import AppSettings
from cloud.database.engine import Database
from cloud.database.tables import AuditEntry
from cloud.notify.settings import NotifySettings
from protocols.access_events import DoorForced
from tests.peers.http_receiver import Answers, HttpReceiver
from tests.support.console import ADMINISTRATOR, GUARD, RunningConsole, utc_now, wait_for
from tests.support.notify import secret_file

BASE = "/api/v1/notify"


@pytest.fixture
def receiver() -> Iterator[HttpReceiver]:
    with HttpReceiver() as running:
        yield running


@pytest.fixture
def console(database: Database, tmp_path: Path, receiver: HttpReceiver) -> Iterator[RunningConsole]:
    key = secret_file(tmp_path, "hook.key", "the secret itself")
    hook = {"kind": "webhook", "url": f"{receiver.url}/in?token=hidden", "secret_file": key, "private": True}
    notify = NotifySettings.model_validate({"channels": {"hook": hook}, "routes": {"all": {"channel": "hook"}}})
    running = RunningConsole(database, tmp_path, AppSettings(notify=notify))
    yield running
    running.stop()


@contextmanager
def page(console: RunningConsole, username: str) -> Iterator[httpx.Client]:
    """A client with a session of its own, whose changes come from the hub's page."""
    token = console.session(username)
    headers = {"Origin": console.url, "X-Gatehouse-Token": csrf_token(token)}
    with httpx.Client(base_url=console.url, headers=headers, cookies={"gatehouse": token}, timeout=60) as client:
        yield client


def test_an_alarm_is_told_by_itself_and_people_see_that(console: RunningConsole, receiver: HttpReceiver) -> None:
    with page(console, GUARD) as client:
        wait_for(lambda: client.get("/api/v1/rules").json()["items"], 60, "the shipped rules")
        console.store(console.seed.gateway.event(DoorForced(), at=utc_now()))
        wait_for(lambda: receiver.got, 60, "the message")
        (alarm,) = receiver.got[0].json()["alarms"]
        assert alarm["place"] == "东门岗"

        def sent() -> bool:
            items = client.get(f"{BASE}/notices", params={"alarm": alarm["alarm"]}).json()["items"]
            return [(row["channel"], row["state"], row["attempts"]) for row in items] == [("hook", "sent", 1)]

        wait_for(sent, 60, "the record")
        assert client.get(f"{BASE}/notices", params={"channel": "other"}).json()["items"] == []
        (fare,) = client.get(f"{BASE}/channels").json()["items"]
        assert (fare["name"], fare["kind"], fare["routes"], fare["failing_since"]) == ("hook", "webhook", ["all"], None)
        metrics = httpx.get(f"{console.url}/metrics").text
    assert 'gatehouse_notify_attempts_total{channel="hook",outcome="sent"} 1.0' in metrics


def test_an_administrator_tries_a_channel(console: RunningConsole, receiver: HttpReceiver) -> None:
    with page(console, GUARD) as guard, page(console, ADMINISTRATOR) as administrator:
        assert guard.post(f"{BASE}/channels/hook/test").status_code == 403
        assert administrator.post(f"{BASE}/channels/hook/test").json() == {
            "sent": True,
            "failure": None,
            "detail": "status 200",
        }
        receiver.answer = lambda _: Answers(403)
        failed = administrator.post(f"{BASE}/channels/hook/test")
        assert (failed.status_code, failed.json()["failure"]) == (200, "wrong_credentials")
        assert administrator.post(f"{BASE}/channels/none/test").status_code == 404
        texts = [failed.text, administrator.get(f"{BASE}/channels").text, administrator.get("/metrics").text]
    assert not any(secret in text for text in texts for secret in ("the secret itself", "hidden"))
    with console.database.read() as connection:
        actions = list(connection.execute(select(AuditEntry.action)).scalars())
    assert actions.count("notify.test") == 2
