"""Who a request is from when a proxy passes it on: the last address in X-Forwarded-For that no trusted proxy has.

Each proxy appends the address that it was reached from, so what is right of that entry was written by trusted proxies,
and what is left of it is the browser's own claim, which nobody believes. From a peer that is not trusted the header is
not read at all.
"""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


class ForwardedClient:
    """ASGI middleware: what is behind it finds the client's address where it finds the peer's without a proxy."""

    def __init__(self, app: ASGIApp, trusted: Sequence[Network]) -> None:
        self._app = app
        self._trusted = tuple(trusted)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        peer = scope.get("client")
        if peer:
            forwarded = Headers(scope=scope).getlist("x-forwarded-for")
            address = client_address(peer[0], forwarded, self._trusted)
            if address != peer[0]:
                scope = {**scope, "client": (address, 0)}
        await self._app(scope, receive, send)


def client_address(peer: str, forwarded: Sequence[str], trusted: Sequence[Network]) -> str:
    """The client's address; the nearest hop that is known, where the header is missing or cannot be read.

    Args:
        peer: who opened the connection.
        forwarded: the X-Forwarded-For headers in their order.
    """
    hop = _read(peer)
    if hop is None or not _is_trusted(hop, trusted):
        return peer
    for entry in reversed(",".join(forwarded).split(",")):
        earlier = _read(entry)
        if earlier is None:
            break
        hop = earlier
        if not _is_trusted(hop, trusted):
            break
    return str(hop)


def _is_trusted(address: Address, trusted: Sequence[Network]) -> bool:
    return any(address in network for network in trusted)


def _read(text: str) -> Address | None:
    """An address, perhaps with a port, as some proxies write it: `10.0.0.7:4711`, `[fd00::7]:4711`."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
