"""Logging in by OpenID Connect in a real browser: npm's certified provider at the other end."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from cloud.accounts import AccountError
from cloud.app_settings import AppSettings
from cloud.database.engine import Database
from cloud.sign_on.settings import OidcSettings
from cloud.sign_on.subjects import Subjects
from tests.peers.oidc import CLIENT, SECRET, certified_provider
from tests.support.browser import new_context
from tests.support.console import ADMINISTRATOR, GUARD, RunningConsole, utc_now
from tests.support.ports import free_port

SUBJECT = "wang-of-the-city"


@pytest.fixture
def console(database: Database, tmp_path: Path) -> Iterator[RunningConsole]:
    secret = tmp_path / "oidc.secret"
    secret.write_text(SECRET)
    secret.chmod(0o600)
    running = RunningConsole(database, tmp_path)
    running.stop()
    with certified_provider(f"{running.url}/login/oidc/return") as issuer:
        oidc = OidcSettings(
            issuer=issuer, client_id=CLIENT, client_secret_file=secret, public_url=running.url, name="城市统一登录"
        )
        running.settings = AppSettings(oidc=oidc)
        running.start()
        yield running
        running.stop()


@pytest.fixture
def stranger(browser: Browser) -> Iterator[Page]:
    """A page that may leave the hub for its provider."""
    context = new_context(browser)
    yield context.new_page()
    context.close()


def log_in_there(page: Page, console: RunningConsole, subject: str) -> None:
    page.goto(console.url)
    page.get_by_role("link", name="用 城市统一登录 登录").click()
    page.locator("input[name=login]").fill(subject)
    page.locator("input[name=password]").fill("whatever")
    page.locator("button[type=submit]").click()
    page.locator("button[type=submit]").click()  # consent


def bind(console: RunningConsole, account: str, subject: str = SUBJECT) -> None:
    oidc = console.settings.oidc
    assert oidc is not None
    Subjects(console.database, console.audit, utc_now).bind(account, oidc.issuer, subject)


def test_somebody_who_is_bound_to_an_account_comes_to_the_desk(stranger: Page, console: RunningConsole) -> None:
    bind(console, GUARD)
    log_in_there(stranger, console, SUBJECT)
    expect(stranger).to_have_url(f"{console.url}/")
    expect(stranger.locator("#link")).to_have_attribute("data-state", "live")
    expect(stranger.locator(".user")).to_contain_text(GUARD)
    cookies = {each["name"]: each for each in stranger.context.cookies() if each["path"] in ("/", "/login/oidc/return")}
    assert cookies["gatehouse"]["sameSite"] == "Strict"
    assert "gatehouse-oidc" not in cookies


def test_who_is_bound_to_nobody_stays_outside(stranger: Page, console: RunningConsole) -> None:
    bind(console, GUARD)
    log_in_there(stranger, console, "somebody-else")
    expect(stranger.get_by_role("alert")).to_contain_text("没有绑定")
    stranger.goto(console.url)
    expect(stranger).to_have_url(f"{console.url}/login")


def test_an_administrator_needs_the_second_factor_of_the_hub(stranger: Page, console: RunningConsole) -> None:
    bind(console, ADMINISTRATOR)
    log_in_there(stranger, console, SUBJECT)
    expect(stranger.get_by_role("alert")).to_contain_text("双因素")


def test_an_account_that_was_disabled_and_an_answer_that_comes_twice_are_refused(
    stranger: Page, console: RunningConsole
) -> None:
    bind(console, GUARD)
    console.accounts.disable(GUARD)
    answers: list[str] = []
    stranger.on("request", lambda request: answers.append(request.url) if "code=" in request.url else None)
    log_in_there(stranger, console, SUBJECT)
    expect(stranger.get_by_role("alert")).to_contain_text("没有绑定")
    console.accounts.enable(GUARD)
    [answer] = answers
    stranger.goto(answer)
    expect(stranger.get_by_role("alert")).to_contain_text("未确认")


def test_without_the_provider_the_password_still_does(stranger: Page, console: RunningConsole) -> None:
    console.stop()
    assert console.settings.oidc is not None
    away = console.settings.oidc.model_copy(update={"issuer": f"http://127.0.0.1:{free_port()}"})
    console.settings = AppSettings(oidc=away)
    console.start()
    stranger.goto(console.url)
    stranger.get_by_role("link", name="用 城市统一登录 登录").click()
    expect(stranger.get_by_role("alert")).to_contain_text("没有应答")
    with console.client(GUARD) as client:
        assert client.get("/api/v1/doors").status_code == 200


def test_one_subject_is_one_account(console: RunningConsole) -> None:
    bind(console, GUARD)
    with pytest.raises(AccountError, match="another account"):
        bind(console, ADMINISTRATOR)
    bind(console, GUARD, "another-subject")
    bind(console, ADMINISTRATOR)
