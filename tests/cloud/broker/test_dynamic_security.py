"""An administrator's Mosquitto with the dynamic-security plug-in, managed over MQTT."""

import base64
import hashlib
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cloud.broker import BrokerError, DynamicSecurityBroker, GatewayAccess, HubAccess
from tests.support.mqtt import Probe
from tests.support.ports import free_port

HUB_PASSWORD = "the-hub-s-password-at-the-broker"
PASSWORD, OTHER = "a-password-of-a-gateway-1", "a-password-of-a-gateway-2"


def first_state() -> str:
    """The hub and nobody else, as `docker/prepare` writes it."""
    salt = b"a fixed salt"
    digest = hashlib.pbkdf2_hmac("sha512", HUB_PASSWORD.encode(), salt, 101)
    kinds = ("publishClientSend", "publishClientReceive", "subscribePattern", "unsubscribePattern")
    rights = [
        {"acltype": kind, "topic": topic, "priority": 0, "allow": True}
        for topic in ("$CONTROL/dynamic-security/#", "gh/v1/#")
        for kind in kinds
    ]
    client = {
        "username": "hub",
        "password": base64.b64encode(digest).decode(),
        "salt": base64.b64encode(salt).decode(),
        "iterations": 101,
        "roles": [{"rolename": "hub"}],
    }
    return json.dumps({"clients": [client], "groups": [], "roles": [{"rolename": "hub", "acls": rights}]})


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[DynamicSecurityBroker]:
    [plugin] = Path("/usr/lib").glob("**/mosquitto_dynamic_security.so")
    port = free_port()
    (tmp_path / "users.json").write_text(first_state())
    (tmp_path / "mosquitto.conf").write_text(
        f"allow_anonymous false\nplugin {plugin}\nplugin_opt_config_file {tmp_path}/users.json\n"
        f"user root\nlistener {port} 127.0.0.1\n"
    )
    process = subprocess.Popen(
        ["/usr/sbin/mosquitto", "-c", str(tmp_path / "mosquitto.conf")], stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    while "running" not in process.stderr.readline():
        assert process.poll() is None
    yield DynamicSecurityBroker(HubAccess("127.0.0.1", port, "hub", HUB_PASSWORD), GatewayAccess("127.0.0.1", port))
    process.terminate()
    process.wait(30)
    process.stderr.close()


@pytest.fixture
def probe(broker: DynamicSecurityBroker) -> Iterator[Callable[..., Probe]]:
    made: list[Probe] = []

    def make(name: str, password: str, client_id: str | None = None) -> Probe:
        made.append(Probe("127.0.0.1", broker.hub_access.port, client_id or name, name, password))
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_gateways_have_their_own_branch_and_nothing_else(
    broker: DynamicSecurityBroker, probe: Callable[..., Probe]
) -> None:
    broker.start()
    broker.set_gateways({"gw1": PASSWORD, "gw2": OTHER})
    hub = probe("hub", HUB_PASSWORD, "hub-worker-1").connect()
    assert hub.subscribe("gh/v1/+/up/#")
    one, other = probe("gw1", PASSWORD).connect(), probe("gw2", OTHER).connect()
    assert one.subscribe("gh/v1/gw1/down/#")
    one.subscribe("gh/v1/gw2/down/#")
    other.subscribe("gh/v1/gw2/down/#")
    one.publish("gh/v1/gw2/up/ask", b"forged")
    one.publish("gh/v1/gw1/up/ask", b"own")
    assert hub.wait_for("gh/v1/gw1/up/ask") == b"own"
    assert hub.payloads("gh/v1/gw2/up/ask") == []
    hub.publish("gh/v1/gw2/down/receipt", b"of another")
    hub.publish("gh/v1/gw1/down/receipt", b"own")
    other.wait_for("gh/v1/gw2/down/receipt")
    one.wait_for("gh/v1/gw1/down/receipt")
    assert [payload for _, payload, _ in one.messages] == [b"own"]


def test_removing_a_gateway_cuts_it_and_leaves_the_others(
    broker: DynamicSecurityBroker, probe: Callable[..., Probe]
) -> None:
    broker.set_gateways({"gw1": PASSWORD, "gw2": OTHER})
    one, other = probe("gw1", PASSWORD).connect(), probe("gw2", OTHER).connect()
    broker.remove_gateway("gw1")
    one.wait(lambda: not one.connected, timeout_s=10.0)
    assert not probe("gw1", PASSWORD).try_connect()
    assert other.connected


def test_a_restarted_hub_cuts_nobody(broker: DynamicSecurityBroker, probe: Callable[..., Probe]) -> None:
    broker.set_gateways({"gw1": PASSWORD})
    one = probe("gw1", PASSWORD).connect()
    again = DynamicSecurityBroker(broker.hub_access, broker.gateway_access)
    again.start()
    again.set_gateways({"gw1": PASSWORD, "gw2": OTHER})
    assert probe("gw2", OTHER).try_connect()
    assert (one.connected, one.connects) == (True, 1)


def test_a_client_id_of_another_is_refused(broker: DynamicSecurityBroker, probe: Callable[..., Probe]) -> None:
    broker.set_gateways({"gw1": PASSWORD, "gw2": OTHER})
    assert not probe("gw1", PASSWORD, "gw2").try_connect()
    assert not probe("gw1", PASSWORD, "hub-worker-1").try_connect()


def test_a_new_password_ends_the_old_one(broker: DynamicSecurityBroker, probe: Callable[..., Probe]) -> None:
    broker.set_gateways({"gw1": PASSWORD})
    one = probe("gw1", PASSWORD).connect()
    broker.add_gateway("gw1", OTHER)
    one.wait(lambda: not one.connected, timeout_s=10.0)
    assert not probe("gw1", PASSWORD).try_connect()
    assert probe("gw1", OTHER).try_connect()


def test_users_that_the_broker_lost_are_made_again(broker: DynamicSecurityBroker, probe: Callable[..., Probe]) -> None:
    broker.set_gateways({"gw1": PASSWORD})
    DynamicSecurityBroker(broker.hub_access, broker.gateway_access).set_gateways({})
    broker.reconnected()
    broker.set_gateways({"gw1": PASSWORD})
    assert probe("gw1", PASSWORD).try_connect()


def test_an_unreachable_broker_and_a_wrong_password_are_told(broker: DynamicSecurityBroker) -> None:
    nowhere = HubAccess("127.0.0.1", free_port(), "hub", HUB_PASSWORD)
    with pytest.raises(BrokerError, match="cannot be reached"):
        DynamicSecurityBroker(nowhere, broker.gateway_access).start()
    wrong = HubAccess("127.0.0.1", broker.hub_access.port, "hub", "wrong")
    with pytest.raises(BrokerError, match="does not let the hub administer it"):
        DynamicSecurityBroker(wrong, broker.gateway_access).start()
