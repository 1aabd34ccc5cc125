"""A test that asks for `database` runs on SQLite and on PostgreSQL. The files that take longest are run first."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from httpx._config import DEFAULT_TIMEOUT_CONFIG

from cloud.database.engine import Database
from tests.support.databases import PostgresqlCluster, new_sqlite, remove, running_cluster

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # for tests that import ONNX Runtime by themselves (models.runtime)
DEFAULT_TIMEOUT_CONFIG.read = 60.0  # of tests' own requests: three files run at once, and 5 s were too few on two cores

LONGEST = (
    "tests/faults/test_kills.py",
    "tests/faults/test_outages.py",
    "tests/end_to_end/test_journey.py",
    "tests/end_to_end/test_demo.py",
    "tests/edge/access/test_osdp_rekey.py",
    "tests/cloud/hub/test_ingest_keeper.py",
    "tests/edge/core/test_daemon.py",
    "tests/edge/access/test_osdp_in_the_middle.py",
    "tests/edge/access/test_doors_on_the_line.py",
    "tests/cloud/credentials/test_scale.py",
)
"""Several minutes to half a minute each: begun last, one of them would leave the other core idle at the end."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first; the rest stays in its order."""
    rank = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.nodeid.partition("::")[0], len(LONGEST)))


@pytest.fixture(scope="session")
def postgresql_cluster() -> Iterator[PostgresqlCluster]:
    """One server for all tests; without PostgreSQL they fail with what to install."""
    with running_cluster() as cluster:
        yield cluster


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A fresh database at this version's tables."""
    if request.param == "sqlite":
        fresh = new_sqlite(tmp_path)
        yield fresh
        fresh.close()
        return
    cluster: PostgresqlCluster = request.getfixturevalue("postgresql_cluster")
    fresh = cluster.new_database()
    yield fresh
    remove(fresh)
