"""A browser for each file; a console with its own database, SQLite and PostgreSQL, for each test."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, Request

from cloud.database.engine import Database
from tests.support.browser import log_in, new_context, running_browser
from tests.support.console import GUARD, PASSWORD, RunningConsole


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Ends with its file: while it runs, Playwright keeps an event loop on this thread, which would disturb others."""
    with running_browser() as running:
        yield running


@pytest.fixture
def console(database: Database, tmp_path: Path) -> Iterator[RunningConsole]:
    running = RunningConsole(database, tmp_path)
    yield running
    running.stop()


@pytest.fixture
def page(browser: Browser, console: RunningConsole) -> Iterator[Page]:
    """A page of a fresh profile. Whatever a test does, no request may leave the hub, and no script may fail."""
    context = new_context(browser)
    fresh = context.new_page()
    strangers: list[str] = []
    faults: list[str] = []

    def note(request: Request) -> None:
        address = urlsplit(request.url)
        if (address.hostname, address.port) != ("127.0.0.1", console.port):
            strangers.append(request.url)

    context.on("request", note)
    fresh.on(
        "websocket", lambda socket: strangers.append(socket.url) if f":{console.port}/" not in socket.url else None
    )
    fresh.on("pageerror", lambda error: faults.append(str(error)))
    yield fresh
    context.close()
    assert strangers == []
    assert faults == []


@pytest.fixture
def desk(page: Page, console: RunningConsole) -> Page:
    """The live console of a guard."""
    log_in(page, console.url, GUARD, PASSWORD)
    return page
