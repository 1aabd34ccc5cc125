"""Tokens for programs: less than the account, for a time, kept as hashes; and no way round the console's own page."""

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import httpx
import pytest
from sqlalchemy import select, update

from cloud.accounts import Binding, Permission, TokenError
from cloud.accounts.sessions import token_hash
from cloud.accounts.tokens import LONGEST
from cloud.database.engine import Database
from cloud.database.tables import AccountRole, ApiToken
from tests.support.console import GUARD, RunningConsole, utc_now

DAY = timedelta(days=1)
RELEASE = "/api/v1/doors/gw-quiet/d-east/release"


@pytest.fixture
def console(database: Database, tmp_path: Path) -> Iterator[RunningConsole]:
    running = RunningConsole(database, tmp_path)
    yield running
    running.stop()


def make(console: RunningConsole, *permissions: Permission) -> str:
    return console.accounts.tokens.create(GUARD, "screen", permissions, DAY)


def identifier(console: RunningConsole, token: str) -> UUID:
    query = select(ApiToken.id).where(ApiToken.token_hash == token_hash(token))
    with console.database.read() as connection:
        return connection.execute(query).scalar_one()


def get(console: RunningConsole, token: str, path: str = "/api/v1/doors") -> httpx.Response:
    return httpx.get(console.url + path, headers={"Authorization": f"Bearer {token}"}, timeout=30)


def test_a_token_may_what_it_was_made_for_and_nothing_else(console: RunningConsole) -> None:
    token = make(console, Permission.WATCH)
    assert len(get(console, token).json()["doors"]) == 3
    assert get(console, token, "/api/v1/access/passes").status_code == 403
    refused = httpx.post(console.url + RELEASE, headers={"Authorization": f"Bearer {token}"}, timeout=30)
    assert (refused.status_code, console.sent) == (403, [])


def test_a_token_that_may_operates_a_door_without_a_page(console: RunningConsole) -> None:
    token = make(console, Permission.OPERATE)
    answer = httpx.post(console.url + RELEASE, headers={"Authorization": f"bearer {token}"}, timeout=30)
    assert (answer.status_code, len(console.sent)) == (202, 1)


def test_a_wrong_token_is_not_helped_by_a_session(console: RunningConsole) -> None:
    with console.client(GUARD) as client:
        assert client.get("/api/v1/doors").status_code == 200
        for header in ("Bearer gth_wrong", "Bearer", "bearer x" + "y" * 1000):
            assert client.get("/api/v1/doors", headers={"Authorization": header}).status_code == 401
            assert client.post(RELEASE, headers={"Authorization": header}).status_code == 401
        assert client.post(RELEASE).status_code == 403, "the page's token is asked for"
    assert console.sent == []


def test_a_token_opens_no_page(console: RunningConsole) -> None:
    assert get(console, make(console, Permission.WATCH), "/").status_code == 303


def test_a_token_ends_with_its_time_when_it_is_revoked_and_with_its_account(console: RunningConsole) -> None:
    tokens = console.accounts.tokens
    token, other, third = (make(console, Permission.WATCH) for _ in range(3))
    revoked = identifier(console, other)
    tokens.revoke(revoked)
    assert [get(console, each).status_code for each in (token, other, third)] == [200, 401, 200]
    with pytest.raises(TokenError):
        tokens.revoke(revoked)
    ending = ApiToken.id == identifier(console, third)
    with console.database.write() as connection:
        connection.execute(update(ApiToken).where(ending).values(expires_at=utc_now()))
    assert [get(console, each).status_code for each in (token, third)] == [200, 401]
    console.accounts.disable(GUARD)
    assert get(console, token).status_code == 401


def test_a_token_never_does_more_than_its_account_could_now(console: RunningConsole) -> None:
    token = make(console, Permission.WATCH, Permission.OPERATE)
    console.accounts.bind(GUARD, AccountRole.GUARD, Binding(place="qt-3"))
    assert get(console, token).json()["doors"] == []
    console.accounts.bind(GUARD, AccountRole.AUDITOR, Binding())
    assert get(console, token).status_code == 403


@pytest.mark.parametrize(
    ("account", "permissions", "lifetime"),
    [
        ("nobody", {Permission.WATCH}, DAY),
        (GUARD, {Permission.REVEAL}, DAY),
        (GUARD, set[Permission](), DAY),
        (GUARD, {Permission.WATCH}, timedelta()),
        (GUARD, {Permission.WATCH}, LONGEST + DAY),
    ],
)
def test_a_token_that_would_be_too_much_is_not_made(
    console: RunningConsole, account: str, permissions: set[Permission], lifetime: timedelta
) -> None:
    with pytest.raises(TokenError):
        console.accounts.tokens.create(account, "x", permissions, lifetime)
    assert console.accounts.tokens.list() == []


def test_the_token_itself_is_not_kept(console: RunningConsole) -> None:
    token = make(console, Permission.WATCH)
    assert re.fullmatch(r"gth_[\w-]{43}", token)
    with console.database.read() as connection:
        row = connection.execute(select(ApiToken.__table__)).one()
    assert token not in str(tuple(row))


def test_the_last_use_is_kept_to_a_minute(console: RunningConsole) -> None:
    token = make(console, Permission.WATCH)
    assert console.accounts.tokens.list()[0].last_used_at is None
    assert get(console, token).status_code == 200
    first = console.accounts.tokens.list()[0].last_used_at
    assert first is not None
    assert get(console, token).status_code == 200
    assert console.accounts.tokens.list()[0].last_used_at == first, "not at each request"
    earlier = utc_now() - timedelta(minutes=10)
    with console.database.write() as connection:
        connection.execute(update(ApiToken).values(last_used_at=earlier))
    assert get(console, token).status_code == 200
    used = console.accounts.tokens.list()[0].last_used_at
    assert used is not None
    assert used > earlier + timedelta(minutes=9)
