"""Accounts, their log-ins and sessions."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update

from cloud.accounts import AccountError, Accounts, BadLogin, Throttled, UnacceptablePassword, open_accounts
from cloud.audit import AuditLog, verify_chain
from cloud.database.engine import Database
from cloud.database.tables import Account, AccountRole, AuditEntry, LoginSession
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
    made = open_accounts(database, AuditLog(database, clock), clock, QUICK_PASSWORDS)
    made.create_account("guard", PASSWORD, AccountRole.GUARD)
    return made


def test_no_account_exists_by_default(database: Database, clock: Clock) -> None:
    open_accounts(database, AuditLog(database, clock), clock, QUICK_PASSWORDS)
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


def test_a_disabled_account_is_out_at_once(accounts: Accounts, database: Database, clock: Clock) -> None:
    token = accounts.log_in("guard", PASSWORD, "10.0.0.1").token
    with database.write() as connection:
        connection.execute(update(Account).values(disabled_at=clock.now))
    assert accounts.sessions.find(token) is None
    with pytest.raises(BadLogin):
        accounts.log_in("guard", PASSWORD, "10.0.0.1")


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
