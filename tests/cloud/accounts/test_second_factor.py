"""Codes of an authenticator program: RFC 6238's own vectors, each code once, recovery codes, and an end to guessing."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select

from cloud.accounts import (
    Accounts,
    BadLogin,
    CodeWanted,
    SecondFactorMissing,
    WrongCode,
    open_accounts,
    totp,
)
from cloud.accounts.second_factor import LOCKED_FOR, MOST_FAILURES, RECOVERY_CODES
from cloud.audit import AuditLog
from cloud.database.engine import Database
from cloud.database.tables import AccountRole, RecoveryCode, SecondFactor
from tests.support import register as given
from tests.support.console import ADMINISTRATOR, PASSWORD, QUICK_PASSWORDS, RunningConsole

SECRET = b"12345678901234567890"
STEP = timedelta(seconds=totp.STEP_S)


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 5, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def accounts(database: Database, clock: Clock) -> Accounts:
    made = open_accounts(database, AuditLog(database, clock), given.vault(), clock, QUICK_PASSWORDS)
    made.create_account("admin", PASSWORD, AccountRole.ADMINISTRATOR)
    made.create_account("guard", PASSWORD, AccountRole.GUARD)
    return made


def code(clock: Clock, steps: int = 0) -> str:
    return totp.code_at(SECRET, totp.step_at(clock.now) + steps)


def set_up(accounts: Accounts, clock: Clock, name: str = "admin") -> tuple[str, ...]:
    """A second factor; a code that was not used yet is there a step later."""
    codes = accounts.set_second_factor(name, SECRET, code(clock))
    clock.now += 2 * STEP
    return codes


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (59, "94287082"),
        (1111111109, "07081804"),
        (1111111111, "14050471"),
        (1234567890, "89005924"),
        (2000000000, "69279037"),
        (20000000000, "65353130"),
    ],
)
def test_the_vectors_of_the_rfc(seconds: int, expected: str) -> None:
    """RFC 6238, appendix B, SHA-1."""
    assert totp.code_at(SECRET, seconds // totp.STEP_S, digits=8) == expected


def test_who_administers_is_not_let_in_without_a_second_factor(accounts: Accounts) -> None:
    with pytest.raises(SecondFactorMissing):
        accounts.log_in("admin", PASSWORD, "10.0.0.1")
    with pytest.raises(BadLogin):
        accounts.log_in("admin", "wrong password", "10.0.0.1")
    assert accounts.log_in("guard", PASSWORD, "10.0.0.1").token


def test_a_code_is_asked_for_after_the_password_and_taken_once(accounts: Accounts, clock: Clock) -> None:
    set_up(accounts, clock)
    with pytest.raises(CodeWanted):
        accounts.log_in("admin", PASSWORD, "10.0.0.1")
    with pytest.raises(BadLogin):
        accounts.log_in("admin", "wrong password", "10.0.0.1", code(clock))
    assert accounts.log_in("admin", PASSWORD, "10.0.0.1", code(clock)).token
    for again in (code(clock), code(clock, -1)):
        with pytest.raises(BadLogin):
            accounts.log_in("admin", PASSWORD, "10.0.0.1", again)
    clock.now += STEP
    assert accounts.log_in("admin", PASSWORD, "10.0.0.1", code(clock)).token


@pytest.mark.parametrize("steps", [-2, 2])
def test_a_clock_may_be_wrong_by_one_step_and_no_more(accounts: Accounts, clock: Clock, steps: int) -> None:
    set_up(accounts, clock)
    clock.now += 3 * STEP
    with pytest.raises(BadLogin):
        accounts.log_in("admin", PASSWORD, "10.0.0.1", code(clock, steps))
    assert accounts.log_in("admin", PASSWORD, "10.0.0.1", code(clock, steps // 2)).token


def test_the_code_that_sets_it_up_must_fit_and_is_used_up(accounts: Accounts, clock: Clock) -> None:
    with pytest.raises(WrongCode):
        accounts.set_second_factor("admin", SECRET, "000000")
    with pytest.raises(SecondFactorMissing):
        accounts.log_in("admin", PASSWORD, "10.0.0.1")
    accounts.set_second_factor("admin", SECRET, code(clock))
    with pytest.raises(BadLogin):
        accounts.log_in("admin", PASSWORD, "10.0.0.1", code(clock))


def test_each_recovery_code_comes_in_once_however_it_is_typed(accounts: Accounts, clock: Clock) -> None:
    codes = set_up(accounts, clock)
    assert len(set(codes)) == RECOVERY_CODES
    assert accounts.log_in("admin", PASSWORD, "10.0.0.1", codes[0].lower().replace("-", " ")).token
    with pytest.raises(BadLogin):
        accounts.log_in("admin", PASSWORD, "10.0.0.1", codes[0])
    assert accounts.log_in("admin", PASSWORD, "10.0.0.1", codes[1]).token


def test_guessing_codes_ends_from_whatever_addresses_it_comes(accounts: Accounts, clock: Clock) -> None:
    set_up(accounts, clock)
    for number in range(MOST_FAILURES):
        with pytest.raises(BadLogin):
            accounts.log_in("admin", PASSWORD, f"10.0.0.{number}", "000000")
    with pytest.raises(BadLogin):
        accounts.log_in("admin", PASSWORD, "10.0.1.1", code(clock))
    clock.now += LOCKED_FOR
    assert accounts.log_in("admin", PASSWORD, "10.0.1.1", code(clock)).token


def test_secret_and_recovery_codes_are_not_kept_in_the_clear(
    accounts: Accounts, clock: Clock, database: Database
) -> None:
    codes = set_up(accounts, clock)
    with database.read() as connection:
        sealed = connection.execute(select(SecondFactor.secret_sealed)).scalar_one()
        hashes = set(connection.execute(select(RecoveryCode.code_hash)).scalars())
    assert SECRET not in sealed
    assert not hashes & {text.replace("-", "") for text in codes}


def test_setting_it_up_and_taking_it_away_end_the_sessions(accounts: Accounts, clock: Clock) -> None:
    token = accounts.log_in("guard", PASSWORD, "10.0.0.1").token
    set_up(accounts, clock, "guard")
    assert accounts.sessions.find(token) is None
    token = accounts.log_in("guard", PASSWORD, "10.0.0.1", code(clock)).token
    accounts.remove_second_factor("guard")
    assert accounts.sessions.find(token) is None
    token = accounts.log_in("guard", PASSWORD, "10.0.0.1").token
    accounts.end_sessions("guard")
    assert accounts.sessions.find(token) is None


def test_the_log_in_page_asks_for_the_code(database: Database, tmp_path: Path) -> None:
    console = RunningConsole(database, tmp_path)
    try:
        form = {"username": ADMINISTRATOR, "password": PASSWORD}
        with httpx.Client(base_url=console.url, headers={"Origin": console.url}, timeout=30) as client:
            assert client.post("/login", data=form).status_code == 403
            secret, uri = console.accounts.new_second_factor(ADMINISTRATOR)
            assert uri.startswith("otpauth://totp/Gatehouse:administrator?secret=")
            now = totp.code_at(secret, totp.step_at(datetime.now(UTC)))
            [recovery, *_] = console.accounts.set_second_factor(ADMINISTRATOR, secret, now)
            asked = client.post("/login", data=form)
            assert (asked.status_code, asked.headers["x-gatehouse-wants"]) == (401, "code")
            assert 'name="code"' in asked.text
            assert client.post("/login", data={**form, "code": recovery}).status_code == 303
    finally:
        console.stop()
