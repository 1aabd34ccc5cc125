"""What a gateway may do on the broker, tried on both brokers with real clients."""

from collections.abc import Callable, Iterator

import pytest

from cloud.broker import EmbeddedBroker
from tests.support.mqtt import Probe

PASSWORD = "a-password-of-a-gateway-1"
OTHER = "a-password-of-a-gateway-2"


@pytest.fixture
def gateway(broker: EmbeddedBroker, hub: Probe) -> Iterator[Callable[..., Probe]]:
    """Makes a connected client of a gateway; two gateways are let in, after the hub has subscribed."""
    assert hub.subscribe("gh/v1/+/up/#")
    broker.set_gateways({"gw1": PASSWORD, "gw2": OTHER})
    made: list[Probe] = []

    def make(name: str = "gw1", password: str = PASSWORD, client_id: str | None = None) -> Probe:
        access = broker.gateway_access
        made.append(Probe(access.host, access.port, client_id or name, name, password))
        return made[-1]

    yield make
    for probe in made:
        probe.close()


def test_a_gateway_writes_its_own_branch_and_reads_its_own(gateway: Callable[..., Probe], hub: Probe) -> None:
    probe = gateway().connect()
    assert probe.subscribe("gh/v1/gw1/down/#")
    assert probe.subscribe("gh/v1/hub/state")
    probe.publish("gh/v1/gw1/up/event/access", b"up")
    assert hub.wait_for("gh/v1/gw1/up/event/access") == b"up"
    hub.publish("gh/v1/gw1/down/receipt", b"down")
    assert probe.wait_for("gh/v1/gw1/down/receipt") == b"down"
    hub.publish("gh/v1/hub/state", b"here", retain=True)
    assert probe.wait_for("gh/v1/hub/state") == b"here"


@pytest.mark.parametrize(
    "topic",
    [
        "gh/v1/gw2/up/event/access",
        "gh/v1/gw1/down/cmd/1",
        "gh/v1/gw2/down/cmd/1",
        "gh/v1/hub/state",
        "gh/v1/hub/stored",
    ],
)
def test_a_gateway_cannot_write_anywhere_else(gateway: Callable[..., Probe], hub: Probe, topic: str) -> None:
    hub.subscribe("gh/v1/#")
    probe = gateway().connect()
    probe.publish(topic, b"forged")
    if not probe.connected:
        probe = gateway().connect()
    probe.publish("gh/v1/gw1/up/ask", b"after it")
    hub.wait_for("gh/v1/gw1/up/ask")
    assert hub.payloads(topic) == []


@pytest.mark.parametrize(
    "topic_filter", ["gh/v1/gw2/down/#", "gh/v1/#", "#", "gh/v1/+/down/receipt", "gh/v1/+/up/#", "$MQTT/sub/#", "+/#"]
)
def test_a_gateway_cannot_read_anything_else(gateway: Callable[..., Probe], hub: Probe, topic_filter: str) -> None:
    probe = gateway().connect()
    probe.subscribe(topic_filter)
    if not probe.connected:
        probe = gateway().connect()
    assert probe.subscribe("gh/v1/gw1/down/#")
    other = gateway("gw2", OTHER).connect()
    assert other.subscribe("gh/v1/gw2/down/#")
    other.publish("gh/v1/gw2/up/ask", b"foreign")
    hub.publish("gh/v1/gw2/down/receipt", b"foreign")
    other.wait_for("gh/v1/gw2/down/receipt")
    hub.publish("gh/v1/gw1/down/receipt", b"own")
    probe.wait_for("gh/v1/gw1/down/receipt")
    assert {payload for _, payload, _ in probe.messages} == {b"own"}


def test_a_wrong_password_an_unknown_user_and_no_user_are_refused(
    gateway: Callable[..., Probe], broker: EmbeddedBroker
) -> None:
    assert not gateway(password=OTHER).try_connect()
    assert not gateway("gw3").try_connect()
    access = broker.gateway_access
    anonymous = Probe(access.host, access.port, "gw1", "", "")
    assert not anonymous.try_connect()
    anonymous.close()


def test_a_gateway_that_claims_the_hub_s_client_id_does_not_cut_the_hub(
    gateway: Callable[..., Probe], hub: Probe
) -> None:
    gateway(client_id="hub-test").connect()
    gateway("gw2", OTHER, client_id="hub-worker-1").connect()
    hub.publish("gh/v1/gw1/down/receipt", b"still here")
    assert hub.connected
    assert hub.connects == 1


def test_the_hub_s_password_does_not_open_the_gateways_listener(broker: EmbeddedBroker) -> None:
    if broker.status().kind != "mosquitto":
        assert broker.gateway_access.port == broker.hub_access.port
        return
    access = broker.gateway_access
    probe = Probe(access.host, access.port, "hub", "hub", broker.hub_access.password)
    assert not probe.try_connect()
    probe.close()
    inner = broker.hub_access
    stranger = Probe(inner.host, inner.port, "gw1", "gw1", PASSWORD)
    assert not stranger.try_connect()
    stranger.close()


def test_removing_a_gateway_cuts_it_at_once_and_leaves_the_others(
    gateway: Callable[..., Probe], broker: EmbeddedBroker, hub: Probe
) -> None:
    cut, other = gateway().connect(), gateway("gw2", OTHER).connect()
    broker.remove_gateway("gw1")
    cut.wait(lambda: not cut.connected, timeout_s=10.0)
    assert not gateway().try_connect()
    other.publish("gh/v1/gw2/up/ask", b"here")
    assert hub.wait_for("gh/v1/gw2/up/ask") == b"here"
    assert (other.connects, hub.connects) == (1, 1)


def test_a_new_password_ends_the_old_one(gateway: Callable[..., Probe], broker: EmbeddedBroker) -> None:
    old = gateway().connect()
    broker.add_gateway("gw1", "another-password-of-gw1")
    old.wait(lambda: not old.connected, timeout_s=10.0)
    assert not gateway().try_connect()
    assert gateway(password="another-password-of-gw1").try_connect()


def test_a_gateway_that_claims_another_s_client_id_hears_nothing_of_it(
    gateway: Callable[..., Probe], hub: Probe, broker: EmbeddedBroker
) -> None:
    access = broker.gateway_access
    victim = Probe(access.host, access.port, "gw1", "gw1", PASSWORD, clean_session=False).connect()
    assert victim.subscribe("gh/v1/gw1/down/#")
    victim.close()
    hub.publish("gh/v1/gw1/down/receipt", b"queued for gw1")
    thief = Probe(access.host, access.port, "gw1", "gw2", OTHER, clean_session=False)
    thief.try_connect()
    hub.publish("gh/v1/gw1/down/receipt", b"sent to gw1")
    if thief.connected:
        assert thief.subscribe("gh/v1/gw2/down/#")
        hub.publish("gh/v1/gw2/down/receipt", b"own")
        thief.wait_for("gh/v1/gw2/down/receipt")
    thief.close()
    assert {payload for _, payload, _ in thief.messages} <= {b"own"}
