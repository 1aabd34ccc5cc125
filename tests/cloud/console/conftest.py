"""A running console on each database."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cloud.database.engine import Database
from tests.support.console import RunningConsole


@pytest.fixture
def console(database: Database, tmp_path: Path) -> Iterator[RunningConsole]:
    running = RunningConsole(database, tmp_path)
    yield running
    running.stop()
