"""The WebSocket of an open page: the hub talks, the page listens. A page that sends anything is cut off.

Session and Origin are checked before the hand-shake is accepted, as HTTP middleware does not see WebSockets; the
session again every `CHECK_S`, so that an account that was disabled stops receiving.
"""

import asyncio
import contextlib
from collections.abc import Callable

from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from starlette.concurrency import run_in_threadpool

from cloud.accounts import Scope, SignedIn
from cloud.live.fanout import Fanout, Subscriber, TooManyPages

BEAT_S = 1.5
"""A page that hears nothing for three beats shows that the link is lost."""
CHECK_S = 2.0
SEND_TIMEOUT_S = 10.0

CLOSE_LOG_IN = 4401
CLOSE_SLOW = 4408
CLOSE_FULL = 4429
CLOSE_TALKATIVE = 1008


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
            subscriber = fanout.join(signed_in.session, signed_in.scope)
        except TooManyPages:
            await socket.close(CLOSE_FULL)
            return
        try:
            await _serve(socket, subscriber, find)
        finally:
            fanout.leave(subscriber)

    return router


async def _serve(socket: WebSocket, subscriber: Subscriber, find: Callable[[str], SignedIn | None]) -> None:
    tasks = {
        asyncio.create_task(_send(socket, subscriber)),
        asyncio.create_task(_listen(socket)),
        asyncio.create_task(_check(subscriber.session, subscriber.scope, find)),
    }
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    code = next(iter(done)).result()
    if code is not None:
        with contextlib.suppress(RuntimeError, WebSocketDisconnect, TimeoutError):  # the page left in this very moment
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await socket.close(code)


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


async def _listen(socket: WebSocket) -> int | None:
    message = await socket.receive()
    return None if message["type"] == "websocket.disconnect" else CLOSE_TALKATIVE


async def _check(session: str, scope: Scope, find: Callable[[str], SignedIn | None]) -> int:
    while True:
        await asyncio.sleep(CHECK_S)
        found = await run_in_threadpool(find, session)
        if found is None or found.scope != scope:  # its place was moved: the page is told of another part now
            return CLOSE_LOG_IN
