"""Readable by everybody: axe finds nothing serious, text and targets are large enough, in both themes."""

import base64
from datetime import timedelta
from typing import get_args

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from cloud.accounts import totp
from protocols.access_events import AccessDenied, AccessMethod, DenialReason, DoorForced, DoorHeld
from protocols.events import CameraOnline
from tests.support.browser import Theme, log_in, new_context
from tests.support.console import GUARD, PASSWORD, RunningConsole, utc_now
from tests.support.events import granted, opened
from tests.support.leases import add_tenant

SMALLEST_TEXT = """() => Math.min(...[...document.querySelectorAll('body *')]
  .filter((e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()))
  .map((e) => parseFloat(getComputedStyle(e).fontSize)))"""
SMALL_TARGETS = """() => [...document.querySelectorAll('button, a, input:not([type=hidden])')]
  .filter((e) => e.checkVisibility()).map((e) => [e.outerHTML.slice(0, 80), e.getBoundingClientRect()])
  .filter(([, box]) => box.width < 40 || box.height < 40).map(([text]) => text)"""


def grave(page: Page) -> list[str]:
    found = Axe().run(page).response["violations"]
    return [f"{item['id']}: {item['nodes'][0]['html']}" for item in found if item["impact"] in ("serious", "critical")]


def fill(console: RunningConsole) -> None:
    add_tenant(console, timedelta(days=2), number="601")
    add_tenant(console, timedelta(days=-2), number="602")
    gateway = console.seed.gateway
    denied = AccessDenied(
        reader="r-east-in", method=AccessMethod.CARD, reason=DenialReason.EXPIRED, policy_version=1, decision_us=1
    )
    console.store(
        gateway.event(granted(console.seed.credential), at=utc_now()),
        gateway.event(denied, at=utc_now()),
        gateway.event(DoorForced(), at=utc_now()),
        gateway.event(DoorHeld(open_s=40), "d-lobby", at=utc_now()),
        gateway.event(opened(), "d-garage", at=utc_now()),
        gateway.event(CameraOnline(width=640, height=360, codec="h264"), "c-east", at=utc_now()),
    )


@pytest.mark.parametrize("theme", get_args(Theme))
def test_nothing_grave_on_either_page(browser: Browser, console: RunningConsole, theme: Theme) -> None:
    fill(console)
    context = new_context(browser, theme)
    page = context.new_page()
    page.goto(f"{console.url}/login")
    assert grave(page) == []
    log_in(page, console.url, GUARD, PASSWORD)
    expect(page.locator("#rows tr")).to_have_count(6)
    expect(page.locator(".lease")).to_have_count(2)
    page.locator(".lease .button").first.click()
    expect(page.locator('.lease[data-state="done"]')).to_have_count(1)
    page.locator('[data-door="gw-quiet/d-east"] .release').click()
    assert grave(page) == []
    assert page.evaluate(SMALLEST_TEXT) >= 16
    assert page.evaluate(SMALL_TARGETS) == []
    console.stop()
    expect(page.locator("#lost")).to_be_visible()
    assert grave(page) == []
    context.close()
    console.start()


@pytest.mark.parametrize("theme", get_args(Theme))
def test_nothing_grave_on_the_pages_of_one_s_account(browser: Browser, console: RunningConsole, theme: Theme) -> None:
    context = new_context(browser, theme, width=420)
    page = context.new_page()

    def check() -> None:
        assert grave(page) == []
        assert page.evaluate(SMALLEST_TEXT) >= 16
        assert page.evaluate(SMALL_TARGETS) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= 420

    console.session(GUARD)  # somewhere else
    log_in(page, console.url, GUARD, PASSWORD)
    page.goto(f"{console.url}/account?done=others")
    expect(page.locator(".sessions li")).to_have_count(2)
    check()
    page.locator("#password").fill(PASSWORD)
    page.locator("#password").press("Enter")
    secret = base64.b32decode(page.locator("#secret").inner_text().replace(" ", ""))
    check()
    page.locator("#code").fill(totp.code_at(secret, totp.step_at(utc_now())))
    page.locator("#code").press("Enter")
    expect(page.locator(".codes li")).to_have_count(10)
    check()
    context.close()


@pytest.mark.parametrize("width", [420, 1024, 1920])
def test_nothing_is_cut_off_sideways(browser: Browser, console: RunningConsole, width: int) -> None:
    fill(console)
    context = new_context(browser, "light", width=width)
    page = context.new_page()
    log_in(page, console.url, GUARD, PASSWORD)
    expect(page.locator("#rows tr")).to_have_count(6)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    context.close()
