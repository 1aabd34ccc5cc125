"""The broker's process: supervised, restarted, replaced after a killed hub, never open without TLS."""

import os
import signal
import stat
from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep

import pytest

from cloud.broker import BrokerError, BrokerKind, EmbeddedBroker, Ports, TlsFiles, find_engine
from cloud.broker.child import Child
from tests.support.mqtt import Probe

KINDS = [BrokerKind.MOSQUITTO, BrokerKind.NATS]


def wait_until(condition: Callable[[], bool], timeout_s: float = 30.0) -> None:
    deadline = monotonic() + timeout_s
    while not condition():
        assert monotonic() < deadline, "waited in vain"
        sleep(0.02)


def pid_of(folder: Path) -> int:
    return int((folder / "broker.pid").read_text())


def test_a_killed_broker_comes_back_with_its_users(broker: EmbeddedBroker, tmp_path: Path) -> None:
    broker.add_gateway("gw1", "a-password-of-a-gateway-1")
    os.kill(pid_of(tmp_path / "broker"), signal.SIGKILL)
    wait_until(lambda: broker.status().restarts == 1 and broker.status().state == "running")
    access = broker.gateway_access

    def enters() -> bool:
        probe = Probe(access.host, access.port, "gw1", "gw1", "a-password-of-a-gateway-1")
        try:
            return probe.try_connect()
        except ConnectionError:
            return False
        finally:
            probe.close()

    wait_until(enters)


@pytest.mark.parametrize("kind", KINDS)
def test_a_broker_left_over_by_a_killed_hub_is_ended_and_its_ports_are_kept(kind: BrokerKind, tmp_path: Path) -> None:
    first = EmbeddedBroker(find_engine(kind), tmp_path / "b")
    first.start()
    left_over = pid_of(tmp_path / "b")
    dead = first._child  # a killed hub neither starts its broker again nor forgets its process
    assert dead is not None
    dead._stopping.set()
    dead._pid_file = tmp_path / "elsewhere"
    second = EmbeddedBroker(find_engine(kind), tmp_path / "b")
    second.start()
    try:
        assert pid_of(tmp_path / "b") != left_over
        assert second.gateway_access.port == first.gateway_access.port
        assert second.hub_access == first.hub_access
    finally:
        second.stop()
        first.stop()


def test_every_file_of_the_broker_is_private(broker: EmbeddedBroker, tmp_path: Path) -> None:
    broker.add_gateway("gw1", "a-password-of-a-gateway-1")
    folder = tmp_path / "broker"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    secret = [file for file in folder.iterdir() if file.suffix in {".conf", ".passwd", ".password", ".acl"}]
    assert secret
    assert {stat.S_IMODE(file.stat().st_mode) for file in secret} == {0o600}


def test_two_hubs_never_share_a_password(tmp_path: Path) -> None:
    engine = find_engine(BrokerKind.AUTO)
    one, other = EmbeddedBroker(engine, tmp_path / "1"), EmbeddedBroker(engine, tmp_path / "2")
    assert one.hub_access.password != other.hub_access.password
    assert one.hub_access.password not in repr(one.hub_access)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "gate.example"])
def test_a_listener_beyond_loopback_needs_tls(tmp_path: Path, host: str) -> None:
    with pytest.raises(BrokerError, match="only loopback may be used without TLS"):
        EmbeddedBroker(find_engine(BrokerKind.MOSQUITTO), tmp_path, host)


def test_nats_is_refused_with_tls_in_a_sentence(tmp_path: Path) -> None:
    tls = TlsFiles(Path("c.pem"), Path("k.pem"), Path("ca.pem"))
    with pytest.raises(BrokerError, match="needs Mosquitto"):
        EmbeddedBroker(find_engine(BrokerKind.NATS), tmp_path, "0.0.0.0", tls=tls).start()


def test_a_broker_that_cannot_start_says_why(broker: EmbeddedBroker, tmp_path: Path) -> None:
    taken = broker.gateway_access.port
    second = EmbeddedBroker(find_engine(BrokerKind.MOSQUITTO), tmp_path / "second", ports=Ports(taken, 0))
    with pytest.raises(BrokerError, match="in use"):
        second.start()


def test_a_missing_program_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cloud.broker.engines._SYSTEM_FOLDERS", ())
    with pytest.raises(BrokerError, match="program mosquitto not found"):
        find_engine(BrokerKind.MOSQUITTO, search_path=str(tmp_path))


def test_auto_prefers_mosquitto_and_falls_back_to_nats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_engine(BrokerKind.AUTO).kind is BrokerKind.MOSQUITTO
    monkeypatch.setattr("cloud.broker.engines._SYSTEM_FOLDERS", ())
    assert find_engine(BrokerKind.AUTO, search_path=str(tmp_path)).kind is BrokerKind.NATS


def test_a_child_whose_program_vanished_is_tried_again(tmp_path: Path) -> None:
    child = Child([str(tmp_path / "nothing")], tmp_path / "pid", "reloaded")
    child.start()
    try:
        wait_until(lambda: child.restarts >= 2)
        assert "No such file" in child.last_lines()
    finally:
        child.stop()
    assert child.state == "stopped"
