"""Where one is logged in: it is listed, ended one by one or elsewhere, and whatever ends it ends its open pages too."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from cloud.accounts import Accounts, Binding, Permission, totp
from cloud.accounts.sessions import csrf_token
from cloud.app_settings import SessionSettings
from cloud.database.engine import Database
from cloud.database.tables import AccountRole, AuditEntry, LoginSession
from cloud.sockets import CLOSE_LOG_IN
from tests.support.console import GUARD, PASSWORD, RunningConsole, utc_now

OWN = "/api/v1/account/sessions"
PAGES = ("/api/v1/live", "/api/v1/cameras/gw-quiet/c-east/live")


@pytest.fixture
def console(database: Database, tmp_path: Path) -> Iterator[RunningConsole]:
    running = RunningConsole(database, tmp_path)
    yield running
    running.stop()


def _secret(accounts: Accounts) -> None:
    secret, _ = accounts.new_second_factor(GUARD)
    accounts.set_second_factor(GUARD, secret, totp.code_at(secret, totp.step_at(utc_now())))


def _remove_factor(accounts: Accounts) -> None:
    accounts._second_factors.set_up(
        accounts._find(GUARD)[0], b"1" * 20, totp.code_at(b"1" * 20, totp.step_at(utc_now()))
    )
    accounts.remove_second_factor(GUARD)


ENDINGS: dict[str, Callable[[Accounts], None]] = {
    "password": lambda accounts: accounts.set_password(GUARD, "another long password"),
    "role": lambda accounts: accounts.bind(GUARD, AccountRole.COMMUNITY, Binding()),
    "second factor": _secret,
    "second factor removed": _remove_factor,
    "disabled": lambda accounts: accounts.disable(GUARD),
    "logged out": lambda accounts: accounts.end_sessions(GUARD),
    "one session": lambda accounts: accounts.end_session(GUARD, accounts.list_sessions(GUARD)[0].id),
}


def closing_code(page: ClientConnection) -> int | None:
    """Read until the hub closes."""
    try:
        while True:
            page.recv(timeout=30)
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else None


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_ends_a_session_ends_its_open_pages(console: RunningConsole, ending: str) -> None:
    headers = {"Cookie": f"gatehouse={console.session(GUARD)}"}
    base = console.url.replace("http", "ws")
    with ExitStack() as stack:
        opened = [
            stack.enter_context(
                connect(base + path, origin=console.url, additional_headers=headers, open_timeout=30)  # type: ignore[arg-type]
            )
            for path in PAGES
        ]
        for each in opened:
            each.recv(timeout=30)
        ENDINGS[ending](console.accounts)
        assert [closing_code(each) for each in opened] == [CLOSE_LOG_IN] * len(PAGES)


def test_one_sees_one_s_sessions_and_ends_the_others(console: RunningConsole) -> None:
    with console.client() as here, console.client() as there, console.client() as third:
        rows = here.get(OWN, headers={"User-Agent": "unused"}).json()["sessions"]
        assert len(rows) == 3
        assert [row["is_this"] for row in rows].count(True) == 1
        assert {(row["address"], row["browser"]) for row in rows} == {("127.0.0.1", here.headers["user-agent"])}
        token = {"X-Gatehouse-Token": csrf_token(here.cookies["gatehouse"])}
        its = next(row["id"] for row in there.get(OWN).json()["sessions"] if row["is_this"])
        assert here.post(f"{OWN}/{its}/end").status_code == 403
        assert there.get(OWN).status_code == 200
        assert here.post(f"{OWN}/{its}/end", headers=token).json() == {"ended": 1}
        assert here.post(f"{OWN}/{its}/end", headers=token).status_code == 404
        assert [there.get(OWN).status_code, third.get(OWN).status_code] == [401, 200]
        assert here.post(f"{OWN}/end-others", headers=token).json() == {"ended": 1}
        assert [here.get(OWN).status_code, third.get(OWN).status_code] == [200, 401]
    with console.database.read() as connection:
        ended = select(AuditEntry.action).where(AuditEntry.action == "account.session.ended")
        assert len(connection.execute(ended).all()) == 2


def test_another_s_session_is_not_there(console: RunningConsole) -> None:
    console.accounts.create_account("other", PASSWORD, AccountRole.GUARD)
    with console.client() as here, console.client("other") as other:
        its = other.get(OWN).json()["sessions"][0]["id"]
        token = {"X-Gatehouse-Token": csrf_token(here.cookies["gatehouse"])}
        assert here.post(f"{OWN}/{its}/end", headers=token).status_code == 404
        assert here.post(f"{OWN}/end-others", headers=token).json() == {"ended": 0}
        assert other.get(OWN).status_code == 200


def test_a_program_s_token_lists_and_ends_no_session(console: RunningConsole) -> None:
    token = console.accounts.tokens.create(GUARD, "x", [Permission.WATCH], timedelta(days=1))
    with console.client(None) as client, console.client():
        bearer = {"Authorization": f"Bearer {token}"}
        assert client.get(OWN, headers=bearer).status_code == 403
        assert client.post(f"{OWN}/end-others", headers=bearer).status_code == 403
    assert len(console.accounts.list_sessions(GUARD)) == 1


def test_the_last_use_is_kept_to_a_minute(console: RunningConsole) -> None:
    token = console.session(GUARD)
    earlier = utc_now() - timedelta(minutes=10)
    with console.database.write() as connection:
        connection.execute(update(LoginSession).values(used_at=earlier))
    assert console.accounts.sessions.find(token) is not None
    assert console.accounts.list_sessions(GUARD)[0].used_at > earlier + timedelta(minutes=9)


def test_how_long_a_session_lasts_is_set() -> None:
    given = SessionSettings(idle_minutes=10, absolute_hours=8)
    assert (given.idle, given.absolute) == (timedelta(minutes=10), timedelta(hours=8))
