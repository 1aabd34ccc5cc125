"""What the hub's WebSockets have in common: what ends one, and how it is closed.

A socket's parts run side by side. The first to end says with which code it is closed, or None: the peer left.
"""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import WebSocket, WebSocketDisconnect
from starlette.concurrency import run_in_threadpool

from cloud.accounts import Scope, SignedIn

SEND_TIMEOUT_S = 10.0
"""A peer that does not take a message for so long is cut off."""
CHECK_S = 2.0
"""So often it is looked whether a page's session still lives."""

CLOSE_TALKATIVE = CLOSE_MALFORMED = 1008
CLOSE_LOG_IN = 4401
CLOSE_SLOW = 4408
CLOSE_FULL = 4429


async def first_of(*parts: Coroutine[Any, Any, int | None]) -> int | None:
    """Run a socket's parts until one ends; the code to close with, None if the peer left."""
    tasks = [asyncio.ensure_future(part) for part in parts]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return next(iter(done)).result()


async def close(socket: WebSocket, code: int | None) -> None:
    """Close it unless the peer left. One that leaves this very moment is no fault; one that hangs is not waited for."""
    if code is None:
        return
    with contextlib.suppress(RuntimeError, WebSocketDisconnect, TimeoutError):
        async with asyncio.timeout(SEND_TIMEOUT_S):
            await socket.close(code)


async def until_it_talks(socket: WebSocket) -> int | None:
    """A page only listens: whatever it says ends it."""
    message = await socket.receive()
    return None if message["type"] == "websocket.disconnect" else CLOSE_TALKATIVE


async def until_logged_out(session: str, scope: Scope, find: Callable[[str], SignedIn | None]) -> int:
    """A page's session is looked up again and again, so that who was logged out receives nothing more.

    Nor does a page whose account is bound to another part of the hub now: it logs in anew, and is told of that.

    Args:
        find: the account of a session's hash, if it still lives. May block.
    """
    while True:
        await asyncio.sleep(CHECK_S)
        found = await run_in_threadpool(find, session)
        if found is None or found.scope != scope:
            return CLOSE_LOG_IN
