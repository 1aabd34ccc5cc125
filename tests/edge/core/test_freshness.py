"""What proves that the hub is there now: its echo of our nonce. Over real brokers; the hub's half from the contract."""

import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from edge.access.ledgers import Ledgers
from edge.access.trust import HubNews
from edge.clock import HubTime
from edge.counters import Counters
from edge.identity import HubKey
from edge.uplink.connection import Incoming
from edge.uplink.freshness import MAX_OPEN, EchoMark, Freshness
from protocols import topics
from protocols.base import ProtocolError
from protocols.presence import Echo, HubState, Presence
from protocols.receipts import Receipt
from protocols.sealing import BadSeal
from tests.support.brokers import RunningBroker
from tests.support.gateways import GATEWAY, Gateway, HubHalf, Keys, SetClock, eventually, make_keys

NOW = datetime(2026, 5, 1, 8, 0, tzinfo=UTC)
TOPIC = topics.echo(GATEWAY)


@pytest.fixture(autouse=True)
def quick_heart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.uplink.uplink.HEARTBEAT_S", 0.2)


# --- over a broker


def news_when_played_again(hub: HubHalf, keys: Keys, gateway: Gateway) -> int:
    """How often the hub counts as heard while somebody at the broker plays again what it signed once."""
    eventually(lambda: gateway.uplink.status().state == "open", what="open by what was played")
    births = len(hub.states)
    eventually(lambda: len(hub.states) >= births + 2, what="no echo is on its way any more")
    before, births = gateway.heard, len(hub.states)
    receipt = Receipt(stream=gateway.outbox.stream, upto=0)
    state = HubState(state=Presence.ONLINE, session=hub.session)
    for _ in range(3):
        hub.publish(topics.receipt(GATEWAY), keys.sign(topics.receipt(GATEWAY), receipt))
        hub.publish(topics.HUB_STATE, keys.sign(topics.HUB_STATE, state))
        hub.publish(*hub.echo(hub.states[0].nonce or ""))
    eventually(lambda: gateway.counters["echoes_not_asked_for"] >= 3, what="played again")
    eventually(lambda: len(hub.states) >= births + 3, what="heartbeats")
    return gateway.heard - before


def test_an_older_hub_that_echoes_nothing_is_taken_as_before(tmp_path: Path, broker: RunningBroker, keys: Keys) -> None:
    hub = HubHalf(broker, keys)
    hub.say()
    gateway = Gateway(tmp_path, keys.identity(broker.access(GATEWAY)))

    eventually(lambda: gateway.heard >= 3, what="heartbeats while the gate is open")

    assert gateway.counters["echoes"] == 0
    assert not (tmp_path / "hub_echoes").exists()
    gateway.close()
    hub.close()


def test_a_hub_that_echoes_is_heard_and_tells_its_time(tmp_path: Path, broker: RunningBroker, keys: Keys) -> None:
    hub = HubHalf(broker, keys)
    hub.echoing = True
    hub.say()
    gateway = Gateway(tmp_path, keys.identity(broker.access(GATEWAY)))

    eventually(lambda: gateway.counters["echoes"] >= 3, what="echoes")

    assert len({state.nonce for state in hub.states}) == len(hub.states), "a nonce is used once"
    told = gateway.hub_times[-1]
    assert 0 <= told.heard_s - told.asked_s < 10
    assert abs(told.wall_s - datetime.now(UTC).timestamp()) < 10
    gateway.close()
    hub.close()


def test_who_holds_the_broker_keeps_no_gateway_in_touch_once_its_hub_has_echoed(
    tmp_path: Path, broker: RunningBroker, keys: Keys
) -> None:
    """Neither while it runs nor after a restart: what the hub signed earlier is played again, and proves nothing."""
    hub = HubHalf(broker, keys)
    hub.echoing = True
    hub.say()
    gateway = Gateway(tmp_path, keys.identity(broker.access(GATEWAY)))
    eventually(lambda: gateway.counters["echoes"] >= 1, what="the first echo")
    hub.echoing = False  # from here on the hub is gone, and its words are played again

    assert news_when_played_again(hub, keys, gateway) == 0
    gateway.close()
    again = Gateway(tmp_path, keys.identity(broker.access(GATEWAY)))
    assert news_when_played_again(hub, keys, again) == 0
    assert again.heard == 0
    again.close()
    hub.close()


def test_a_hub_with_another_key_is_not_held_to_what_the_former_could(
    tmp_path: Path, broker: RunningBroker, keys: Keys
) -> None:
    EchoMark(tmp_path / "hub_echoes", HubKey(make_keys().hub_public)).set()
    hub = HubHalf(broker, keys)
    hub.say()
    gateway = Gateway(tmp_path, keys.identity(broker.access(GATEWAY)))

    eventually(lambda: gateway.heard >= 1, what="an older hub")

    gateway.close()
    hub.close()


# --- by itself


class Asking:
    """A gateway's freshness on a clock that the test moves."""

    def __init__(self, folder: Path) -> None:
        self.keys = make_keys()
        self.hub_key = HubKey(self.keys.hub_public)
        self.clock = SetClock()
        self.counters = Counters()
        self.heard: list[float] = []
        self.times: list[HubTime] = []
        self.mark = EchoMark(folder / "hub_echoes", self.hub_key)
        self.freshness = Freshness(
            self.hub_key, self.mark, self.clock, os.urandom, self.counters, self.heard.append, self.times.append
        )

    def echo(self, nonce: str, keys: Keys | None = None, topic: str = TOPIC) -> None:
        payload = (keys or self.keys).sign(topic, Echo(nonce=nonce, time=NOW))
        self.freshness.on_echo(Incoming(TOPIC, payload, False))


@pytest.fixture
def asking(tmp_path: Path) -> Asking:
    return Asking(tmp_path)


def test_an_echo_counts_from_the_question_so_that_holding_it_back_gains_nothing(asking: Asking) -> None:
    nonce = asking.freshness.new_nonce()
    asked_s = asking.clock.monotonic
    asking.clock.advance(3600)

    asking.echo(nonce)

    assert asking.heard == [3600]
    assert asking.times == [HubTime(NOW.timestamp(), asked_s, asked_s + 3600)]


def test_an_echo_counts_once_and_only_of_a_nonce_that_was_sent(asking: Asking) -> None:
    nonce = asking.freshness.new_nonce()
    asking.echo("0" * 32)
    asking.echo(nonce)
    asking.echo(nonce)

    assert len(asking.heard) == 1
    assert asking.counters["echoes_not_asked_for"] == 2


def test_an_echo_of_a_stranger_or_for_another_gateway_is_refused(asking: Asking) -> None:
    nonce = asking.freshness.new_nonce()
    with pytest.raises(BadSeal):
        asking.echo(nonce, make_keys())
    with pytest.raises(BadSeal):
        asking.echo(nonce, topic=topics.echo("gw-other"))
    for text in ("{}", "[]", '{"v":2,"nonce":"' + nonce + '","time":"2026-05-01T00:00:00Z"}', "\x00"):
        with pytest.raises((ProtocolError, ValidationError)):
            asking.freshness.on_echo(Incoming(TOPIC, asking.keys.sign(TOPIC, text), False))
    assert asking.heard == []
    assert not asking.mark.is_set


def test_open_questions_are_bounded_the_oldest_is_forgotten(asking: Asking) -> None:
    nonces = [asking.freshness.new_nonce() for _ in range(MAX_OPEN + 1)]
    asking.echo(nonces[0])
    assert asking.heard == []
    asking.echo(nonces[1])
    assert asking.heard == [0]


def test_after_the_first_echo_presumptions_count_no_more(asking: Asking) -> None:
    asking.freshness.presume()
    assert asking.heard == [0]
    asking.echo("0" * 32)
    asking.freshness.presume()
    assert asking.heard == [0, 0], "an echo that was not asked for is no first one"

    asking.echo(asking.freshness.new_nonce())
    asking.freshness.presume()

    assert asking.heard == [0, 0, 0]


def test_the_mark_is_kept_private_and_a_file_that_says_nothing_counts_as_set(asking: Asking, tmp_path: Path) -> None:
    path = tmp_path / "hub_echoes"
    assert asking.mark.set()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert EchoMark(path, asking.hub_key).is_set
    assert not EchoMark(path, HubKey(make_keys().hub_public)).is_set
    path.write_bytes(b"\xff\x00")
    assert EchoMark(path, asking.hub_key).is_set
    path.write_text("")
    assert EchoMark(path, asking.hub_key).is_set


def test_a_mark_that_the_disk_refuses_holds_in_memory_and_is_tried_again(asking: Asking, tmp_path: Path) -> None:
    folder = tmp_path / "away"
    mark = EchoMark(folder / "hub_echoes", asking.hub_key)
    assert not mark.set()
    assert mark.is_set
    folder.mkdir()
    assert mark.set()
    assert EchoMark(folder / "hub_echoes", asking.hub_key).is_set


def test_news_of_the_hub_never_goes_back(tmp_path: Path) -> None:
    clock = SetClock()
    news = HubNews(Ledgers(None), clock)
    news.heard(clock.wall_s(), 10.0)
    assert news.silent_s(clock.wall_s()) == 10.0
    clock.advance(5)
    news.heard(clock.wall_s(), 300.0)
    assert news.silent_s(clock.wall_s()) == 15.0
    news.heard(clock.wall_s())
    assert news.silent_s(clock.wall_s() + timedelta(hours=1).total_seconds()) == 0.0
