"""The hub on MQTT 5: properties repeat what a command's payload holds, and a gateway on 3.1.1 is served alike."""

from collections.abc import Iterator
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from cloud.broker.engines import BrokerKind
from cloud.commands import CommandState
from cloud.config import BrokerSection, HttpSection, HubConfig
from protocols import topics
from protocols.commands import Command, Reply, ReplyState
from tests.cloud.hub.conftest import RunningHub
from tests.cloud.hub.test_hub import body_of, born, presence, seal
from tests.support import register as given
from tests.support.gateways import eventually


@pytest.fixture(params=["5", "3.1.1"])
def running(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RunningHub]:
    broker = BrokerSection(kind=BrokerKind.MOSQUITTO, port=0, protocol=request.param)
    hub = RunningHub(HubConfig(state_dir=tmp_path / "hub", http=HttpSection(port=0), broker=broker))
    yield hub
    hub.stop()


@pytest.fixture
def seen(running: RunningHub) -> Iterator[list[mqtt.MQTTMessage]]:
    """What an MQTT 5 subscriber with the hub's rights sees of commands."""
    access = running.hub.broker.hub_access
    granted: list[bool] = []
    messages: list[mqtt.MQTTMessage] = []
    client = mqtt.Client(CallbackAPIVersion.VERSION2, "an-administrator-s-tool", protocol=mqtt.MQTTv5)
    client.username_pw_set(access.username, access.password)
    client.on_connect = lambda *_: client.subscribe("gh/v1/+/down/cmd/+", 1)
    client.on_subscribe = lambda *_: granted.append(True)
    client.on_message = lambda _client, _data, message: messages.append(message)
    client.connect(access.host, access.port)
    client.loop_start()
    eventually(lambda: bool(granted), what="the tool's subscription")
    yield messages
    client.disconnect()
    client.loop_stop()


def test_properties_mirror_a_command_and_a_gateway_on_3_1_1_is_served_alike(
    running: RunningHub, seen: list[mqtt.MQTTMessage], tmp_path: Path
) -> None:
    identity = running.enrol("east", tmp_path / "gateway")
    gateway = running.connect(identity)  # MQTT 3.1.1
    assert gateway.subscribe("gh/v1/east/down/#")
    born(gateway, identity)
    eventually(lambda: presence(running, "east") == "online", what="the gateway's presence")
    commands = running.hub.commands
    corr = commands.release_door("east", "d1", given.add_account(running.foundation.database))
    command = Command.model_validate_json(body_of(gateway.wait_for(topics.command("east", corr))))
    reply = Reply(corr=corr, state=ReplyState.DONE, time=command.issued)
    gateway.publish(command.reply_to, seal(identity, command.reply_to, reply.model_dump_json().encode()))

    def is_done() -> bool:
        outcome = commands.outcome(corr)
        return outcome is not None and outcome.state is CommandState.DONE

    eventually(is_done, what="the command's outcome")
    eventually(lambda: bool(seen), what="the command at the tool")
    properties = seen[0].properties
    assert properties is not None
    if running.config.broker.protocol == "5":
        assert properties.ResponseTopic == command.reply_to
        assert properties.CorrelationData == corr.bytes
        assert properties.MessageExpiryInterval in (7, 8)  # less the time that it lay at the broker
    else:
        assert properties.isEmpty()
    gateway.close()
