"""The hub's configuration: a TOML file, environment variables over it, and an error that names each key and its line.

Environment variables are `GATEHOUSE_HUB_` and the key in capitals, sections joined by two underscores:
`GATEHOUSE_HUB_DATABASE`, `GATEHOUSE_HUB_HTTP__PORT`, `GATEHOUSE_HUB_BROKER__URL`. Lists are written in TOML.
"""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from cloud.app_settings import AppSettings
from cloud.broker.access import MqttProtocol
from cloud.broker.embedded import is_loopback
from cloud.broker.engines import BrokerKind
from cloud.register.organisation import DEFAULT_GRID_CODE

ENVIRONMENT_PREFIX = "GATEHOUSE_HUB_"
Port = Annotated[int, Field(ge=0, le=65535)]


class ConfigurationError(ValueError):
    """What is wrong with a configuration: one line for each fault."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class HttpSection(_Section):
    """Where console and gateways reach the hub. Beyond loopback, put a proxy with HTTPS in front."""

    host: str = "127.0.0.1"
    port: Port = 8080


class TlsSection(_Section):
    """PEM files of the gateways' listener; gateways are told to trust `ca`."""

    certificate: Path
    key: Path
    ca: Path


class BrokerSection(_Section):
    """Without `url` the hub starts a broker of its own; with it, an administrator runs one."""

    kind: BrokerKind = BrokerKind.AUTO
    protocol: MqttProtocol = "3.1.1"
    """Of the hub's own connection. With 5, properties mirror what a command's payload holds; nothing needs them."""
    host: str = "127.0.0.1"
    port: Port = 1883
    """0 takes a free port once and keeps it."""
    hub_port: Port = 0
    """Mosquitto: the hub's own loopback listener. 0 as above."""
    advertised_host: str | None = None
    """The name by which gateways reach the broker, if it is not `host`."""
    advertised_port: Port | None = None
    tls: TlsSection | None = None
    url: str | None = None
    """`mqtt://host:port` on loopback, `mqtts://host:port` anywhere."""
    username: str = "hub"
    password_file: Path | None = None
    ca_file: Path | None = None
    managed: Literal["no", "dynamic-security"] = "no"
    """Whether the hub makes the gateways' users, by Mosquitto's dynamic-security plug-in."""

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if self.url is None:
            if self.protocol == "5" and self.kind is BrokerKind.NATS:
                raise ValueError(
                    "protocol 5: nats-server speaks MQTT 3.1.1 alone: leave protocol out, or use Mosquitto"
                )
            if self.managed != "no" or self.password_file or self.ca_file:
                raise ValueError("managed, password_file and ca_file belong to a broker given by url")
            if not self.tls and not is_loopback(self.host):
                raise ValueError(f"host {self.host} is open to a network: set [broker.tls] certificate, key and ca")
            if self.host in ("0.0.0.0", "::") and not self.advertised_host:
                raise ValueError(
                    f"host {self.host} is no address to reach: set advertised_host, which gateways are told"
                )
            return self
        parts = urlsplit(self.url)
        if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname or parts.path not in ("", "/") or parts.username:
            raise ValueError("url: write mqtts://host:port, without a user or a path")
        if parts.scheme == "mqtt" and not is_loopback(parts.hostname):
            raise ValueError(f"url: {parts.hostname} is beyond loopback: write mqtts:// and set ca_file")
        if parts.scheme == "mqtts" and self.ca_file is None:
            raise ValueError("url: mqtts needs ca_file, the certificate of the authority that signed the broker's")
        if self.password_file is None:
            raise ValueError("url: a broker of your own needs password_file, which holds the hub's password")
        return self


class IngestSection(_Section):
    """How many threads take events. More than one, or `shared`, needs a broker with shared subscriptions."""

    workers: Annotated[int, Field(ge=1, le=64)] = 1
    shared: bool = False
    """Set when further workers run as processes of their own: gatehouse hub worker --number N."""

    @property
    def is_shared(self) -> bool:
        return self.shared or self.workers > 1


class OrganisationSection(_Section):
    """What a city spells in its own way."""

    grid_code: str = DEFAULT_GRID_CODE
    """The pattern (Python's regular expressions) that codes of grids follow."""

    @field_validator("grid_code")
    @classmethod
    def _is_a_pattern(cls, value: str) -> str:
        try:
            re.compile(value)
        except re.error as error:
            raise ValueError(f"{value!r} is no regular expression ({error})") from error
        return value


class HubConfig(_Section):
    """Everything an operator sets."""

    state_dir: Path = Path("/var/lib/gatehouse")
    """Keys, the broker's files, pictures and, by default, the database; mode 700."""
    database: str | None = None
    """`postgresql://user@host/name` or `sqlite:////file`; by default `hub.db` in `state_dir`."""
    http: HttpSection = HttpSection()
    web: AppSettings = AppSettings()
    broker: BrokerSection = BrokerSection()
    ingest: IngestSection = IngestSection()
    organisation: OrganisationSection = OrganisationSection()

    @property
    def database_url(self) -> str:
        return self.database or f"sqlite:///{self.state_dir.absolute() / 'hub.db'}"


def load_config(path: Path | None, environment: Mapping[str, str]) -> HubConfig:
    """Read a configuration; without a file, the environment and the defaults alone.

    Raises:
        ConfigurationError: naming file, line and key of every fault.
    """
    text, values = "", {}
    if path is not None:
        try:
            text = path.read_text(encoding="utf-8")
            values = tomllib.loads(text)
        except OSError as error:
            raise ConfigurationError(f"{path}: {error.strerror}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"{path}: {error}") from error
    sources = _overlay(values, environment)
    try:
        return HubConfig.model_validate(values)
    except ValidationError as error:
        lines = _lines(text)
        faults = [_fault(path, lines, sources, fault["loc"], fault["msg"]) for fault in error.errors()]
        raise ConfigurationError("\n".join(faults)) from error


def _overlay(values: dict[str, Any], environment: Mapping[str, str]) -> dict[tuple[str, ...], str]:
    """Put the environment's values in; key -> the variable that it came from."""
    sources: dict[tuple[str, ...], str] = {}
    for variable, content in sorted(environment.items()):
        if not variable.startswith(ENVIRONMENT_PREFIX):
            continue
        keys = tuple(variable.removeprefix(ENVIRONMENT_PREFIX).lower().split("__"))
        table = values
        for key in keys[:-1]:
            inner = table.setdefault(key, {})
            if not isinstance(inner, dict):
                raise ConfigurationError(f"{variable}: {key} is no section")
            table = inner
        table[keys[-1]] = _literal(content)
        sources[keys] = variable
    return sources


def _literal(content: str) -> Any:
    """A list or table as TOML; anything else as it stands, for pydantic to read."""
    if content.startswith(("[", "{")):
        try:
            return tomllib.loads(f"value = {content}")["value"]
        except tomllib.TOMLDecodeError:
            return content
    return content


def _fault(
    path: Path | None,
    lines: Mapping[tuple[str, ...], int],
    sources: Mapping[tuple[str, ...], str],
    where: tuple[int | str, ...],
    message: str,
) -> str:
    keys = tuple(str(step) for step in where)
    text = f"{'.'.join(keys) or 'configuration'}: {message.removeprefix('Value error, ')}"
    for length in range(len(keys), 0, -1):
        if keys[:length] in sources:
            return f"{sources[keys[:length]]}: {text}"
        if keys[:length] in lines:
            return f"{path}:{lines[keys[:length]]}: {text}"
    return f"{path}: {text}" if path else text


_TABLE = re.compile(r"\s*\[\s*([\w.\-]+)\s*\]")
_KEY = re.compile(r"\s*([\w.\-]+)\s*=")


def _lines(text: str) -> dict[tuple[str, ...], int]:
    """Key -> line, counted from 1, of a file that holds plain tables and keys."""
    found: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), 1):
        if header := _TABLE.match(line):
            table = tuple(header[1].split("."))
            found[table] = number
        elif key := _KEY.match(line):
            found[(*table, *key[1].split("."))] = number
    return found
