"""The hub echoes a birth's nonce with its time: over real brokers, to a real gateway, and to none that did not ask."""

from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import select

from cloud.database.tables import Gateway as GatewayTable
from cloud.gateways.echo import BirthEcho
from edge.identity import HubKey, opened
from edge.uplink.freshness import EchoMark
from protocols import topics
from protocols.enrolment import decode_key
from protocols.presence import Echo, GatewayState, Presence
from protocols.sealing import open_with_signature
from tests.cloud.hub.conftest import RunningHub
from tests.cloud.hub.test_hub import born, presence, seal
from tests.support.gateways import GATEWAY, Gateway, eventually

NONCE = "0123456789abcdef" * 2
NOW = datetime(2026, 5, 1, 8, 0, tzinfo=UTC)


def test_a_birth_with_a_nonce_is_echoed_and_an_older_gateway_s_is_not(running: RunningHub, tmp_path: Path) -> None:
    identity = running.enrol("east", tmp_path / "gateway")
    probe = running.connect(identity)
    assert probe.subscribe("gh/v1/east/down/#")
    born(probe, identity)
    eventually(lambda: presence(running, "east") == "online", what="the older gateway's birth")
    state = topics.state("east")
    birth = GatewayState(state=Presence.ONLINE, session=1, version="test", nonce=NONCE)

    probe.publish(state, seal(identity, state, birth.model_dump_json().encode()), retain=True)

    sealed = probe.wait_for(topics.echo("east"))
    echo = Echo.model_validate_json(
        open_with_signature(topics.echo("east"), sealed, HubKey(decode_key(identity.hub_key)).verify)
    )
    assert echo.nonce == NONCE
    assert abs((echo.time - datetime.now(UTC)).total_seconds()) < 10
    assert len(probe.payloads(topics.echo("east"))) == 1
    assert [retained for topic, _, retained in probe.messages if topic == topics.echo("east")] == [False]
    with running.foundation.database.read() as connection:
        [reported] = connection.execute(select(GatewayTable.reported)).scalars()
    assert reported is not None
    assert (reported["version"], "nonce" in reported) == ("test", False)
    probe.close()


def test_a_real_gateway_hears_its_hub_by_echoes_and_holds_it_to_them(running: RunningHub, tmp_path: Path) -> None:
    folder = tmp_path / "gateway"
    identity = opened(running.enrol(GATEWAY, folder))

    gateway = Gateway(folder, identity)

    eventually(lambda: bool(gateway.hub_times), what="the first birth's echo")
    assert EchoMark(folder / "hub_echoes", identity.hub_key).is_set
    told = gateway.hub_times[0]
    assert abs(told.wall_s - datetime.now(UTC).timestamp()) < 60
    gateway.close()


def test_a_will_is_not_echoed() -> None:
    sent: list[str] = []
    echo = BirthEcho(lambda _topic, body: body, lambda topic, _message, _retained: sent.append(topic), lambda: NOW)
    for state in (Presence.OFFLINE, Presence.ONLINE):
        echo.on_state("east", GatewayState(state=state, session=1, nonce=NONCE))
    echo.on_state("east", GatewayState(state=Presence.ONLINE, session=1))
    assert sent == [topics.echo("east")]
    assert echo.counts == {"echoes": 1, "without_nonce": 1}
