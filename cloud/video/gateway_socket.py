"""`/api/v1/gateway/live`: the WebSocket that a gateway opens for live video; `protocols.live` says what is on it.

The gateway's proof is checked before the hand-shake is accepted, and every few seconds whether it was revoked.
"""

import asyncio
import logging
from collections.abc import Callable

from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from starlette.concurrency import run_in_threadpool

from cloud.gateways.identity import GatewayIdentity, NotAGateway
from cloud.sockets import CLOSE_MALFORMED, SEND_TIMEOUT_S, close, first_of
from cloud.video.relay import GatewayLink, Relay
from protocols.base import ProtocolError
from protocols.live import PATH, Hello, channel, read_report

HELLO_TIMEOUT_S = 10.0
CHECK_S = 5.0
CLOSE_REPLACED = 4409
CLOSE_REVOKED = 4403

Seal = Callable[[str, bytes], bytes]
_log = logging.getLogger(__name__)


def video_gateway_router(relay: Relay, identity: GatewayIdentity, seal: Seal) -> APIRouter:
    """The route.

    Args:
        seal: (channel, body) -> the body under the hub's signature.
    """
    router = APIRouter()

    @router.websocket(PATH)
    async def live(socket: WebSocket) -> None:
        try:
            gateway = await run_in_threadpool(identity.prove, socket.headers.get("authorization"), "GET", PATH)
        except NotAGateway:
            await socket.close(CLOSE_MALFORMED)  # before `accept`: answered as 403
            return
        await socket.accept()
        nonce = await _nonce(socket)
        if nonce is None:
            await close(socket, CLOSE_MALFORMED)
            return
        link = GatewayLink(gateway)
        relay.gateway_joined(link)
        _log.info("gateway %s is connected for video", gateway)
        try:
            code = await first_of(
                _give_orders(socket, link, channel(gateway, nonce), seal),
                _take(socket, link, relay),
                _check(gateway, identity),
            )
        finally:
            relay.gateway_left(link)
        await close(socket, code)

    return router


async def _nonce(socket: WebSocket) -> str | None:
    """What the gateway's hello says; None if something else comes, or nothing."""
    try:
        async with asyncio.timeout(HELLO_TIMEOUT_S):
            message = await socket.receive()
        report = read_report(message.get("text") or "")
    except (TimeoutError, ProtocolError):
        return None
    return report.nonce if isinstance(report, Hello) else None


async def _give_orders(socket: WebSocket, link: GatewayLink, topic: str, seal: Seal) -> int | None:
    number = 0
    while True:
        make = await link.orders.get()
        if make is None:
            return CLOSE_REPLACED
        number += 1
        sealed = seal(topic, make(number).model_dump_json().encode())
        try:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await socket.send_bytes(sealed)
        except (TimeoutError, WebSocketDisconnect, RuntimeError):
            return None


async def _take(socket: WebSocket, link: GatewayLink, relay: Relay) -> int | None:
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            return None
        try:
            data = message.get("bytes")
            if data is not None:
                relay.take_frame(link, data)
            else:
                relay.take_report(link, read_report(message.get("text") or ""))
        except ProtocolError as error:
            relay.counts["malformed"] += 1
            _log.warning("gateway %s, live video: %s", link.gateway, error)
            return CLOSE_MALFORMED


async def _check(gateway: str, identity: GatewayIdentity) -> int:
    while True:
        await asyncio.sleep(CHECK_S)
        if not await run_in_threadpool(identity.is_known, gateway):
            return CLOSE_REVOKED
