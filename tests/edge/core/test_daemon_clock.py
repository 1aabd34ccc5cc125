"""The daemon's clock without a time server: distrusted after a jump, and trusted again by the hub's word."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edge.config import load_config
from edge.daemon import Daemon
from tests.support.brokers import RunningBroker
from tests.support.gateways import GATEWAY, HubHalf, Keys


class JumpingClock:
    """The machine's clocks, with a wall clock that a test sets."""

    offset_s = 0.0

    def wall_s(self) -> float:
        return time.time() + self.offset_s

    def monotonic_s(self) -> float:
        return time.monotonic()


@pytest.fixture
def clock() -> JumpingClock:
    return JumpingClock()


@pytest.fixture
def daemon(
    tmp_path: Path, mosquitto: RunningBroker, keys: Keys, clock: JumpingClock, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Daemon]:
    monkeypatch.setattr("edge.daemon.kernel_says_synchronised", lambda: False)
    monkeypatch.setattr("edge.daemon._spare_the_collector", lambda: None)
    monkeypatch.setattr("edge.uplink.uplink.HEARTBEAT_S", 0.5)
    site = tmp_path / "site.toml"
    site.write_text(f'[gateway]\nstate_dir = "{tmp_path / "state"}"\n[http]\nport = 0\n')
    made = Daemon(load_config(site), keys.identity(mosquitto.access(GATEWAY)), clock)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def half(mosquitto: RunningBroker, keys: Keys) -> Iterator[HubHalf]:
    made = HubHalf(mosquitto, keys)
    made.echoing = True
    made.say()
    yield made
    made.close()


def ticks_until(daemon: Daemon, condition: Callable[[], bool], what: str) -> None:
    deadline_s = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline_s, f"not within 20 s: {what}; {daemon.health().details}"
        daemon.tick()
        time.sleep(0.02)


def test_a_clock_that_was_set_wrong_and_right_again_is_trusted_by_the_hub_s_word(
    daemon: Daemon, half: HubHalf, clock: JumpingClock
) -> None:
    def told(key: str) -> object:
        return daemon.health().details[key]

    ticks_until(daemon, lambda: told("clock_off_hub_s") is not None, "the hub's time")
    assert told("clock") == "unsynced"
    assert told("clock_trusted")

    clock.offset_s = 3600.0
    births = len(half.states)
    ticks_until(daemon, lambda: len(half.states) >= births + 4, "births after the jump, and their echoes")
    assert not told("clock_trusted")
    assert told("clock_off_hub_s") == pytest.approx(3600.0, abs=5.0)

    clock.offset_s = 0.0
    ticks_until(daemon, lambda: bool(told("clock_trusted")), "trusted again")
    assert told("clock_off_hub_s") == pytest.approx(0.0, abs=5.0)
    assert told("clock") == "unsynced"


def test_without_the_hub_s_word_it_stays_distrusted(daemon: Daemon, half: HubHalf, clock: JumpingClock) -> None:
    half.echoing = False
    for offset_s in (3600.0, 0.0):
        clock.offset_s = offset_s
        daemon.tick()
    births = len(half.states)
    ticks_until(daemon, lambda: len(half.states) >= births + 4, "births without echo")
    assert not daemon.health().details["clock_trusted"]
