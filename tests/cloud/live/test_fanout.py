"""A page that reads too slowly costs a bounded queue and is told to read again."""

import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest

from cloud.accounts.scope import WHOLE, Scope
from cloud.live.fanout import QUEUE_MESSAGES, Fanout, TooManyPages


def on_a_loop(test: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    def run() -> None:
        asyncio.run(test())  # type: ignore[arg-type]  # tests are coroutines

    run.__name__ = test.__name__
    run.__doc__ = test.__doc__
    return run


@on_a_loop
async def test_messages_are_numbered_for_each_page() -> None:
    fanout = Fanout()
    early = fanout.join("a")
    fanout.send({WHOLE: '"kind":"beat"'})
    later = fanout.join("b")
    fanout.send({WHOLE: '"kind":"beat"'})
    assert [json.loads(early.queue.get_nowait() or "")["n"] for _ in range(2)] == [1, 2]
    assert json.loads(later.queue.get_nowait() or "") == {"n": 1, "kind": "beat"}


@on_a_loop
async def test_a_full_queue_becomes_one_order_to_read_again_and_the_numbers_show_the_gap() -> None:
    fanout = Fanout()
    slow, fast = fanout.join("slow"), fanout.join("fast")
    for _ in range(QUEUE_MESSAGES + 1):
        fanout.send({WHOLE: '"kind":"beat"'})
        fast.queue.get_nowait()
    assert slow.queue.qsize() == 1
    assert json.loads(slow.queue.get_nowait() or "") == {"n": QUEUE_MESSAGES + 1, "kind": "reread"}
    assert (slow.rereads, fast.rereads) == (1, 0)


@on_a_loop
async def test_a_page_is_told_what_is_for_its_scope_and_nothing_else() -> None:
    fanout = Fanout()
    whole, nothing = fanout.join("a"), fanout.join("b", Scope(nothing=True))
    fanout.send({WHOLE: '"kind":"beat"'})
    assert (whole.queue.qsize(), nothing.queue.qsize(), nothing.number) == (1, 0, 0)
    assert fanout.scopes == {WHOLE, Scope(nothing=True)}


@on_a_loop
async def test_a_session_that_ended_receives_nothing_more() -> None:
    fanout = Fanout()
    gone, stays = fanout.join("gone"), fanout.join("stays")
    fanout.send({WHOLE: '"kind":"beat"'})
    fanout.end_session("gone")
    assert gone.queue.get_nowait() is None
    assert stays.queue.qsize() == 1


@on_a_loop
async def test_the_number_of_pages_is_bounded() -> None:
    fanout = Fanout(max_subscribers=1)
    first = fanout.join("a")
    with pytest.raises(TooManyPages):
        fanout.join("b")
    fanout.leave(first)
    fanout.join("b")
