"""A running console whose gateway is enrolled and reads policy format 2."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import update

from cloud.database import tables
from cloud.database.engine import Database
from cloud.gateways.purposes import CARD_KEY
from tests.support import register as given
from tests.support.console import RunningConsole


@pytest.fixture
def console(database: Database, tmp_path: Path) -> Iterator[RunningConsole]:
    """Stopped at the end of the test."""
    running = RunningConsole(database, tmp_path)
    sealed = given.vault().seal(given.CARD_SECRET, CARD_KEY)
    with database.write() as connection:
        values = {"card_key_sealed": sealed, "reported": {"policy_format": 2}}
        connection.execute(update(tables.Gateway).values(**values))
    yield running
    running.stop()
