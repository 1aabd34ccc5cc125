"""The WebSocket of an open page: the hub talks, the page listens. A page that sends anything is cut off.

Session and Origin are checked before the hand-shake is accepted, as HTTP middleware does not see WebSockets; the
session again every few seconds, so that an account that was disabled stops receiving.
"""

import asyncio
from collections.abc import Callable

from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from starlette.concurrency import run_in_threadpool

from cloud.accounts import SignedIn
from cloud.live.fanout import Fanout, Subscriber, TooManyPages
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

BEAT_S = 1.5
"""A page that hears nothing for three beats shows that the link is lost."""


def live_router(
    fanout: Fanout, sign_in: Callable[[WebSocket], SignedIn | None], find: Callable[[str], SignedIn | None]
) -> APIRouter:
    """The route `/api/v1/live`.

    Args:
        fanout: the open pages.
        sign_in: who a hand-shake is from; None if its Origin or its session is not in order. May block.
        find: the account of a session's hash, if it still lives. May block.
    """
    router = APIRouter()

    @router.websocket("/api/v1/live")
    async def live(socket: WebSocket) -> None:
        signed_in = await run_in_threadpool(sign_in, socket)
        if signed_in is None:
            await socket.close(CLOSE_LOG_IN)  # before `accept`: answered as 403
            return
        await socket.accept()
        try:
            # What is new was received now: pages that differ in how far back they may read are told the same.
            subscriber = fanout.join(signed_in.session, signed_in.scope.with_purpose())
        except TooManyPages:
            await close(socket, CLOSE_FULL)
            return
        try:
            code = await first_of(
                _send(socket, subscriber),
                until_it_talks(socket),
                until_logged_out(subscriber.session, signed_in.scope, find),
            )
        finally:
            fanout.leave(subscriber)
        await close(socket, code)

    return router


async def _send(socket: WebSocket, subscriber: Subscriber) -> int | None:
    """Send what is queued, and a beat when nothing is; returns the code to close with, None if the page left."""
    subscriber.offer('"kind":"hello"')
    while True:
        try:
            async with asyncio.timeout(BEAT_S):  # not `wait_for`: before Python 3.12 it can swallow a cancellation
                message = await subscriber.queue.get()
        except TimeoutError:
            subscriber.offer('"kind":"beat"')
            continue
        if message is None:
            return CLOSE_LOG_IN
        try:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await socket.send_text(message)
        except TimeoutError:
            return CLOSE_SLOW
        except (WebSocketDisconnect, RuntimeError):
            return None
