"""One's own account in a browser without scripts: the second factor from the first log-in on, password, sessions."""

import base64
import html
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from cloud.accounts import AccountError, EnrolmentOver, EnrolmentWanted, NotProven, SessionOver, SignedIn, totp
from cloud.accounts.accounts import Accounts
from cloud.accounts.enrolment import LASTS, Enrolment
from cloud.accounts.opening import open_accounts
from cloud.accounts.second_factor import RECOVERY_CODES, WrongCode
from cloud.accounts.throttle import FREE_TRIES
from cloud.audit import AuditLog
from cloud.database.engine import Database
from cloud.database.tables import AccountRole, AuditEntry, RecoveryCode, SecondFactor
from tests.support import register as given
from tests.support.console import ADMINISTRATOR, GUARD, PASSWORD, QUICK_PASSWORDS, RunningConsole, utc_now

NEW = "another long password"
LOG_IN = {"username": ADMINISTRATOR, "password": PASSWORD}


@pytest.fixture
def console(database: Database, tmp_path: Path) -> Iterator[RunningConsole]:
    running = RunningConsole(database, tmp_path)
    yield running
    running.stop()


def hidden(page: httpx.Response, name: str) -> str:
    """The value of a hidden field."""
    found = re.search(rf'name="{name}" value="([^"]*)"', page.text)
    assert found is not None, page.text
    return html.unescape(found[1])


def secret_on(page: httpx.Response) -> bytes:
    """What a person types into the authenticator program."""
    found = re.search(r'id="secret">([A-Z2-7 ]+)<', page.text)
    assert found is not None, page.text
    plain = found[1].replace(" ", "")
    return base64.b32decode(plain + "=" * (-len(plain) % 8))


def code_now(secret: bytes, steps: int = 0) -> str:
    return totp.code_at(secret, totp.step_at(utc_now()) + steps)


def codes_on(page: httpx.Response) -> list[str]:
    return re.findall(r"<li>([A-Z2-7-]{19})</li>", page.text)


@contextmanager
def browser(console: RunningConsole) -> Iterator[httpx.Client]:
    with console.client(None) as client:
        yield client


def actions(console: RunningConsole) -> list[str]:
    with console.database.read() as connection:
        return list(connection.scalars(select(AuditEntry.action).order_by(AuditEntry.number)))


# --- The first second factor, after the password


def test_who_must_have_a_second_factor_sets_it_up_after_the_password(console: RunningConsole) -> None:
    with browser(console) as client:
        page = client.post("/login", data=LOG_IN)
        assert (page.status_code, page.headers["x-gatehouse-wants"]) == (403, "enrolment")
        assert not client.cookies, "nobody is logged in before the code"
        assert "<svg" in page.text
        assert page.headers["cache-control"] == "no-store"
        secret, started = secret_on(page), hidden(page, "started")
        told = client.post("/login/second-factor", data={"started": started, "code": code_now(secret)})
        assert told.status_code == 200
        codes = codes_on(told)
        assert len(set(codes)) == RECOVERY_CODES
        assert client.get("/").status_code == 200
    assert actions(console)[-2:] == ["account.second_factor", "login"]
    with browser(console) as other:
        asked = other.post("/login", data=LOG_IN)
        assert (asked.status_code, asked.headers["x-gatehouse-wants"]) == (401, "code")
        assert other.post("/login", data={**LOG_IN, "code": codes[0]}).status_code == 303


def test_what_is_kept_is_sealed_and_hashed(console: RunningConsole) -> None:
    with browser(console) as client:
        page = client.post("/login", data=LOG_IN)
        secret = secret_on(page)
        assert secret.hex() not in hidden(page, "started")
        told = client.post("/login/second-factor", data={"started": hidden(page, "started"), "code": code_now(secret)})
    with console.database.read() as connection:
        sealed = connection.execute(select(SecondFactor.secret_sealed)).scalar_one()
        hashes = set(connection.scalars(select(RecoveryCode.code_hash)))
    assert secret not in sealed
    assert len(hashes) == RECOVERY_CODES
    assert not hashes & {code.replace("-", "") for code in codes_on(told)}


def test_a_wrong_first_code_changes_nothing_and_shows_the_same_secret_again(console: RunningConsole) -> None:
    with browser(console) as client:
        page = client.post("/login", data=LOG_IN)
        secret, started = secret_on(page), hidden(page, "started")
        again = client.post("/login/second-factor", data={"started": started, "code": code_now(secret, 40)})
        assert again.status_code == 422
        assert secret_on(again) == secret
        assert not client.cookies
        with console.database.read() as connection:
            assert connection.execute(select(SecondFactor.account_id)).first() is None
        assert client.post(
            "/login/second-factor", data={"started": hidden(again, "started"), "code": code_now(secret)}
        ).is_success


def test_first_codes_are_throttled_as_passwords_are(console: RunningConsole) -> None:
    with browser(console) as client:
        started = hidden(client.post("/login", data=LOG_IN), "started")
        form = {"started": started, "code": "000000"}
        answers = [client.post("/login/second-factor", data=form).status_code for _ in range(FREE_TRIES)]
        assert answers == [422] * (FREE_TRIES - 1) + [429], "the password was a try, too"


def test_a_foreign_page_sets_up_no_second_factor(console: RunningConsole) -> None:
    with browser(console) as client:
        page = client.post("/login", data=LOG_IN)
        form = {"started": hidden(page, "started"), "code": code_now(secret_on(page))}
        refused = client.post("/login/second-factor", data=form, headers={"Origin": "https://elsewhere.example"})
        assert refused.status_code == 403
        for made_up in ("", "AAAA", "x" * 3000, form["started"][:-8] + "AAAAAAA="):
            answer = client.post("/login/second-factor", data={**form, "started": made_up})
            assert answer.status_code == 409
        assert not client.cookies


# --- The same, without a page


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 5, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def code(self, secret: bytes) -> str:
        return totp.code_at(secret, totp.step_at(self.now))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def accounts(database: Database, clock: Clock) -> Accounts:
    made = open_accounts(database, AuditLog(database, clock), given.vault(), clock, QUICK_PASSWORDS)
    made.create_account("admin", PASSWORD, AccountRole.ADMINISTRATOR)
    made.create_account("guard", PASSWORD, AccountRole.GUARD)
    return made


def wanted(accounts: Accounts) -> Enrolment:
    with pytest.raises(EnrolmentWanted) as found:
        accounts.log_in("admin", PASSWORD, "10.0.0.1")
    return accounts.enrolments.resume(found.value.enrolment.sealed)


def test_an_enrolment_is_over_after_its_time(accounts: Accounts, clock: Clock) -> None:
    sealed = wanted(accounts).sealed
    clock.now += LASTS
    assert accounts.enrolments.resume(sealed).sealed == sealed
    clock.now += timedelta(seconds=1)
    with pytest.raises(EnrolmentOver):
        accounts.enrolments.resume(sealed)


@pytest.mark.parametrize("meanwhile", ["password", "disabled", "second factor", "the same again"])
def test_an_enrolment_is_over_when_the_account_was_changed(accounts: Accounts, clock: Clock, meanwhile: str) -> None:
    enrolment, other = wanted(accounts), wanted(accounts)
    match meanwhile:
        case "password":
            accounts.set_password("admin", NEW)
        case "disabled":
            accounts.disable("admin")
        case "second factor":
            accounts.set_second_factor("admin", other.secret, clock.code(other.secret))
        case _:
            accounts.log_in_enrolling(enrolment, clock.code(enrolment.secret), "10.0.0.1")
    with pytest.raises(EnrolmentOver):
        accounts.log_in_enrolling(enrolment, clock.code(enrolment.secret), "10.0.0.1")


def test_who_had_the_old_password_leaves_no_second_factor_behind(
    accounts: Accounts, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    enrolment, to_open = wanted(accounts), accounts.sessions.open

    def changed_first(*given: Any) -> str | None:
        accounts.set_password("admin", NEW)
        return to_open(*given)

    monkeypatch.setattr(accounts.sessions, "open", changed_first)
    with pytest.raises(EnrolmentOver):
        accounts.log_in_enrolling(enrolment, clock.code(enrolment.secret), "10.0.0.1")
    with pytest.raises(EnrolmentWanted):
        accounts.log_in("admin", NEW, "10.0.0.1")


def signed_in(accounts: Accounts, code: str = "") -> SignedIn:
    found = accounts.sessions.find(accounts.log_in("guard", PASSWORD, "10.0.0.1", code).token)
    assert found is not None
    return found


def test_a_second_factor_is_begun_with_the_password_or_a_code_that_there_is(accounts: Accounts, clock: Clock) -> None:
    by = signed_in(accounts)
    for password, code in (("", ""), ("wrong password", ""), ("", "000000")):
        with pytest.raises(NotProven):
            accounts.own.begin_second_factor(by, password, code, "10.0.0.2")
    first = accounts.own.begin_second_factor(by, PASSWORD, "", "10.0.0.1")
    with pytest.raises(WrongCode):
        accounts.own.set_second_factor(by, first, "000000")
    enrolled = accounts.own.set_second_factor(by, first, clock.code(first.secret))
    renewed = accounts.sessions.find(enrolled.session.token)
    assert renewed is not None
    assert accounts.sessions.find_by_hash(by.session) is None, "the old token is worth nothing"
    with pytest.raises(NotProven):
        accounts.own.begin_second_factor(renewed, "", clock.code(first.secret), "10.0.0.3")  # it was used
    clock.now += timedelta(minutes=1)
    second = accounts.own.begin_second_factor(renewed, "", clock.code(first.secret), "10.0.0.3")
    third = accounts.own.begin_second_factor(renewed, "", enrolled.recovery_codes[0], "10.0.0.3")
    accounts.own.set_second_factor(renewed, second, clock.code(second.secret))
    with pytest.raises(EnrolmentOver):
        accounts.own.set_second_factor(renewed, third, clock.code(third.secret))


def test_an_enrolment_belongs_to_the_session_that_began_it(accounts: Accounts) -> None:
    by, elsewhere = signed_in(accounts), signed_in(accounts)
    sealed = accounts.own.begin_second_factor(by, PASSWORD, "", "10.0.0.1").sealed
    assert accounts.own.resume_second_factor(by, sealed).secret
    with pytest.raises(EnrolmentOver):
        accounts.own.resume_second_factor(elsewhere, sealed)


def test_a_session_that_ended_meanwhile_is_given_no_new_token(accounts: Accounts) -> None:
    by = signed_in(accounts)
    accounts.end_sessions("guard")
    with pytest.raises(SessionOver):
        accounts.own.change_password(by, PASSWORD, NEW, "10.0.0.1")
    assert accounts.log_in("guard", NEW, "10.0.0.1").token


def test_a_new_token_makes_no_session_last_longer(accounts: Accounts, clock: Clock) -> None:
    by = signed_in(accounts)
    [before] = accounts.list_sessions("guard")
    clock.now += timedelta(minutes=20)
    accounts.own.change_password(by, PASSWORD, NEW, "10.0.0.1")
    [after] = accounts.list_sessions("guard")
    assert (after.id, after.created_at, after.expires_at) == (before.id, before.created_at, before.expires_at)


# --- The page


def test_the_page_is_for_who_is_logged_in(console: RunningConsole) -> None:
    with browser(console) as client:
        assert client.get("/account").headers["location"] == "/login"
        assert client.post("/account/password", data={"page_token": "x"}).headers["location"] == "/login"
    with console.client() as client:
        page = client.get("/account")
        assert page.status_code == 200
        assert "style=" not in page.text, "the policy lets no inline style through"
        for path in ("password", "sessions/end-others", "second-factor", "second-factor/confirm"):
            assert client.post(f"/account/{path}", data={"page_token": "x"}).status_code == 403, path
            token = hidden(page, "page_token")
            foreign = client.post(
                f"/account/{path}", data={"page_token": token}, headers={"Origin": "https://elsewhere.example"}
            )
            assert foreign.status_code == 403, path
    assert len(console.accounts.list_sessions(GUARD)) == 1


def test_a_password_is_changed_with_the_one_that_there_is(console: RunningConsole) -> None:
    with console.client() as here, console.client() as there:
        form = {"page_token": hidden(here.get("/account"), "page_token"), "current": PASSWORD, "new": NEW}
        for wrong, status in (
            ({"current": "wrong password", "again": NEW}, 403),
            ({"again": "yet another password"}, 422),
            ({"new": "short", "again": "short"}, 422),
        ):
            assert here.post("/account/password", data={**form, **wrong}).status_code == status
        old = here.cookies["gatehouse"]
        changed = here.post("/account/password", data={**form, "again": NEW})
        assert (changed.status_code, changed.headers["location"]) == (303, "/account?done=password")
        assert here.cookies["gatehouse"] != old
        assert here.get("/account?done=password").status_code == 200
        assert there.get("/account").status_code == 303, "everywhere else he is logged out"
    assert console.accounts.sessions.find(old) is None
    assert actions(console).count("account.password") == 1
    with browser(console) as client:
        assert client.post("/login", data={"username": GUARD, "password": PASSWORD}).status_code == 401
        assert client.post("/login", data={"username": GUARD, "password": NEW}).status_code == 303


def test_sessions_are_ended_from_the_page(console: RunningConsole) -> None:
    with console.client() as here, console.client() as there, console.client() as third, console.client() as fourth:
        page = here.get("/account")
        form = {"page_token": hidden(page, "page_token")}
        ids = re.findall(r"/account/sessions/([0-9a-f-]{36})/end", page.text)
        assert len(ids) == 3
        assert here.post(f"/account/sessions/{ids[0]}/end", data=form).status_code == 303
        left = [each.get("/account").status_code for each in (there, third, fourth)]
        assert sorted(left) == [200, 200, 303]
        assert here.post("/account/sessions/end-others", data=form).status_code == 303
        assert [each.get("/account").status_code for each in (there, third, fourth)] == [303] * 3
        assert here.get("/account").status_code == 200


def test_a_second_factor_is_set_up_and_renewed_from_the_page(console: RunningConsole) -> None:
    with console.client() as client:
        form = {"page_token": hidden(client.get("/account"), "page_token")}
        assert client.post("/account/second-factor", data={**form, "password": "wrong"}).status_code == 403
        shown = client.post("/account/second-factor", data={**form, "password": PASSWORD})
        secret, started = secret_on(shown), hidden(shown, "started")
        confirm = {**form, "started": started}
        wrong = client.post("/account/second-factor/confirm", data={**confirm, "code": code_now(secret, 40)})
        assert (wrong.status_code, secret_on(wrong)) == (422, secret)
        told = client.post("/account/second-factor/confirm", data={**confirm, "code": code_now(secret)})
        codes = codes_on(told)
        assert len(codes) == RECOVERY_CODES
        form = {"page_token": hidden(client.get("/account"), "page_token")}
        renewed = client.post("/account/second-factor", data={**form, "code": codes[0]})
        assert secret_on(renewed) != secret
        over = client.post("/account/second-factor/confirm", data={**form, "started": started, "code": "000000"})
        assert over.status_code == 409, "the session that began it has another token by now"


def test_after_a_removal_by_command_another_one_is_asked_for(accounts: Accounts, clock: Clock) -> None:
    enrolment = wanted(accounts)
    accounts.log_in_enrolling(enrolment, clock.code(enrolment.secret), "10.0.0.1")
    accounts.remove_second_factor("admin")
    assert wanted(accounts).secret != enrolment.secret
    with pytest.raises(AccountError):
        accounts.remove_second_factor("admin")
