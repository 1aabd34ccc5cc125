"""One's own account as a person uses it: the authenticator from the first log-in on, the password, other log-ins."""

import base64

import cv2
import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from cloud.accounts import totp
from tests.support.browser import log_in, new_context
from tests.support.console import ADMINISTRATOR, GUARD, PASSWORD, RunningConsole, utc_now

NEW = "another long password"


def type_log_in(page: Page, url: str, username: str, password: str = PASSWORD) -> None:
    page.goto(f"{url}/login")
    page.get_by_label("用户名").fill(username)
    page.get_by_label("密码").fill(password)
    page.keyboard.press("Enter")


def secret_on(page: Page) -> bytes:
    text = page.locator("#secret").inner_text().replace(" ", "")
    return base64.b32decode(text + "=" * (-len(text) % 8))


def code_of(secret: bytes, steps: int = 0) -> str:
    return totp.code_at(secret, totp.step_at(utc_now()) + steps)


def confirm(page: Page, code: str) -> None:
    page.get_by_label("验证器现在显示的动态码").fill(code)
    page.get_by_role("button", name="确认").click()


def scanned(page: Page) -> str:
    """What a telephone reads from the picture."""
    pixels = np.frombuffer(page.locator(".qr").screenshot(), np.uint8)
    text, _, _ = cv2.QRCodeDetector().detectAndDecode(cv2.imdecode(pixels, cv2.IMREAD_COLOR))
    return text


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_an_administrator_sets_up_an_authenticator_and_logs_in_with_it(
    browser: Browser, console: RunningConsole, theme: str
) -> None:
    """Without scripts: nothing of it needs one."""
    context = browser.new_context(java_script_enabled=False, locale="zh-CN", color_scheme=theme)  # type: ignore[arg-type]
    page = context.new_page()
    type_log_in(page, console.url, ADMINISTRATOR)
    expect(page.get_by_role("heading", name="设置验证器")).to_be_visible()
    secret = secret_on(page)
    assert scanned(page) == totp.setup_uri(secret, ADMINISTRATOR)

    confirm(page, code_of(secret, 40))
    expect(page.get_by_role("alert")).to_contain_text("动态码不正确")
    confirm(page, code_of(secret))
    expect(page.locator(".codes li")).to_have_count(10)
    recovery = page.locator(".codes li").first.inner_text()
    page.get_by_role("link", name="我已抄写保存").click()
    expect(page).to_have_url(f"{console.url}/")

    for code in (code_of(secret, 1), recovery):
        page.get_by_role("button", name="退出").click()
        type_log_in(page, console.url, ADMINISTRATOR)
        expect(page.get_by_role("alert")).to_contain_text("动态码")
        page.get_by_label("密码").fill(PASSWORD)
        page.get_by_label("动态验证码").fill(code)
        page.keyboard.press("Enter")
        expect(page).to_have_url(f"{console.url}/")
    context.close()


def test_a_guard_sets_one_up_from_the_account_page(desk: Page, console: RunningConsole) -> None:
    desk.get_by_role("link", name=GUARD).click()
    expect(desk).to_have_url(f"{console.url}/account")
    desk.get_by_label("请输入密码以确认是您本人").fill(PASSWORD)
    desk.get_by_role("button", name="设置验证器").click()
    confirm(desk, code_of(secret_on(desk)))
    expect(desk.locator(".codes li")).to_have_count(10)
    desk.get_by_role("link", name="我已抄写保存").click()
    expect(desk.get_by_role("button", name="重新设置")).to_be_visible()


def test_a_log_in_elsewhere_is_ended_and_its_page_with_it(
    browser: Browser, desk: Page, console: RunningConsole
) -> None:
    elsewhere = new_context(browser)
    other = elsewhere.new_page()
    log_in(other, console.url, GUARD, PASSWORD)

    desk.goto(f"{console.url}/account")
    expect(desk.locator(".sessions li")).to_have_count(2)
    expect(desk.get_by_text("当前设备")).to_have_count(1)
    desk.get_by_role("button", name="结束此登录").click()

    expect(desk.get_by_role("status")).to_have_text("该登录已结束。")
    expect(desk.locator(".sessions li")).to_have_count(1)
    expect(other).to_have_url(f"{console.url}/login")
    elsewhere.close()


def test_a_new_password_ends_the_other_log_ins_and_keeps_this_one(
    browser: Browser, desk: Page, console: RunningConsole
) -> None:
    elsewhere = new_context(browser)
    other = elsewhere.new_page()
    log_in(other, console.url, GUARD, PASSWORD)

    desk.goto(f"{console.url}/account")
    desk.get_by_label("当前密码").fill(PASSWORD)
    desk.get_by_label("新密码,至少").fill(NEW)
    desk.get_by_label("再次输入新密码").fill(NEW)
    desk.get_by_role("button", name="修改密码").click()

    expect(desk.get_by_role("status")).to_contain_text("密码已修改")
    expect(other).to_have_url(f"{console.url}/login")
    elsewhere.close()
    desk.goto(console.url)
    expect(desk.locator("#link")).to_have_attribute("data-state", "live")
