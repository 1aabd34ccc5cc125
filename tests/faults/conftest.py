"""Sites to break: Mosquitto with SQLite, and nats-server with PostgreSQL, so that each of the four is met."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.harness import LoadedSite
from tests.support.databases import PostgresqlCluster
from tests.support.site import Site


@pytest.fixture(params=["mosquitto-sqlite", "nats-postgresql"])
def loaded(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LoadedSite]:
    """A running hub and an enrolled, running gateway that makes no events yet."""
    broker, _, dialect = str(request.param).partition("-")
    url = None
    if dialect == "postgresql":
        cluster: PostgresqlCluster = request.getfixturevalue("postgresql_cluster")
        fresh = cluster.new_empty_database()
        url = cluster.url(str(fresh.engine.url.database))
        fresh.close()
    site = Site(tmp_path, broker, url)
    loaded = LoadedSite(site)
    try:
        loaded.start()
        yield loaded
    finally:
        loaded.close()
