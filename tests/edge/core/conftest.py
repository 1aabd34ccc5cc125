"""Fixtures of the gateway's core: a state folder, an identity with real keys, and a real broker of each kind."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.brokers import BROKER_KINDS, RunningBroker
from tests.support.gateways import GATEWAY, Keys, make_keys


@pytest.fixture
def keys() -> Keys:
    return make_keys()


@pytest.fixture(params=BROKER_KINDS)
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RunningBroker]:
    running = RunningBroker(request.param, tmp_path / "broker", (GATEWAY, "gw-other"))
    yield running
    running.stop()


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[RunningBroker]:
    running = RunningBroker("mosquitto", tmp_path / "broker", (GATEWAY, "gw-other"))
    yield running
    running.stop()
