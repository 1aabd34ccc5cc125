"""The uplink over real brokers: real bytes, the hub's half written from the contract."""

from pathlib import Path

from tests.support.brokers import RunningBroker
from tests.support.gateways import Gateway, HubHalf, Keys, eventually, forced, opened


def test_a_live_event_travels_alone_on_its_class_topic_and_is_deleted_on_receipt(
    tmp_path: Path, broker: RunningBroker, keys: Keys
) -> None:
    hub = HubHalf(broker, keys)
    hub.say()
    gateway = Gateway(tmp_path, keys.identity(broker.access("gw-test")))
    eventually(lambda: gateway.uplink.status().state == "open", what="gate open")

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
    gateway = Gateway(tmp_path, keys.identity(broker.access("gw-test")))
    for number in range(20):
        gateway.outbox.put(opened(number))
    eventually(lambda: sum(count for _, count in hub.messages) >= 20, what="published")
    assert gateway.outbox.status().rows == 20
    gateway.close()
    hub.close()
