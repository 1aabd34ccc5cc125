"""What the rest of the hub knows of a broker: where it is, who may enter, and whether it runs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

HUB_USER = "hub"
MqttProtocol = Literal["3.1.1", "5"]


class BrokerError(Exception):
    """The broker cannot be configured, started or managed; the text says which, why and what helps."""


@dataclass(frozen=True)
class HubAccess:
    """How the hub's own clients enter. `repr` never shows the password."""

    host: str
    port: int
    username: str
    password: str = field(repr=False)
    client_suffix: str = field(default="", repr=False)
    """Ends every client id of the hub where a gateway that guessed an id could take the connection over."""
    ca_file: Path | None = None
    """Set when this connection speaks TLS."""


@dataclass(frozen=True)
class GatewayAccess:
    """Where gateways are told to connect."""

    host: str
    port: int
    ca_pem: str | None = None


@dataclass(frozen=True)
class BrokerStatus:
    """What `/healthz` and the console show."""

    kind: str
    state: str
    restarts: int
    gateways: int


class Broker(Protocol):
    """A broker under the hub's management. Every method may be called from any thread."""

    @property
    def hub_access(self) -> HubAccess: ...

    @property
    def gateway_access(self) -> GatewayAccess: ...

    def start(self) -> None:
        """Be ready for the hub's clients; gateways come in with `set_gateways`, once the hub has subscribed."""

    def stop(self) -> None: ...

    def set_gateways(self, passwords: Mapping[str, str]) -> None:
        """Let in exactly these gateways; one that is missing, or whose password changed, is cut off at once."""

    def add_gateway(self, gateway: str, password: str) -> None: ...

    def remove_gateway(self, gateway: str) -> None: ...

    def reconnected(self) -> None:
        """The hub's connection was lost and is back: what was set may be lost too."""

    def status(self) -> BrokerStatus: ...
