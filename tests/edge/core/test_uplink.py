"""The uplink over real brokers: real bytes, the hub's half written from the contract."""

import time
from pathlib import Path

import pytest

from edge.uplink import UplinkSettings
from protocols import topics
from protocols.credentials import POLICY_FORMAT
from protocols.presence import HubState, Presence
from protocols.receipts import Receipt
from tests.support.brokers import RunningBroker, make_tls
from tests.support.gateways import GATEWAY, Gateway, HubHalf, Keys, eventually, forced, make_keys, make_outbox, opened


def open_gate(gateway: Gateway) -> None:
    eventually(lambda: gateway.uplink.status().state == "open", what="gate open")


def test_a_live_event_travels_alone_on_its_class_topic_and_is_deleted_on_receipt(
    tmp_path: Path, broker: RunningBroker, keys: Keys
) -> None:
    hub = HubHalf(broker, keys)
    hub.say()
    gateway = Gateway(tmp_path, keys.identity(broker.access(GATEWAY)))
    open_gate(gateway)

    gateway.outbox.put(opened())
    gateway.outbox.put(forced())

    eventually(lambda: len(hub.stored) == 2, what="stored")
    assert hub.messages == [("access", 1), ("alarm", 1)]
    eventually(lambda: gateway.outbox.status().rows == 0, what="deleted")
    gateway.close()
    hub.close()


def test_nothing_is_deleted_without_a_receipt(tmp_path: Path, broker: RunningBroker, keys: Keys) -> None:
    hub = HubHalf(broker, keys)
    hub.answering = False
    hub.say()
    gateway = Gateway(tmp_path, keys.identity(broker.access(GATEWAY)))
    for number in range(20):
        gateway.outbox.put(opened(number))
    eventually(lambda: sum(count for _, count in hub.messages) >= 20, what="published")
    assert gateway.outbox.status().rows == 20
    gateway.close()
    hub.close()


def test_the_outbox_stays_shut_while_the_hub_is_away_or_its_state_is_not_the_hubs(
    tmp_path: Path, broker: RunningBroker, keys: Keys
) -> None:
    hub = HubHalf(broker, keys)
    stranger = make_keys()
    state = HubState(state=Presence.ONLINE, session=9)
    hub.publish(topics.HUB_STATE, stranger.sign(topics.HUB_STATE, state), retain=True)
    gateway = Gateway(tmp_path, keys.identity(broker.access(GATEWAY)))
    eventually(lambda: gateway.counters["messages_refused"] == 1, what="a stranger's state is refused")
    gateway.outbox.put(opened())
    assert gateway.uplink.status().state == "connected"

    hub.say()
    eventually(lambda: len(hub.stored) == 1, what="stored once the hub is there")
    hub.say(Presence.OFFLINE)
    eventually(lambda: gateway.uplink.status().state == "connected", what="shut again")
    gateway.outbox.put(opened())
    eventually(lambda: gateway.outbox.status().rows == 1)
    assert len(hub.stored) == 1

    hub.session = 2
    hub.say()
    eventually(lambda: len(hub.stored) == 2, what="open again")
    hub.session = 1
    hub.say(Presence.OFFLINE)  # the late will of a former hub process
    eventually(lambda: gateway.counters["hub_state_stale"] == 1)
    assert gateway.uplink.status().state == "open"
    gateway.close()
    hub.close()


def test_birth_and_will_carry_a_session_number_that_rises_with_every_connection(
    tmp_path: Path, broker: RunningBroker, keys: Keys
) -> None:
    hub = HubHalf(broker, keys)
    gateway = Gateway(tmp_path, keys.identity(broker.access(GATEWAY)))
    eventually(lambda: len(hub.states) >= 1)
    birth = hub.states[-1]
    assert birth.policy_format == POLICY_FORMAT
    assert (birth.state, birth.session, birth.stream) == (Presence.ONLINE, 1, gateway.outbox.stream)
    assert birth.credentials is not None
    assert birth.credentials.version == 0
    assert (birth.version, birth.outbox_rows, birth.clock) == ("0.1.0", 0, "synced")
    gateway.close()
    eventually(lambda: hub.states[-1].state is Presence.OFFLINE)

    again = Gateway(tmp_path, keys.identity(broker.access(GATEWAY)))
    eventually(lambda: hub.states[-1].state is Presence.ONLINE)
    assert hub.states[-1].session == 2
    again.close()
    hub.close()


def test_the_hub_counts_as_heard_while_the_gate_is_open_and_not_before(
    tmp_path: Path, broker: RunningBroker, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.uplink.uplink.HEARTBEAT_S", 0.05)
    hub = HubHalf(broker, keys)
    hub.say(Presence.OFFLINE)
    gateway = Gateway(tmp_path, keys.identity(broker.access(GATEWAY)))
    eventually(lambda: len(hub.states) >= 5)
    assert gateway.heard == 0

    hub.say(Presence.ONLINE)
    eventually(lambda: gateway.heard >= 5, what="quiet, but there")
    gateway.close()
    hub.close()


def test_a_backlog_goes_in_batches_and_live_events_pass_it(tmp_path: Path, broker: RunningBroker, keys: Keys) -> None:
    outbox = make_outbox(tmp_path)
    outbox.start()
    for number in range(5000):
        outbox.record(opened(number))
    outbox.stop()
    outbox.close()
    hub = HubHalf(broker, keys)
    hub.say()
    settings = UplinkSettings(backlog_events_per_s=2000.0)
    gateway = Gateway(tmp_path, keys.identity(broker.access(GATEWAY)), settings=settings)
    open_gate(gateway)

    begun = time.time()
    delays: list[float] = []
    live: set[int] = set()
    while len(hub.stored) < 4000:
        observed = time.time()
        seq = gateway.outbox.put(forced())
        live.add(seq)
        eventually(lambda seq=seq: seq in hub.seqs, 30, "a live event")
        delays.append(time.time() - observed)

    eventually(lambda: len(hub.stored) == 5000 + len(live), 20, "everything")
    assert len(delays) >= 5
    assert sorted(delays)[len(delays) // 2] < (time.time() - begun) / 5, "a live event waits for the backlog"
    assert {size for kind, size in hub.messages if kind == "batch"} >= {100}
    assert all(size == 1 for kind, size in hub.messages if kind != "batch")
    assert max(hub.arrivals.values()) == 1
    eventually(lambda: gateway.outbox.status().rows == 0)
    gateway.close()
    hub.close()


def test_nothing_is_lost_when_the_broker_is_killed_with_events_in_flight(
    tmp_path: Path, broker: RunningBroker, keys: Keys
) -> None:
    hub = HubHalf(broker, keys)
    hub.say()
    gateway = Gateway(tmp_path, keys.identity(broker.access(GATEWAY)))
    open_gate(gateway)
    last = 0
    for cycle in range(3):
        for number in range(400):
            gateway.outbox.record(opened(number))
        last = gateway.outbox.put(opened())
        broker.kill9()
        for number in range(200):
            gateway.outbox.record(opened(number))
        last = gateway.outbox.put(opened())
        hub.close()
        broker.start()
        hub = _succeeding(hub, broker, keys, cycle + 2)

    eventually(lambda: {event.seq for event in list(hub.stored.values())} == set(range(1, last + 1)), 30, "all events")
    eventually(lambda: gateway.outbox.status().rows == 0, 20, "all receipted")
    assert gateway.counters["uplink_lost"] >= 1
    gateway.close()
    hub.close()


def _succeeding(former: HubHalf, broker: RunningBroker, keys: Keys, session: int) -> HubHalf:
    """A hub with the former one's database."""
    hub = HubHalf(broker, keys, session=session)
    hub.take_over(former)
    hub.say()
    return hub


def test_a_receipt_that_the_hub_did_not_sign_deletes_nothing(tmp_path: Path, broker: RunningBroker, keys: Keys) -> None:
    hub = HubHalf(broker, keys)
    hub.answering = False
    hub.say()
    gateway = Gateway(tmp_path, keys.identity(broker.access(GATEWAY)))
    open_gate(gateway)
    gateway.outbox.put(opened())
    stream = gateway.outbox.stream
    topic = topics.receipt(GATEWAY)
    receipt = Receipt(stream=stream, upto=1)
    hub.publish(topic, make_keys().sign(topic, receipt))
    hub.publish(topic, keys.sign(topics.receipt("gw-other"), receipt))
    hub.publish(topic, keys.sign(topic, '{"v":2,"stream":"x"}'))
    hub.publish(topic, b"\x00" * 300_000)
    hub.publish(topic, keys.sign(topic, Receipt(stream=make_outbox(_folder(tmp_path)).stream, upto=1)))
    eventually(lambda: gateway.counters["receipts_of_another_stream"] == 1, what="another stream's receipt")
    assert gateway.counters["messages_refused"] == 4
    assert gateway.outbox.status().rows == 1

    hub.publish(topic, keys.sign(topic, receipt))
    eventually(lambda: gateway.outbox.status().rows == 0, what="the true receipt")
    gateway.close()
    hub.close()


def _folder(parent: Path) -> Path:
    folder = parent / "another"
    folder.mkdir()
    return folder


def test_a_revoked_gateway_says_that_it_was_refused_and_comes_back_when_let_in(
    tmp_path: Path, broker: RunningBroker, keys: Keys
) -> None:
    hub = HubHalf(broker, keys)
    hub.say()
    gateway = Gateway(tmp_path, keys.identity(broker.access(GATEWAY)))
    open_gate(gateway)
    broker.set_gateways({})
    eventually(lambda: gateway.uplink.status().state == "refused", 20, "refused")
    assert "enroll it anew" in gateway.uplink.status().reason
    gateway.outbox.put(opened())
    broker.set_gateways({GATEWAY: broker.access(GATEWAY).password})
    eventually(lambda: len(hub.stored) == 1, 30, "back again")
    gateway.close()
    hub.close()


def test_mqtt_5_carries_the_same_bytes(tmp_path: Path, mosquitto: RunningBroker, keys: Keys) -> None:
    hub = HubHalf(mosquitto, keys)
    hub.say()
    gateway = Gateway(tmp_path, keys.identity(mosquitto.access(GATEWAY)), settings=UplinkSettings(protocol="5"))
    open_gate(gateway)
    gateway.outbox.put(opened())
    eventually(lambda: gateway.outbox.last_seq == 1 and gateway.outbox.status().rows == 0)
    command = hub.command()
    hub.send(command)
    eventually(lambda: hub.states_of(command.corr) == ["accepted", "done"])
    gateway.close()
    hub.close()


def test_over_tls_a_broker_with_the_right_certificate_is_trusted_and_no_other(tmp_path: Path, keys: Keys) -> None:
    broker = RunningBroker("mosquitto", tmp_path / "broker", (GATEWAY,), make_tls(tmp_path / "tls"))
    hub = HubHalf(broker, keys)
    hub.say()
    access = broker.access(GATEWAY)
    gateway = Gateway(tmp_path, keys.identity(access))
    open_gate(gateway)
    for number in range(2000):
        gateway.outbox.record(opened(number))
    eventually(lambda: len(hub.stored) == 2000, 20)
    eventually(lambda: gateway.outbox.status().rows == 0)
    gateway.close()

    other_ca = make_tls(tmp_path / "other").ca.read_text()
    deceived = Gateway(_folder(tmp_path), keys.identity(access.model_copy(update={"ca_pem": other_ca})))
    eventually(lambda: "CERTIFICATE_VERIFY_FAILED" in deceived.uplink.status().reason)
    assert deceived.uplink.status().state == "connecting"
    deceived.close()
    hub.close()
    broker.stop()
