"""Both brokers that the hub can start, each with its users managed by `EmbeddedBroker`."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cloud.broker import BrokerKind, EmbeddedBroker, find_engine
from tests.support.mqtt import Probe


@pytest.fixture(params=[BrokerKind.MOSQUITTO, BrokerKind.NATS])
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EmbeddedBroker]:
    broker = EmbeddedBroker(find_engine(request.param), tmp_path / "broker")
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture
def hub(broker: EmbeddedBroker) -> Iterator[Probe]:
    access = broker.hub_access
    probe = Probe(access.host, access.port, f"hub-test-{access.client_suffix}", access.username, access.password)
    probe.connect()
    yield probe
    probe.close()
