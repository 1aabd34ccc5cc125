"""The hub with the brokers of a larger site: TLS, an administrator's Mosquitto, several workers."""

import os
import re
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import httpx
import pytest
from sqlalchemy import func, select
from typer.testing import CliRunner

from cloud.broker import TlsFiles
from cloud.broker.engines import BrokerKind
from cloud.config import BrokerSection, HttpSection, HubConfig, IngestSection, TlsSection
from cloud.database import tables
from edge.identity import StoredIdentity
from gatehouse.hub_command import app
from protocols import topics
from protocols.enrolment import decode_key
from protocols.presence import Echo, GatewayState, Presence
from protocols.sealing import MacKey
from tests.cloud.hub.conftest import RunningHub, hub_state
from tests.cloud.hub.test_hub import body_of, seal
from tests.support.certificates import make_certificates
from tests.support.events import FakeGateway, opened
from tests.support.gateways import eventually
from tests.support.mqtt import Probe
from tests.support.ports import free_port

EVENTS = 200
HUB_PASSWORD = "the-hub-s-password-at-the-broker"


@pytest.fixture
def certificates(tmp_path: Path) -> TlsFiles:
    return make_certificates(tmp_path)


def over_tls(identity: StoredIdentity) -> Probe:
    """A gateway that trusts what it was told at its enrolment, and nothing else."""
    broker = identity.broker
    probe = Probe(broker.host, broker.port, broker.username, broker.username, broker.password)
    probe.client.tls_set_context(ssl.create_default_context(cadata=broker.ca_pem))
    return probe.connect()


def stored(running: RunningHub) -> int:
    with running.foundation.database.read() as connection:
        return connection.execute(select(func.count()).select_from(tables.EventRecord)).scalar_one()


def send_events(probe: Probe, identity: StoredIdentity) -> None:
    gateway = FakeGateway(identity.gateway, MacKey(identity.key_id, decode_key(identity.message_key)))
    for _ in range(EVENTS):
        probe.client.publish(*gateway.message(gateway.event(opened())), qos=1)


def test_gateways_reach_the_hub_s_own_mosquitto_over_tls(tmp_path: Path, certificates: TlsFiles) -> None:
    tls = TlsSection(certificate=certificates.certificate, key=certificates.key, ca=certificates.ca)
    broker = BrokerSection(kind=BrokerKind.MOSQUITTO, host="0.0.0.0", port=0, tls=tls, advertised_host="127.0.0.1")
    # every interface, as an operator would: what the host may reach is TLS alone
    running = RunningHub(HubConfig(state_dir=tmp_path / "hub", http=HttpSection(port=0), broker=broker))
    try:
        identity = running.enrol("east", tmp_path / "gateway")
        probe = over_tls(identity)
        hub_state(probe)
        send_events(probe, identity)
        eventually(lambda: stored(running) == EVENTS, 30, "the events")
        probe.close()
        plain = Probe(identity.broker.host, identity.broker.port, "east", "east", identity.broker.password)
        with pytest.raises(AssertionError):
            plain.connect(timeout_s=5.0)
        plain.close()
    finally:
        running.stop()


@pytest.fixture
def mosquitto(tmp_path: Path, certificates: TlsFiles) -> Iterator[int]:
    """An administrator's Mosquitto with TLS and the dynamic-security plug-in; the port."""
    from tests.cloud.broker.test_dynamic_security import first_state

    [plugin] = Path("/usr/lib").glob("**/mosquitto_dynamic_security.so")
    port = free_port()
    (tmp_path / "users.json").write_text(first_state())
    (tmp_path / "mosquitto.conf").write_text(
        f"allow_anonymous false\nplugin {plugin}\nplugin_opt_config_file {tmp_path}/users.json\nuser root\n"
        f"listener {port} 127.0.0.1\ncertfile {certificates.certificate}\nkeyfile {certificates.key}\n"
    )
    process = subprocess.Popen(
        ["/usr/sbin/mosquitto", "-c", str(tmp_path / "mosquitto.conf")], stderr=subprocess.DEVNULL
    )
    yield port
    process.terminate()
    process.wait(30)


def test_an_administrator_s_mosquitto_is_managed_over_tls(
    tmp_path: Path, certificates: TlsFiles, mosquitto: int
) -> None:
    password = tmp_path / "password"
    password.write_text(HUB_PASSWORD)
    broker = BrokerSection(
        url=f"mqtts://127.0.0.1:{mosquitto}",
        password_file=password,
        ca_file=certificates.ca,
        managed="dynamic-security",
    )
    running = RunningHub(HubConfig(state_dir=tmp_path / "hub", http=HttpSection(port=0), broker=broker))
    try:
        identity = running.enrol("east", tmp_path / "gateway")
        probe = over_tls(identity)
        hub_state(probe)
        send_events(probe, identity)
        eventually(lambda: stored(running) == EVENTS, 30, "the events")
        from gatehouse.hub_command import _register

        _register(running.foundation).revoke("east")
        probe.wait(lambda: not probe.connected, timeout_s=10.0)
        probe.close()
    finally:
        running.stop()


def send_births(probe: Probe, identity: StoredIdentity) -> None:
    """Births that are shared out like all messages; each is echoed, by whichever worker got it."""
    assert probe.subscribe(topics.echo(identity.gateway))
    nonces = {f"{number:032x}" for number in range(30)}
    topic = topics.state(identity.gateway)
    for nonce in nonces:
        birth = GatewayState(state=Presence.ONLINE, session=1, nonce=nonce)
        probe.publish(topic, seal(identity, topic, birth.model_dump_json().encode()))
    probe.wait(lambda: len(probe.payloads(topics.echo(identity.gateway))) == len(nonces))
    echoes = [Echo.model_validate_json(body_of(each)) for each in probe.payloads(topics.echo(identity.gateway))]
    assert {echo.nonce for echo in echoes} == nonces


def test_workers_in_one_process_and_in_another_store_each_event_once(tmp_path: Path) -> None:
    config = HubConfig(
        state_dir=tmp_path / "hub",
        http=HttpSection(port=0),
        broker=BrokerSection(kind=BrokerKind.MOSQUITTO, port=0),
        ingest=IngestSection(workers=2, shared=True),
    )
    running = RunningHub(config)
    variables = {
        **os.environ,
        "GATEHOUSE_HUB_STATE_DIR": str(config.state_dir),
        "GATEHOUSE_HUB_INGEST__WORKERS": "2",
        "GATEHOUSE_HUB_INGEST__SHARED": "true",
        "GATEHOUSE_HUB_BROKER__KIND": "mosquitto",
        "GATEHOUSE_HUB_BROKER__PORT": "0",
    }
    command = [sys.executable, "-c", "from gatehouse.hub_command import app; app()", "worker", "--number", "3"]
    command += ["--metrics-port", "0"]
    process = subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        identity = running.enrol("east", tmp_path / "gateway")
        probe = running.connect(identity)
        address = process.stdout.readline().removeprefix("worker 3: ").strip()
        assert process.stdout.readline() == "worker 3 stores events\n"
        assert urlsplit(address).hostname == "127.0.0.1"
        assert httpx.get(urljoin(address, "/healthz")).json() == {
            "status": "ok",
            "parts": {"database": True, "broker": True, "ingest": True},
        }
        send_events(probe, identity)
        eventually(lambda: stored(running) == EVENTS, 30, "the events")
        send_births(probe, identity)
        told = httpx.get(address).text
        assert re.search(r"^gatehouse_births_total\{.*echoes.*\} [1-9]", told, re.MULTILINE), told
        assert re.search(r"^gatehouse_ingest_events_stored_total [1-9]", told, re.MULTILINE), told
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        probe.close()
    finally:
        process.kill()
        process.communicate()
        running.stop()


def test_a_hub_that_cannot_reach_its_broker_says_so(tmp_path: Path) -> None:
    from cloud.broker import BrokerError

    password = tmp_path / "password"
    password.write_text(HUB_PASSWORD)
    broker = BrokerSection(url=f"mqtt://127.0.0.1:{free_port()}", password_file=password, managed="dynamic-security")
    with pytest.raises(BrokerError, match="cannot be reached"):
        RunningHub(HubConfig(state_dir=tmp_path / "hub", http=HttpSection(port=0), broker=broker))


def test_a_hub_whose_ports_are_taken_says_so_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        for key, sentence in (("BROKER__PORT", "in use"), ("HTTP__PORT", "is another one running already?")):
            ports = {"GATEHOUSE_HUB_BROKER__PORT": "0", "GATEHOUSE_HUB_HTTP__PORT": "0", f"GATEHOUSE_HUB_{key}": port}
            variables = {
                "GATEHOUSE_HUB_STATE_DIR": str(tmp_path / key),
                "GATEHOUSE_HUB_BROKER__KIND": "mosquitto",
                **ports,
            }
            done = CliRunner().invoke(app, ["run"], env=variables)
            assert (done.exit_code, sentence in done.stderr, "Traceback" in done.output) == (1, True, False), (
                done.output
            )
            assert not (tmp_path / key / "broker" / "broker.pid").exists()
