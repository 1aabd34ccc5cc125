"""Logging in and out as a person does."""

from playwright.sync_api import Page, expect

from tests.support.browser import log_in
from tests.support.console import GUARD, PASSWORD, RunningConsole


def test_a_wrong_password_is_told_and_the_right_one_opens_the_desk(page: Page, console: RunningConsole) -> None:
    page.goto(console.url)
    expect(page).to_have_url(f"{console.url}/login")
    page.get_by_label("用户名").fill(GUARD)
    page.get_by_label("密码").fill("wrong password")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_have_text("用户名或密码不正确。")

    page.get_by_label("密码").fill(PASSWORD)
    page.keyboard.press("Enter")

    expect(page).to_have_url(f"{console.url}/")
    expect(page.locator("#link")).to_have_attribute("data-state", "live")


def test_logging_out_ends_the_session_in_every_tab(desk: Page, console: RunningConsole) -> None:
    other = desk.context.new_page()
    other.goto(console.url)
    expect(other.locator("#link")).to_have_attribute("data-state", "live")

    desk.get_by_role("button", name="退出").click()

    expect(desk).to_have_url(f"{console.url}/login")
    expect(other).to_have_url(f"{console.url}/login")


def test_the_cookie_is_out_of_reach_of_scripts_and_of_other_sites(desk: Page) -> None:
    cookie = next(item for item in desk.context.cookies() if item["name"] == "gatehouse")
    assert cookie["httpOnly"] is True
    assert cookie["sameSite"] == "Strict"


def test_language_and_theme_are_chosen_and_kept(page: Page, console: RunningConsole) -> None:
    page.goto(f"{console.url}/login")
    page.get_by_role("link", name="English").click()
    expect(page.get_by_role("heading", name="Log in to the guard desk")).to_be_visible()

    log_in(page, console.url, GUARD, PASSWORD)
    expect(page.get_by_role("heading", name="Live events")).to_be_visible()
    expect(page.get_by_role("button", name="Release 东门")).to_be_enabled()
    page.get_by_role("link", name="Dark").click()

    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    expect(page.locator("html")).to_have_attribute("lang", "en")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(13, 18, 24)"
