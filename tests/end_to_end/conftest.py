"""One community for all the tests of a pairing: real hub, broker, database, gateway and reader bytes."""

from collections.abc import Iterator

import pytest

from tests.end_to_end.community import Community
from tests.support.databases import PostgresqlCluster


@pytest.fixture(scope="module", params=["mosquitto-sqlite", "nats-postgresql"])
def community(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Community]:
    """Everything up: the reader's channel is secure and the credentials are in force."""
    broker, _, dialect = str(request.param).partition("-")
    url = None
    if dialect == "postgresql":
        cluster: PostgresqlCluster = request.getfixturevalue("postgresql_cluster")
        fresh = cluster.new_empty_database()
        url = cluster.url(str(fresh.engine.url.database))
        fresh.close()
    with Community(tmp_path_factory.mktemp("community"), broker, url) as community:
        yield community
