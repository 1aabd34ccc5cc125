"""What a terminal tells, from whichever side it comes: each entry of its log is delivered once.

Live entries are delivered at once. Where a number is missing, and after every connection, the log is searched.
"""

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator
from datetime import datetime

from edge.access.drivers.hikvision import ledger as ledgers
from edge.access.drivers.hikvision.client import DeviceFault, Refused, TerminalClient
from edge.access.drivers.hikvision.state_writer import StateWriter
from edge.access.drivers.hikvision.timing import Timing
from edge.access.drivers.hikvision.translate import Translator
from edge.access.drivers.interface import Deliver, DriverContext, DriverEvent
from edge.counters import Counters
from protocols import isapi
from protocols.base import ProtocolError
from protocols.isapi import AccessEvent

ACS_EVENT = "/ISAPI/AccessControl/AcsEvent?format=json"
WORK_STATUS = "/ISAPI/AccessControl/AcsWorkStatus?format=json"
MAX_SEARCH_PAGES = 20_000

_log = logging.getLogger(__name__)


class EventFollower:
    """The entries of one device's log, for use within one event loop.

    Args:
        counters: of what went wrong or was left out, by name.
    """

    def __init__(
        self,
        name: str,
        client: TerminalClient,
        translator: Translator,
        writer: StateWriter,
        context: DriverContext,
        timing: Timing,
        deliver: Deliver,
        counters: Counters,
    ) -> None:
        self._name, self._client, self._translator, self._writer = name, client, translator, writer
        self._context, self._timing, self._deliver, self._counters = context, timing, deliver, counters
        self._file = context.state_dir / "log.json"
        self._ledger: ledgers.Ledger | None = None
        self._gap = asyncio.Event()
        self._searches_by_number = True

    @property
    def device(self) -> str | None:
        """The serial number of the device whose log this is, once it is known."""
        return None if self._ledger is None else self._ledger.device

    def open(self, device: str) -> None:
        """Follow the log of the device with this serial number from where it was left."""
        if self.device == device:
            return
        now = datetime.fromtimestamp(self._context.clock.wall_s(), self._context.zone)
        self._ledger = ledgers.load(self._file, device, now)
        self._save_ledger()

    def take_message(self, body: bytes) -> None:
        """Take one message off the stream or a push."""
        try:
            event = isapi.parse_notification(body)
        except ProtocolError as error:
            self._counters.add("unreadable_messages")
            _log.debug("%s: %s", self._name, error)
            return
        if event is None:
            return
        self._take_event(event, live=event.current)
        if self._ledger is not None and self._ledger.has_gap:
            self._gap.set()

    def _take_event(self, event: AccessEvent, live: bool) -> None:
        ledger, at = self._ledger, self._translator.time_of(event)
        if ledger is None:
            return  # a push before we know whose log it is; the search will bring it
        if not ledger.is_new(event, at):
            self._counters.add("repeated_events")
            if live:
                self._gap.set()  # or its log was begun anew: the search finds out
            return
        for told in self._translator.translate(event, self._context.clock.monotonic_s(), live):
            self._deliver(told)
        ledger.take(event, at)
        self._save_ledger()

    def _save_ledger(self) -> None:
        if self._ledger is not None:
            self._writer.put(self._file, ledgers.content(self._ledger))

    async def keep_up(self) -> None:
        """Search the log after the stream was opened, and whenever a number is missing. The stream alone tells whether
        the device is there."""
        begun = False
        while True:
            try:
                if not begun:
                    await self.begin()
                    begun = True
                await self.wait_for_gap(None)
                await self.catch_up(live=True)
            except DeviceFault as fault:
                self._counters.add("failed_searches")
                _log.info("%s: the log cannot be searched: %s", self._name, fault)
                await asyncio.sleep(self._timing.search_retry_s)
            except Exception:  # noqa: BLE001 - live events go on without the search
                self._counters.add("faults")
                _log.exception("%s: the search failed", self._name)
                await asyncio.sleep(self._timing.search_retry_s)

    async def wait_for_gap(self, at_most_s: float | None) -> None:
        try:
            async with asyncio.timeout(at_most_s):
                await self._gap.wait()
        except TimeoutError:
            return
        await asyncio.sleep(self._timing.gap_s)
        self._gap.clear()

    async def begin(self) -> None:
        """Learn how the doors stand, then what happened while the device was not heard."""
        told: list[DriverEvent] = []
        try:
            told = self._translator.status(isapi.parse_work_status(await self._client.get(WORK_STATUS)))
        except (Refused, ProtocolError):
            self._counters.add("no_work_status")
        for event in told:
            self._deliver(event)
        await self.catch_up(live=False)
        for event in self._translator.inputs_of_log():
            self._deliver(event)

    async def catch_up(self, live: bool) -> None:
        """Bring what the log has and nobody has told."""
        ledger = self._ledger
        if ledger is None:
            return
        self._gap.clear()
        try:
            if not await self._take_from_log(ledger, live) and await self._is_begun_anew(ledger):
                _log.warning("%s: the device's log was begun anew", self._name)
                self._counters.add("logs_begun_anew")
                ledger.begin_anew()
                await self._take_from_log(ledger, live)
        except (Refused, ProtocolError) as error:
            # such a firmware has no log to ask: what it did not tell is lost, and nothing is missing to us
            self._counters.add("failed_searches")
            _log.info("%s: the log cannot be searched: %s", self._name, error)
            ledger.searched(max(ledger.above, default=0), None)
        self._save_ledger()

    async def _take_from_log(self, ledger: ledgers.Ledger, live: bool) -> bool:
        """Take what is new; returns whether the log goes on from where it was left."""
        first = ledger.mark
        newest, newest_at = -1, None
        async for events in self._search(first, ledger.search_from):
            for event in sorted(events, key=lambda each: each.serial or 0):
                self._take_event(event, live)
                if (event.serial or 0) > newest:
                    newest, newest_at = event.serial or 0, self._translator.time_of(event)
        if newest < first:
            return False
        ledger.searched(newest, newest_at)
        return True

    async def _is_begun_anew(self, ledger: ledgers.Ledger) -> bool:
        """Whether the log lost the entry at the mark and has later ones under lower numbers."""
        if not ledger.mark:
            return False
        anew = False
        async for events in self._search(0, ledger.search_from):
            for event in events:
                at = self._translator.time_of(event)
                if (event.serial or 0) >= ledger.mark:
                    return False
                anew = anew or (at is not None and at > ledger.at)
        return anew

    async def _search(self, first: int, since: datetime) -> AsyncIterator[tuple[AccessEvent, ...]]:
        """The log's entries from a number and a time on, page by page; from the time alone, where the firmware does not
        search by number."""
        search_id, position = secrets.token_hex(8), 0
        for _ in range(MAX_SEARCH_PAGES):
            by_number = first if self._searches_by_number else 0
            try:
                page = await self._page(isapi.search_events(search_id, position, by_number, since))
            except Refused:
                if not by_number or position:
                    raise
                self._searches_by_number = False
                continue
            self._counters.add("unreadable_entries", page.unreadable)
            yield page.events
            position += page.returned
            if not page.more or not page.returned:
                return

    async def _page(self, condition: bytes) -> isapi.SearchPage:
        return isapi.parse_search(await self._client.send("POST", ACS_EVENT, condition))
