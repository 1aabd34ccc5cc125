"""Debian's Chromium, driven by Playwright. Never downloads a browser; without Chromium the tests fail."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
LIVE_DEADLINE_MS = 20_000
expect.set_options(timeout=20_000)  # a page's own 5 s are too few where three files of tests share two cores
Theme = Literal["light", "dark"]


class MissingChromium(Exception):
    """The browser is not installed."""


@contextmanager
def running_browser() -> Iterator[Browser]:
    """A headless Chromium.

    Raises:
        MissingChromium: with what to install.
    """
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        raise MissingChromium("the browser tests need Chromium: run 'apt-get install chromium' (or 'make test')")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()


def new_context(browser: Browser, theme: Theme = "light", width: int = 1440, height: int = 900) -> BrowserContext:
    """A fresh profile in a Chinese browser."""
    return browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=theme, locale="zh-CN", timezone_id="Asia/Shanghai"
    )


def log_in(page: Page, url: str, username: str, password: str) -> None:
    """Log in and wait until the console is live."""
    page.goto(f"{url}/login")
    page.get_by_label("用户名").or_(page.get_by_label("User name")).fill(username)
    page.get_by_label("密码").or_(page.get_by_label("Password")).fill(password)
    page.locator("button[type=submit]").click()
    expect(page).to_have_url(f"{url}/", timeout=LIVE_DEADLINE_MS)
    expect(page.locator("#link")).to_have_attribute("data-state", "live", timeout=LIVE_DEADLINE_MS)


def screenshot_console(
    url: str, username: str, password: str, path: Path, theme: Theme = "light", settle_s: float = 4.0
) -> None:
    """Save a picture (PNG, 1440 x 900) of the live console of a running hub, after `settle_s` of live events."""
    with running_browser() as browser:
        page = new_context(browser, theme).new_page()
        log_in(page, url, username, password)
        page.wait_for_timeout(settle_s * 1000)
        page.screenshot(path=str(path))
