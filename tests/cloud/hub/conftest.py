"""A whole hub on loopback ports: both brokers, both databases, the real web server."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn

from cloud.app import create_app, server_config
from cloud.broker.engines import BrokerKind
from cloud.config import BrokerSection, HttpSection, HubConfig
from cloud.foundation import Foundation, open_foundation
from cloud.hub import Hub
from edge.enrolment import enroll
from edge.identity import StoredIdentity
from protocols import topics
from tests.support.databases import PostgresqlCluster, remove
from tests.support.gateways import eventually
from tests.support.mqtt import Probe


class RunningHub:
    """A hub in this process, with its web server in a thread."""

    def __init__(self, config: HubConfig) -> None:
        self.config = config
        self.foundation: Foundation = open_foundation(config)
        self.hub = Hub(self.foundation)
        self.hub.start()
        self._server = uvicorn.Server(server_config(create_app(self.hub.app_parts()), "127.0.0.1", 0))
        self._thread = threading.Thread(target=self._server.run, name="web server")
        self._thread.start()
        eventually(lambda: self._server.started, what="the web server")
        port = self._server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"

    def enrol(self, name: str, folder: Path) -> StoredIdentity:
        """As an administrator and an installer do it."""
        from gatehouse.hub_command import _register

        return enroll(self.url, _register(self.foundation).add(name).text, folder, "test")

    def connect(self, identity: StoredIdentity) -> Probe:
        broker = identity.broker
        return Probe(broker.host, broker.port, broker.username, broker.username, broker.password).connect()

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(10)
        self.hub.stop()


@pytest.fixture(params=["mosquitto-postgresql", "nats-sqlite"])
def running(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RunningHub]:
    kind, store = request.param.split("-")
    made = None
    if store == "postgresql":
        cluster: PostgresqlCluster = request.getfixturevalue("postgresql_cluster")
        made = cluster.new_database()
    hub = RunningHub(
        HubConfig(
            state_dir=tmp_path / "hub",
            database=made.engine.url.render_as_string(hide_password=False) if made else None,
            http=HttpSection(port=0),
            broker=BrokerSection(kind=BrokerKind(kind), port=0),
        )
    )
    yield hub
    hub.stop()
    if made:
        remove(made)


def hub_state(probe: Probe) -> bytes:
    """What the hub says of itself, to a gateway."""
    assert probe.subscribe(topics.HUB_STATE)
    return probe.wait_for(topics.HUB_STATE)
