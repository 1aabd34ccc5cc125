"""Which gateway an HTTP request is from (`protocols.http_auth`)."""

from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from protocols import http_auth
from protocols.base import ProtocolError
from protocols.sealing import MacKey


class NotAGateway(Exception):
    """The request carries no valid proof of a gateway; the text may be shown to the client."""


class KeyFinder(Protocol):
    """Whose key a gateway's is: `cloud.gateways.keys.GatewayKeys`."""

    def key(self, gateway_id: str) -> MacKey | None:
        """The key of an enrolled gateway that is not revoked."""
        ...


class GatewayIdentity:
    """Checks the `Authorization` header of a gateway's request."""

    def __init__(self, keys: KeyFinder, now: Callable[[], datetime]) -> None:
        self._keys = keys
        self._now = now

    def is_known(self, gateway: str) -> bool:
        """Whether a gateway is still enrolled and not revoked."""
        return self._keys.key(gateway) is not None

    def prove(self, header: str | None, method: str, path: str, body: bytes = b"") -> str:
        """The gateway's name.

        Raises:
            NotAGateway: if the header is missing, its gateway unknown or revoked, or its code or time does not fit.
        """
        try:
            gateway = http_auth.claimed_gateway(header or "")
            key = self._keys.key(gateway)
            if key is None:
                raise NotAGateway("this gateway is unknown or was revoked")
            http_auth.check(header or "", key.secret, method, path, body, self._now().timestamp())
        except ProtocolError as error:
            raise NotAGateway(str(error)) from error
        return gateway
