"""Accounts, their log-ins and sessions."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from cloud.accounts import (
    PERMISSIONS,
    AccountError,
    Accounts,
    BadLogin,
    Binding,
    Permission,
    Throttled,
    UnacceptablePassword,
    open_accounts,
    totp,
)
from cloud.audit import AuditLog, verify_chain
from cloud.database.engine import Database
from cloud.database.tables import Account, AccountRole, AuditEntry, LoginSession, PlaceKind
from cloud.register.ids import IdMaker
from cloud.register.places import put_place
from tests.support import register as given
from tests.support.console import PASSWORD, QUICK_PASSWORDS


class Clock:
    now = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def accounts(database: Database, clock: Clock) -> Accounts:
    made = open_accounts(database, AuditLog(database, clock), given.vault(), clock, QUICK_PASSWORDS)
    made.create_account("guard", PASSWORD, AccountRole.GUARD)
    return made


def test_no_account_exists_by_default(database: Database, clock: Clock) -> None:
    open_accounts(database, AuditLog(database, clock), given.vault(), clock, QUICK_PASSWORDS)
    with database.read() as connection:
        assert connection.execute(select(Account.id)).all() == []


def test_the_password_is_stored_as_argon2id_and_the_token_as_a_hash(accounts: Accounts, database: Database) -> None:
    token = accounts.log_in("guard", PASSWORD, "10.0.0.1").token
    with database.read() as connection:
        assert connection.scalars(select(Account.password_hash)).one().startswith("$argon2id$")
        stored = connection.scalars(select(LoginSession.token_hash)).one()
    assert token not in stored
    assert token not in repr(accounts.log_in("guard", PASSWORD, "10.0.0.1"))
    found = accounts.sessions.find(token)
    assert found is not None
    assert (found.username, found.role) == ("guard", AccountRole.GUARD)


@pytest.mark.parametrize("name", ["", "Guard", "a b", "-x", "x" * 64, "门卫"])
def test_a_bad_user_name_is_refused(accounts: Accounts, name: str) -> None:
    with pytest.raises(AccountError, match="user name"):
        accounts.create_account(name, PASSWORD, AccountRole.GUARD)


def test_a_taken_name_and_a_short_password_are_refused(accounts: Accounts) -> None:
    with pytest.raises(AccountError, match="taken"):
        accounts.create_account("guard", PASSWORD, AccountRole.GUARD)
    with pytest.raises(UnacceptablePassword, match="10 to 128"):
        accounts.create_account("other", "short", AccountRole.GUARD)


@pytest.mark.parametrize(("name", "password"), [("guard", "wrong"), ("nobody", PASSWORD), ("guard", "x" * 2000)])
def test_a_wrong_name_and_a_wrong_password_look_alike(accounts: Accounts, name: str, password: str) -> None:
    with pytest.raises(BadLogin, match="wrong user name or password"):
        accounts.log_in(name, password, "10.0.0.1")


def test_a_disabled_account_is_out_at_once(accounts: Accounts, database: Database) -> None:
    token = accounts.log_in("guard", PASSWORD, "10.0.0.1").token
    accounts.disable("guard")
    assert accounts.sessions.find(token) is None
    with pytest.raises(BadLogin):
        accounts.log_in("guard", PASSWORD, "10.0.0.1")


def test_a_new_password_ends_every_session_and_the_old_password(accounts: Accounts) -> None:
    tokens = [accounts.log_in("guard", PASSWORD, "10.0.0.1").token for _ in range(2)]
    accounts.create_account("other", PASSWORD, AccountRole.GUARD)
    untouched = accounts.log_in("other", PASSWORD, "10.0.0.1").token
    accounts.set_password("guard", "another battery horse")
    assert [accounts.sessions.find(token) for token in tokens] == [None, None]
    assert accounts.sessions.find(untouched) is not None
    with pytest.raises(BadLogin):
        accounts.log_in("guard", PASSWORD, "10.0.0.1")
    assert accounts.sessions.find(accounts.log_in("guard", "another battery horse", "10.0.0.1").token) is not None


def test_a_log_in_that_overlaps_a_change_opens_no_session(accounts: Accounts, database: Database) -> None:
    with database.read() as connection:
        account, checked = connection.execute(select(Account.id, Account.password_hash)).one()
    accounts.set_password("guard", "another battery horse")
    assert accounts.sessions.open(account, checked) is None


def test_accounts_are_listed_with_their_open_sessions(accounts: Accounts, clock: Clock) -> None:
    accounts.create_account("admin", PASSWORD, AccountRole.ADMINISTRATOR)
    secret, _ = accounts.new_second_factor("admin")
    [recovery, *_] = accounts.set_second_factor("admin", secret, totp.code_at(secret, totp.step_at(clock.now)))
    accounts.log_in("admin", PASSWORD, "10.0.0.1", recovery)
    clock.now += timedelta(hours=1)
    for _ in range(2):
        accounts.log_in("guard", PASSWORD, "10.0.0.1")
    accounts.create_account("was-here", PASSWORD, AccountRole.GUARD)
    accounts.disable("was-here")
    listed = accounts.list_accounts()
    assert [(each.username, each.role.value, each.sessions) for each in listed] == [
        ("admin", "administrator", 0),
        ("guard", "guard", 2),
        ("was-here", "guard", 0),
    ]
    assert [each.disabled_at for each in listed] == [None, None, clock.now]


def test_an_account_that_is_not_there_is_told(accounts: Accounts) -> None:
    with pytest.raises(AccountError, match="no account 'nobody'"):
        accounts.disable("nobody")
    with pytest.raises(AccountError, match="no account 'nobody'"):
        accounts.set_password("nobody", PASSWORD)
    accounts.disable("guard")
    with pytest.raises(AccountError, match="disabled already"):
        accounts.disable("guard")


def test_what_is_done_to_accounts_is_audited(accounts: Accounts, database: Database) -> None:
    accounts.set_password("guard", "another battery horse")
    accounts.disable("guard")
    with database.read() as connection:
        entries = connection.execute(select(AuditEntry.action, AuditEntry.detail).order_by(AuditEntry.number)).all()
        account = connection.scalars(select(Account.id)).one()
    assert [action for action, _ in entries] == ["account.created", "account.password", "account.disabled"]
    assert {detail["account"] for _, detail in entries} == {str(account)}


def test_an_unused_session_ends_after_half_an_hour(accounts: Accounts, clock: Clock) -> None:
    token = accounts.log_in("guard", PASSWORD, "10.0.0.1").token
    clock.now += timedelta(minutes=29)
    assert accounts.sessions.find(token) is not None
    clock.now += timedelta(minutes=29)
    assert accounts.sessions.find(token) is not None
    clock.now += timedelta(minutes=31)
    assert accounts.sessions.find(token) is None


def test_a_used_session_ends_after_a_long_shift(accounts: Accounts, clock: Clock) -> None:
    token = accounts.log_in("guard", PASSWORD, "10.0.0.1").token
    for _ in range(13 * 4 - 1):
        clock.now += timedelta(minutes=15)
        assert accounts.sessions.find(token) is not None
    clock.now += timedelta(minutes=15)
    assert accounts.sessions.find(token) is None


def test_logging_out_ends_the_session(accounts: Accounts) -> None:
    token = accounts.log_in("guard", PASSWORD, "10.0.0.1").token
    found = accounts.sessions.find(token)
    assert found is not None
    accounts.log_out(found)
    assert accounts.sessions.find(token) is None


def test_five_wrong_passwords_make_wait(accounts: Accounts) -> None:
    for _ in range(5):
        with pytest.raises(BadLogin):
            accounts.log_in("guard", "wrong", "10.0.0.1")
    with pytest.raises(Throttled):
        accounts.log_in("guard", PASSWORD, "10.0.0.1")


def test_log_ins_and_refusals_are_audited(accounts: Accounts, database: Database) -> None:
    token = accounts.log_in("guard", PASSWORD, "10.0.0.1").token
    with pytest.raises(BadLogin):
        accounts.log_in("guard", "wrong", "10.0.0.1")
    found = accounts.sessions.find(token)
    assert found is not None
    accounts.log_out(found)
    with database.read() as connection:
        actions = connection.scalars(select(AuditEntry.action).order_by(AuditEntry.number)).all()
    assert actions == ["account.created", "login", "login.refused", "logout"]
    assert verify_chain(database)[0] == 4


def test_an_account_is_bound_to_a_place_and_its_sessions_end(database: Database, accounts: Accounts) -> None:
    with database.write() as connection:
        put_place(connection, IdMaker(), "qt", PlaceKind.COMMUNITY, "安静社区", None)
    token = accounts.log_in("guard", PASSWORD, "10.0.0.1").token
    accounts.bind("guard", AccountRole.COMMUNITY, Binding(place="qt"))
    assert accounts.sessions.find(token) is None
    found = accounts.sessions.find(accounts.log_in("guard", PASSWORD, "10.0.0.1").token)
    assert found is not None
    assert (found.permissions, found.scope.is_whole) == (PERMISSIONS[AccountRole.COMMUNITY], False)
    assert [(each.place, each.grid) for each in accounts.list_accounts()] == [("qt", None)]


@pytest.mark.parametrize(
    ("role", "binding"),
    [
        (AccountRole.GUARD, Binding(place="nowhere")),
        (AccountRole.GRID_MEMBER, Binding(grid="nowhere")),
        (AccountRole.GRID_MEMBER, Binding()),
    ],
)
def test_an_account_is_not_bound_to_what_is_not_there(accounts: Accounts, role: AccountRole, binding: Binding) -> None:
    with pytest.raises(AccountError):
        accounts.create_account("other", PASSWORD, role, binding)
    with pytest.raises(AccountError):
        accounts.bind("guard", role, binding)
    assert [each.role for each in accounts.list_accounts()] == [AccountRole.GUARD]


def test_a_disabled_account_can_be_enabled_again(accounts: Accounts) -> None:
    with pytest.raises(AccountError, match="not disabled"):
        accounts.enable("guard")
    accounts.disable("guard")
    accounts.enable("guard")
    assert accounts.sessions.find(accounts.log_in("guard", PASSWORD, "10.0.0.1").token) is not None


def test_every_role_has_its_permissions_and_none_has_all() -> None:
    assert PERMISSIONS.keys() == set(AccountRole)
    assert all(0 < len(held) < len(Permission) for held in PERMISSIONS.values())
    assert PERMISSIONS[AccountRole.AUDITOR] == {Permission.READ_AUDIT}
    assert not PERMISSIONS[AccountRole.ADMINISTRATOR] & {
        Permission.REVEAL,
        Permission.READ_HISTORY,
        Permission.READ_AUDIT,
    }


def test_the_table_of_permissions_that_people_read_is_the_one_that_holds() -> None:
    text = (Path(__file__).parents[3] / "docs" / "privacy.md").read_text(encoding="utf-8")
    told = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("| `")]
    rows = {cells[0].strip("`"): cells[1:] for cells in told if len(cells) == len(AccountRole) + 1}
    assert {
        role: {Permission(name) for name, cells in rows.items() if cells[place] == "x"}
        for place, role in enumerate(AccountRole)
    } == dict(PERMISSIONS)
