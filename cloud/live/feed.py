"""Watches the database and tells every open page: new events, changed doors and gateways, command outcomes.

Woken by the ingest workers after a commit (`wake`), else it looks every second. It rests after each look for at least
twice as long as the look took, so that a flood costs it a third of a core and no more.
"""

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Callable, Mapping, Set
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Gauge
from sqlalchemy.exc import SQLAlchemyError

from cloud.accounts.scope import WHOLE, Scope
from cloud.commands.service import CommandOutcome
from cloud.database.engine import Database
from cloud.live.board import Board, changed, read_board
from cloud.live.fanout import REREAD, Fanout
from cloud.live.rows import EventRow
from cloud.live.tail import EventTail, News
from protocols.commands import Action

POLL_S = 1.0
SWEEP_S = 10.0
_REST_S = 0.01
_log = logging.getLogger(__name__)


class LiveFeed:
    """Made by the hub's assembly and run by the application's lifespan. `wake`, `command_changed`, `alarms_changed`
    and `end_session` may be called from any thread, also before it runs and after it ended.

    Args:
        database: read only.
        now: the wall clock, UTC.
        registry: where its counters go.
    """

    def __init__(self, database: Database, now: Callable[[], datetime], registry: CollectorRegistry) -> None:
        self._database = database
        self._now = now
        self._loop: asyncio.AbstractEventLoop | None = None
        self._woken = asyncio.Event()
        self._boards: dict[Scope, Board] = {}
        self._board_read_s = 0.0
        self._is_watching = False
        self.fanout = Fanout()
        self._rows = Counter("gatehouse_live_rows", "Event rows told to the open pages", registry=registry)
        self._skipped = Counter("gatehouse_live_skipped_rows", "Rows beyond what a page can hold", registry=registry)
        self._failures = Counter("gatehouse_live_failures", "Looks at the database that failed", registry=registry)
        Gauge("gatehouse_live_pages", "Open console pages", registry=registry).set_function(lambda: len(self.fanout))

    @property
    def is_watching(self) -> bool:
        """Whether events that are stored from now on are told."""
        return self._is_watching

    def wake(self) -> None:
        """Events were stored: look now."""
        self._on_loop(self._woken.set)

    def command_changed(self, outcome: CommandOutcome) -> None:
        """A command reached another state: the listener of `cloud.commands.CommandService`. Pages show releases."""
        if outcome.action != Action.DOOR_RELEASE:
            return
        content = {
            "corr": str(outcome.corr),
            "gateway": outcome.gateway,
            "door": outcome.door,
            "state": outcome.state.value,
            "reason": outcome.reason,
            "code": outcome.code,
        }
        text = f'"kind":"command","command":{json.dumps(content)}'
        self._on_loop(lambda: self._send_command((outcome.gateway, outcome.door), text))

    def alarms_changed(self) -> None:
        """Something was done to an alarm: pages read the queue again. It is not said to which: not every page may
        know of it."""
        self._on_loop(lambda: self.fanout.send(dict.fromkeys(self.fanout.scopes, '"kind":"alarms"')))

    def end_session(self, session: str) -> None:
        """A session was logged out: close its pages."""
        self._on_loop(lambda: self.fanout.end_session(session))

    def _on_loop(self, call: Callable[[], None]) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(call)

    async def run(self) -> None:
        """Watch until cancelled. A database that fails is tried again every second and counted."""
        self._loop = asyncio.get_running_loop()
        tail: EventTail | None = None
        swept = 0.0
        while True:
            self._woken.clear()
            began = time.monotonic()
            try:
                if tail is None:
                    tail = await asyncio.to_thread(self._begin)
                sweep = began - swept >= SWEEP_S
                await self._look(tail, sweep)
                swept = began if sweep else swept
            except SQLAlchemyError as error:
                self._failures.inc()
                _log.warning("the live list cannot read the database: %s", type(error).__name__)
                await asyncio.sleep(POLL_S)
            await asyncio.sleep(max(_REST_S, 2 * (time.monotonic() - began)))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL_S):
                    await self._woken.wait()

    def _begin(self) -> EventTail:
        tail = EventTail(self._database, self._now)
        tail.prime()
        self._boards = {WHOLE: self._read_board(WHOLE)}
        self._is_watching = True
        return tail

    async def _look(self, tail: EventTail, sweep: bool) -> None:
        skipped = tail.skipped_rows
        fresh = await asyncio.to_thread(tail.look, sweep)
        self._skipped.inc(tail.skipped_rows - skipped)
        scopes = self.fanout.scopes | {WHOLE}
        has_news = bool(fresh.rows or fresh.clips)
        told = {scope: await asyncio.to_thread(tail.news, fresh, scope) for scope in scopes} if has_news else {}
        self._send_news(told, is_flood=fresh.is_flood)
        if fresh.rows and not self._is_board_due(told[WHOLE].rows, scopes):
            return
        boards = {scope: await asyncio.to_thread(self._read_board, scope) for scope in scopes}
        self._board_read_s = time.monotonic()
        self._send_boards(boards)

    def _is_board_due(self, rows: list[EventRow], scopes: Set[Scope]) -> bool:
        """Rows that moved no door are told without reading the boards again, but for once a second."""
        moved = any(row.type.startswith("door.") for row in rows)
        return moved or not scopes <= self._boards.keys() or time.monotonic() - self._board_read_s >= POLL_S

    def _send_news(self, told: Mapping[Scope, News], *, is_flood: bool) -> None:
        """A part of the hub may have had rows beyond a flood's window: its pages read again."""
        pushed_at = self._now()
        rows, clips = {}, {}
        for scope, news in told.items():
            if is_flood and not scope.is_whole:
                rows[scope] = REREAD
                continue
            if news.rows:
                texts = (row.model_copy(update={"pushed_at": pushed_at}).model_dump_json() for row in news.rows)
                rows[scope] = f'"kind":"events","rows":[{",".join(texts)}]'
            if news.clips:
                clips[scope] = f'"kind":"clips","clips":[{",".join(each.model_dump_json() for each in news.clips)}]'
        self._rows.inc(len(told[WHOLE].rows) if told else 0)
        self.fanout.send(rows)
        self.fanout.send(clips)

    def _send_boards(self, boards: dict[Scope, Board]) -> None:
        """What changed of each; all of it to the pages of a scope that had none yet."""
        differences = {scope: changed(self._boards.get(scope, Board()), board) for scope, board in boards.items()}
        self._boards = boards
        self.fanout.send(
            {
                scope: f'"kind":"board","board":{difference.model_dump_json()}'
                for scope, difference in differences.items()
                if difference.doors or difference.gateways
            }
        )

    def _send_command(self, door: tuple[str, str], text: str) -> None:
        """To the pages that have the door on their board, as it was read last."""
        have = [
            scope
            for scope, board in self._boards.items()
            if any((row.gateway, row.device) == door for row in board.doors)
        ]
        self.fanout.send(dict.fromkeys([WHOLE, *have], text))

    def _read_board(self, scope: Scope) -> Board:
        with self._database.read() as connection:
            return read_board(connection, scope)
