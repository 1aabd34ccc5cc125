"""Which broker a configuration asks for."""

import hashlib
from pathlib import Path
from urllib.parse import urlsplit

from cloud.broker import (
    Broker,
    BrokerError,
    BrokerKind,
    DynamicSecurityBroker,
    EmbeddedBroker,
    GatewayAccess,
    HubAccess,
    Ports,
    TlsFiles,
    UnmanagedBroker,
    find_engine,
)
from cloud.broker.engines import Engine
from cloud.config import BrokerSection, HubConfig

_DEFAULT_PORTS = {"mqtt": 1883, "mqtts": 8883}


def make_broker(config: HubConfig) -> Broker:
    """The broker, not started.

    Raises:
        BrokerError: if its program or one of its files is missing.
    """
    section = config.broker
    if section.url is not None:
        return _external(section, section.url)
    engine = _engine(config)
    tls = TlsFiles(section.tls.certificate, section.tls.key, section.tls.ca) if section.tls else None
    for file in (tls.certificate, tls.key, tls.ca) if tls else ():
        _read(file)
    return EmbeddedBroker(
        engine,
        config.state_dir / "broker",
        section.host,
        Ports(section.port, section.hub_port),
        tls,
        section.advertised_host,
        section.advertised_port,
    )


def describe_broker(config: HubConfig) -> str:
    """What `make_broker` would make, in a line; nothing is made or written.

    Raises:
        BrokerError: if a program or file is missing.
    """
    section = config.broker
    if section.url is not None:
        _external(section, section.url)
        return (
            f"{section.url}, users {'managed by the hub' if section.managed != 'no' else 'made by its administrator'}"
        )
    return f"{_engine(config).kind}, started by the hub, at {section.host}:{section.port or 'any free port'}"


def _engine(config: HubConfig) -> Engine:
    """The broker to start, which can do what the configuration asks of it."""
    engine = find_engine(config.broker.kind)
    if engine.kind is BrokerKind.NATS and config.ingest.is_shared:
        raise BrokerError("several ingest workers need shared subscriptions, which nats-server has not: use Mosquitto")
    if engine.kind is BrokerKind.NATS and config.broker.protocol == "5":
        raise BrokerError(
            '[broker] protocol = "5": Mosquitto is not installed, and nats-server speaks MQTT 3.1.1 alone; '
            "install Mosquitto, or leave protocol out"
        )
    return engine


def _external(section: BrokerSection, url: str) -> Broker:
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or _DEFAULT_PORTS[parts.scheme]
    password = _read(section.password_file).strip() if section.password_file else ""
    suffix = hashlib.sha256(f"client id|{password}".encode()).hexdigest()[:24]
    hub = HubAccess(host, port, section.username, password, suffix, section.ca_file)
    gateways = GatewayAccess(
        section.advertised_host or host,
        section.advertised_port or port,
        _read(section.ca_file) if section.ca_file else None,
    )
    return (
        DynamicSecurityBroker(hub, gateways)
        if section.managed == "dynamic-security"
        else UnmanagedBroker(hub, gateways)
    )


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BrokerError(f"the broker's file {path} cannot be read: {error}") from error
