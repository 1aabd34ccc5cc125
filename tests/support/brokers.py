"""Real brokers for tests: Mosquitto and nats-server, configured as the hub configures them, on free loopback ports.

Each can be killed -9 and started again on the same ports and files. Passwords and rights per gateway are the hub's own
(`cloud.broker.engines`), so a test that gets through would get through in production.
"""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from cloud.broker.engines import BrokerKind, Plan, Ports, TlsFiles, find_engine
from protocols.enrolment import BrokerAccess
from tests.support.ports import free_port

BROKER_KINDS = ("mosquitto", "nats")
HUB_PASSWORD = "hub-password-for-tests-0123456789"
_START_DEADLINE_S = 30.0


def gateway_password(gateway: str) -> str:
    return f"password-of-{gateway}-for-tests"


class RunningBroker:
    """A broker process. `gateways` are user names; `access` and `hub_address` say how to enter."""

    def __init__(self, kind: str, folder: Path, gateways: tuple[str, ...], tls: TlsFiles | None = None) -> None:
        self.kind, self._tls = kind, tls
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = folder
        self._engine = find_engine(BrokerKind(kind))
        self._ports = Ports(free_port(), free_port())
        self._process: subprocess.Popen[bytes] | None = None
        self.set_gateways({name: gateway_password(name) for name in gateways})
        self.start()

    @property
    def hub_address(self) -> tuple[str, int]:
        ports = self._ports
        return "127.0.0.1", ports.inner if self._engine.hub_has_own_listener else ports.gateways

    def access(self, gateway: str) -> BrokerAccess:
        return BrokerAccess(
            host="127.0.0.1",
            port=self._ports.gateways,
            username=gateway,
            password=gateway_password(gateway),
            ca_pem=self._tls.ca.read_text() if self._tls else None,
        )

    def set_gateways(self, gateways: Mapping[str, str]) -> None:
        """Write who may enter; a running broker takes it up at once and cuts those who may no longer."""
        self._plan = Plan(self._folder, "127.0.0.1", self._ports, self._tls, HUB_PASSWORD, dict(gateways))
        for name, text in self._engine.files(self._plan).items():
            path = self._folder / name
            path.touch(mode=0o600)
            path.write_text(text)
        if self._process is not None:
            self._process.send_signal(signal.SIGHUP)

    def start(self) -> None:
        """Start it and wait until it answers."""
        log = (self._folder / "broker.log").open("ab")
        self._process = subprocess.Popen(self._engine.command(self._plan), stdout=log, stderr=log)
        log.close()
        deadline = time.monotonic() + _START_DEADLINE_S
        while not self._answers():
            text = (self._folder / "broker.log").read_text(errors="replace")[-2000:]
            assert self._process.poll() is None, f"{self.kind} ended at once: {text}"
            assert time.monotonic() < deadline, f"{self.kind} does not listen: {text}"
            time.sleep(0.02)

    def _answers(self) -> bool:
        try:
            for port in (self._ports.gateways, self._ports.inner):
                socket.create_connection(("127.0.0.1", port), 0.5).close()
        except OSError:
            return False
        return True

    def kill9(self) -> None:
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGKILL)
        self._process.wait(30)

    def restart(self) -> None:
        """Stop it if it runs, and start it again on the same ports."""
        self.stop()
        self.start()

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self.kill9()


def make_tls(folder: Path) -> TlsFiles:
    """A certificate for 127.0.0.1 that vouches for itself, valid for a day."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gatehouse test")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder.mkdir(parents=True, exist_ok=True)
    files = TlsFiles(folder / "server.crt", folder / "server.key", folder / "server.crt")
    files.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    files.key.write_bytes(key.private_bytes(pem, pkcs8, serialization.NoEncryption()))
    return files
