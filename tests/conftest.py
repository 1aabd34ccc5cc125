"""A test that asks for `database` runs on SQLite and on PostgreSQL."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloud.database.engine import Database
from tests.support.databases import PostgresqlCluster, new_sqlite, running_cluster

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # for tests that import ONNX Runtime by themselves (models.runtime)


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
    cluster.drop(fresh)
