"""A browser for the session; a console with its own database for each test."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, Request

from tests.support.browser import log_in, new_context, running_browser
from tests.support.console import GUARD, PASSWORD, RunningConsole
from tests.support.databases import new_sqlite


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with running_browser() as running:
        yield running


@pytest.fixture
def console(tmp_path: Path) -> Iterator[RunningConsole]:
    database = new_sqlite(tmp_path)
    running = RunningConsole(database, tmp_path)
    yield running
    running.stop()
    database.close()


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
