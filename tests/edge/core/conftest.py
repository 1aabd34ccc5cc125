"""Fixtures of the gateway's core: a state folder, an identity with real keys, and a real broker of each kind."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge.identity import StoredIdentity, save_identity
from protocols.enrolment import encode_key
from tests.support.brokers import BROKER_KINDS, RunningBroker
from tests.support.daemons import Running
from tests.support.disks import small_disk as mounted_disk
from tests.support.gateways import GATEWAY, HubHalf, Keys, make_keys


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


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 24 MiB of its own, mounted for this test."""
    with mounted_disk(tmp_path / "disk") as folder:
        yield folder


def enrol(state: Path, keys: Keys, broker: RunningBroker) -> None:
    """Leave in a state folder what enrolment leaves."""
    save_identity(
        state,
        StoredIdentity(
            gateway=GATEWAY,
            message_key=encode_key(keys.message),
            card_key=encode_key(keys.card),
            hub_url="http://127.0.0.1:9",
            hub_key=encode_key(keys.hub_public),
            broker=broker.access(GATEWAY),
        ),
    )


@pytest.fixture
def start(tmp_path: Path, broker: RunningBroker, keys: Keys) -> Iterator[Callable[..., Running]]:
    started: list[Running] = []
    enrol(tmp_path / "state", keys, broker)

    def run(extra: str = "", environment: dict[str, str] | None = None, state: Path | None = None) -> Running:
        started.append(Running(tmp_path, extra, environment, state))
        return started[-1]

    yield run
    for running in started:
        if running.process.poll() is None:
            running.process.kill()
            running.process.wait(30)


@pytest.fixture
def hub(broker: RunningBroker, keys: Keys) -> Iterator[HubHalf]:
    half = HubHalf(broker, keys)
    half.say()
    yield half
    half.close()
