"""Live video and pictures for who is logged in: `/api/v1/cameras/{gateway}/{camera}/live` and `.../snapshot`.

On the WebSocket the hub talks and the page listens: text says what comes (`started`, `waiting`, `ended`), binary frames
are the gateway's own (`protocols.live`). Session and Origin are checked before the hand-shake is accepted. Who watched
which camera, and for how long, is in the audit; what cannot be audited is not shown.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Annotated
from uuid import uuid4

from fastapi import APIRouter, Depends, WebSocket, WebSocketDisconnect
from fastapi.responses import JSONResponse, Response
from starlette.concurrency import run_in_threadpool

from cloud.access.routes import DeviceName, GatewayName
from cloud.accounts import Permission, SignedIn
from cloud.audit import AuditLog
from cloud.audit.log import AuditError
from cloud.console.guard import Guard
from cloud.database.engine import Database
from cloud.sockets import (
    CLOSE_FULL,
    CLOSE_LOG_IN,
    CLOSE_SLOW,
    SEND_TIMEOUT_S,
    close,
    first_of,
    until_it_talks,
    until_logged_out,
)
from cloud.video.reach import is_shown
from cloud.video.relay import Refused, Relay, TooManyViewers
from cloud.video.streams import Ending, Key, Viewer
from protocols.live import LiveCode, Quality

CLOSE_ENDED = 4410
CLOSE_FAILED = 1011
_STATUS = {LiveCode.UNKNOWN_CAMERA: 404, LiveCode.SWITCHED_OFF: 409, LiveCode.RATE_LIMITED: 429}
_JPEG = b"\xff\xd8\xff"


@dataclass(frozen=True)
class Looking:
    """Who may look, and where it is written down that they did.

    Args:
        find: the account of a session's hash, if it still lives. May block.
    """

    guard: Guard
    find: Callable[[str], SignedIn | None]
    audit: AuditLog
    database: Database

    def shows(self, gateway: str, camera: str, who: SignedIn) -> bool:
        """Whether a camera is within the account's scope. Blocks."""
        return is_shown(self.database, gateway, camera, who.scope)


def video_view_router(relay: Relay, looking: Looking) -> APIRouter:
    """The routes; each asks who may look, and shows the cameras within the account's scope."""
    may_look = looking.guard.may(Permission.LOOK)
    hand_shake = looking.guard.hand_shake(Permission.LOOK)
    router = APIRouter(prefix="/api/v1/cameras/{gateway}/{camera}")

    @router.websocket("/live")
    async def live(socket: WebSocket, gateway: GatewayName, camera: DeviceName, stream: Quality = Quality.SUB) -> None:
        signed_in = await run_in_threadpool(hand_shake, socket)
        if signed_in is None or not await run_in_threadpool(looking.shows, gateway, camera, signed_in):
            await socket.close(CLOSE_LOG_IN)  # before `accept`: answered as 403
            return
        viewer = Viewer(signed_in.session, uuid4().hex, signed_in.scope)
        detail: dict[str, str | int] = {
            "gateway": gateway,
            "camera": camera,
            "stream": stream.value,
            "ticket": viewer.ticket,
        }
        try:
            await run_in_threadpool(looking.audit.append, "camera.live", signed_in.account_id, detail)
        except AuditError:
            await socket.close(CLOSE_FAILED)
            return
        began_s = monotonic()
        try:
            await _watch(socket, relay, Key(gateway, camera, stream), viewer, looking)
        finally:
            lasted = {**detail, "seconds": round(monotonic() - began_s), "cuts": viewer.cuts}
            await asyncio.shield(
                run_in_threadpool(looking.audit.append, "camera.live.end", signed_in.account_id, lasted)
            )

    @router.get("/snapshot", response_class=Response)
    async def snapshot(
        gateway: GatewayName,
        camera: DeviceName,
        signed_in: Annotated[SignedIn, Depends(may_look)],
    ) -> Response:
        if not await run_in_threadpool(looking.shows, gateway, camera, signed_in):
            return _refused(Refused(LiveCode.UNKNOWN_CAMERA, "there is no such camera"))
        ticket = uuid4().hex
        detail = {"gateway": gateway, "camera": camera, "ticket": ticket}
        await run_in_threadpool(looking.audit.append, "camera.snapshot", signed_in.account_id, detail)
        try:
            picture = await relay.still(gateway, camera, ticket)
        except Refused as refusal:
            return _refused(refusal)
        if not picture.startswith(_JPEG):
            return _refused(Refused(LiveCode.NO_PICTURE, "what the gateway sent is no JPEG"))
        return Response(picture, media_type="image/jpeg", headers={"Cache-Control": "no-store"})

    return router


def _refused(refusal: Refused) -> JSONResponse:
    content = {"detail": refusal.reason, "code": refusal.code.value}
    return JSONResponse(content, _STATUS.get(refusal.code, 503))


async def _watch(socket: WebSocket, relay: Relay, key: Key, viewer: Viewer, looking: Looking) -> None:
    await socket.accept()
    try:
        stream = relay.join(key, viewer)
    except TooManyViewers:
        await close(socket, CLOSE_FULL)
        return
    try:
        code = await first_of(
            _send(socket, viewer), until_it_talks(socket), until_logged_out(viewer.session, viewer.scope, looking.find)
        )
    finally:
        relay.leave(stream, viewer)
    await close(socket, code)


async def _send(socket: WebSocket, viewer: Viewer) -> int | None:
    """Send what is queued; returns the code to close with, None if the page left."""
    while True:
        message = viewer.take()
        if message is None:
            await viewer.news.wait()
            continue
        try:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                if isinstance(message, bytes):
                    await socket.send_bytes(message)
                else:
                    await socket.send_text(message.text if isinstance(message, Ending) else message)
        except TimeoutError:
            return CLOSE_SLOW
        except (WebSocketDisconnect, RuntimeError):
            return None
        if isinstance(message, Ending):
            return CLOSE_ENDED
