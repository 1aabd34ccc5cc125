"""Which gateway an HTTP request is from (`protocols.http_auth`)."""

from collections.abc import Callable
from datetime import datetime

from cloud.gateways.keys import GatewayKeys
from protocols import http_auth
from protocols.base import ProtocolError


class NotAGateway(Exception):
    """The request carries no valid proof of a gateway; the text may be shown to the client."""


class GatewayIdentity:
    """Checks the `Authorization` header of a gateway's request."""

    def __init__(self, keys: GatewayKeys, now: Callable[[], datetime]) -> None:
        self._keys = keys
        self._now = now

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
