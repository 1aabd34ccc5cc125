"""The broker that the hub starts by itself: its files, its users and its supervised process."""

import hashlib
import ipaddress
import json
import socket
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from cloud.broker.access import HUB_USER, BrokerError, BrokerStatus, GatewayAccess, HubAccess
from cloud.broker.child import Child
from cloud.broker.engines import Engine, Plan, Ports, TlsFiles
from cloud.private_files import kept_password, private_folder, write_private

_START_S = 15.0
_RELOAD_S = 5.0
_LOOPBACK = "127.0.0.1"


class EmbeddedBroker:
    """A broker as a child process.

    Args:
        engine: Mosquitto or nats-server.
        folder: the broker's state, mode 700.
        host: the gateways' listener; beyond loopback only with `tls`.
        ports: 0 takes a free port once and keeps it for later starts.
        advertised_host, advertised_port: what gateways are told, if they reach the listener by another name.

    Raises:
        BrokerError: if the listener would be open to a network without TLS.
    """

    def __init__(
        self,
        engine: Engine,
        folder: Path,
        host: str = _LOOPBACK,
        ports: Ports = Ports(0, 0),  # noqa: B008 (frozen)
        tls: TlsFiles | None = None,
        advertised_host: str | None = None,
        advertised_port: int | None = None,
    ) -> None:
        if not tls and not is_loopback(host):
            raise BrokerError(
                f"broker listener {host}: only loopback may be used without TLS; "
                "set [broker.tls] certificate, key and ca"
            )
        self._engine = engine
        self._advertised_host, self._advertised_port = advertised_host, advertised_port
        self._lock = threading.Lock()
        private_folder(folder)
        self._plan = Plan(folder, host, _kept_ports(folder, ports), tls, kept_password(folder / "hub.password"), {})
        self._child: Child | None = None

    @property
    def hub_access(self) -> HubAccess:
        ports = self._plan.ports
        port = ports.inner if self._engine.hub_has_own_listener else ports.gateways
        password = self._plan.hub_password
        suffix = hashlib.sha256(f"client id|{password}".encode()).hexdigest()[:24]
        return HubAccess(_LOOPBACK, port, HUB_USER, password, suffix)

    @property
    def gateway_access(self) -> GatewayAccess:
        host = self._advertised_host or self._plan.host
        port = self._advertised_port or self._plan.ports.gateways
        return GatewayAccess(host, port, self._plan.tls.ca.read_text() if self._plan.tls else None)

    def start(self) -> None:
        """Start the broker with the hub as its only user.

        Raises:
            BrokerError: if it does not answer within 15 seconds; with the end of its output.
        """
        with self._lock:
            self._write()
            pid_file = self._plan.folder / "broker.pid"
            self._child = Child(self._engine.command(self._plan), pid_file, self._engine.reloaded_line)
            self._child.start()
            if not self._child.wait_until(self._answers, _START_S):
                self._child.stop()
                raise BrokerError(f"{self._engine.kind} does not start: {self._child.last_lines() or 'no output'}")

    def stop(self) -> None:
        with self._lock:
            if self._child:
                self._child.stop()
                self._child = None

    def set_gateways(self, passwords: Mapping[str, str]) -> None:
        """Let in exactly these gateways; takes effect before this returns.

        Raises:
            BrokerError: if the broker does not take its new users up.
        """
        with self._lock:
            if dict(passwords) == self._plan.gateways:
                return
            self._plan = replace(self._plan, gateways=dict(passwords))
            self._write()
            if self._child and not self._child.reload(_RELOAD_S):
                raise BrokerError(f"{self._engine.kind} did not reload its users within {_RELOAD_S:.0f} s")

    def add_gateway(self, gateway: str, password: str) -> None:
        self.set_gateways({**self._plan.gateways, gateway: password})

    def remove_gateway(self, gateway: str) -> None:
        self.set_gateways({name: word for name, word in self._plan.gateways.items() if name != gateway})

    def reconnected(self) -> None:
        """Nothing to make anew: the broker reads its files whenever it starts."""

    def status(self) -> BrokerStatus:
        child = self._child
        state, restarts = (child.state.value, child.restarts) if child else ("stopped", 0)
        return BrokerStatus(self._engine.kind, state, restarts, len(self._plan.gateways))

    def _write(self) -> None:
        for name, content in self._engine.files(self._plan).items():
            write_private(self._plan.folder / name, content)

    def _answers(self) -> bool:
        try:
            with socket.create_connection((_LOOPBACK, self.hub_access.port), 0.5):
                return True
        except OSError:
            return False


def is_loopback(host: str) -> bool:
    """Whether a listener at `host` is reachable from this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _kept_ports(folder: Path, wanted: Ports) -> Ports:
    """The wanted ports; a port of 0 is chosen once and kept, since gateways remember it."""
    file = folder / "ports.json"
    kept = Ports(**json.loads(file.read_text())) if file.exists() else Ports(0, 0)
    ports = Ports(
        wanted.gateways or kept.gateways or _free_port(),
        wanted.inner or kept.inner or _free_port(),
    )
    if ports != kept:
        write_private(file, json.dumps({"gateways": ports.gateways, "inner": ports.inner}))
    return ports


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port
