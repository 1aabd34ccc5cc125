"""Administrators see where other accounts of their part are logged in, and end it; the audit has both."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select

from cloud.accounts import Binding
from cloud.accounts.sessions import csrf_token
from cloud.database.engine import Database
from cloud.database.tables import AccountRole, AuditEntry
from tests.support.console import ADMINISTRATOR, GUARD, PASSWORD, RunningConsole
from tests.support.two_communities import FOREIGN, OWN_GRID, OWN_PLACE, TwoCommunities


@pytest.fixture
def world(database: Database, tmp_path: Path) -> Iterator[TwoCommunities]:
    running = RunningConsole(database, tmp_path)
    yield TwoCommunities(running)
    running.stop()


def of(username: str) -> str:
    return f"/api/v1/accounts/{username}/sessions"


def told(console: RunningConsole, beginning: str) -> list[tuple[str, bool]]:
    """The audit's entries of this kind, and whether an account did it."""
    with console.database.read() as connection:
        query = select(AuditEntry.action, AuditEntry.account_id).where(AuditEntry.action.startswith(beginning))
        return [(row.action, row.account_id is not None) for row in connection.execute(query)]


def test_an_administrator_lists_and_ends_another_s_sessions(world: TwoCommunities) -> None:
    console = world.console
    with console.client(ADMINISTRATOR) as here, console.client() as there, console.client() as third:
        here.headers["X-Gatehouse-Token"] = csrf_token(here.cookies["gatehouse"])
        rows = here.get(of(GUARD)).json()["sessions"]
        assert len(rows) == 2
        assert not any(row["is_this"] for row in rows)
        assert here.post(f"{of(GUARD)}/{rows[0]['id']}/end").json() == {"ended": 1}
        assert here.post(f"{of(GUARD)}/{rows[0]['id']}/end").status_code == 404
        assert sorted(each.get("/api/v1/doors").status_code for each in (there, third)) == [200, 401]
        assert here.post(f"{of(GUARD)}/end").json() == {"ended": 1}
        assert [each.get("/api/v1/doors").status_code for each in (there, third)] == [401, 401]
        assert here.post(f"{of(ADMINISTRATOR)}/end").json() == {"ended": 0}, "the one that asks stays"
        assert here.get(of("nobody")).status_code == 404
    assert told(console, "account.sessions.listed") == [("account.sessions.listed", True)]
    assert told(console, "account.session.ended") == [("account.session.ended", True)] * 2


def test_it_takes_the_page_s_token(world: TwoCommunities) -> None:
    with world.console.client(ADMINISTRATOR) as here, world.console.client() as there:
        assert here.post(f"{of(GUARD)}/end").status_code == 403
        assert there.get("/api/v1/doors").status_code == 200


@pytest.mark.parametrize(
    ("binding", "is_there"),
    [
        (Binding(place=OWN_PLACE), True),
        (Binding(place="qt-3-2-501"), True),
        (Binding(grid=OWN_GRID), True),
        (Binding(place=FOREIGN.place), False),
        (Binding(), False),
    ],
)
def test_an_account_is_within_a_part_if_it_is_bound_to_nothing_outside(
    world: TwoCommunities, binding: Binding, is_there: bool
) -> None:
    world.console.accounts.create_account("other", PASSWORD, AccountRole.GUARD, binding)
    with (
        world.client(AccountRole.ADMINISTRATOR) as bound,
        world.client(AccountRole.ADMINISTRATOR, bound=False) as whole,
    ):
        assert bound.get(of("other")).status_code == (200 if is_there else 404)
        assert whole.get(of("other")).status_code == 200


def test_who_has_a_grid_reaches_no_account_beside_it(world: TwoCommunities) -> None:
    console = world.console
    console.accounts.create_account("community", PASSWORD, AccountRole.COMMUNITY, Binding(place=OWN_PLACE))
    console.accounts.create_account("member", PASSWORD, AccountRole.GRID_MEMBER, Binding(grid=OWN_GRID))
    console.accounts.create_account("of-grid", PASSWORD, AccountRole.ADMINISTRATOR, Binding(grid=OWN_GRID))
    with httpx.Client(base_url=console.url, timeout=30) as client:
        client.cookies["gatehouse"] = console.session("of-grid")
        assert client.get(of("member")).status_code == 200
        assert client.get(of("community")).status_code == 404
