"""Which gateway a request is from, as its header proves (`protocols.http_auth`)."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from protocols import http_auth
from protocols.base import ProtocolError
from protocols.sealing import MacKey


class KeyFinder(Protocol):
    """Whose key a gateway's is: `cloud.gateways.keys.GatewayKeys`."""

    def key(self, gateway_id: str) -> MacKey | None:
        """The key of an enrolled gateway that is not revoked."""
        ...


@dataclass(frozen=True)
class Senders:
    """Checks the proof of a request; `now` is the wall clock."""

    keys: KeyFinder
    now: Callable[[], datetime]

    def proven(self, header: str, method: str, path: str, body: bytes) -> str:
        """The gateway's id.

        Raises:
            ProtocolError: if the request is not proven to be from a gateway that is enrolled.
        """
        gateway = http_auth.claimed_gateway(header)
        key = self.keys.key(gateway)
        if key is None:
            raise ProtocolError("unknown or revoked gateway")
        http_auth.check(header, key.secret, method, path, body, self.now().timestamp())
        return gateway
