"""The gateway's side of one Hikvision terminal: one thread with an event loop, which owns everything here.

While the terminal answers, four things go on beside each other: events come in (`_session`), the terminal's log is
searched for those that did not (`_keep_up`), doors are commanded (`_commander`), and the terminal's own list is made
the roster (`_roster_keeper`). Each recovers by itself; none can end the others.
"""

import asyncio
import logging
import math
import random
import secrets
import socket
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

from edge.access.config import ConfigFault, KeyFileFault, Reader
from edge.access.drivers.hikvision import ledger as ledgers
from edge.access.drivers.hikvision import roster as rosters
from edge.access.drivers.hikvision.client import DeviceFault, Refused, TerminalClient
from edge.access.drivers.hikvision.config import EventMode, HikvisionTerminal
from edge.access.drivers.hikvision.listening import EventServer
from edge.access.drivers.hikvision.state_writer import StateWriter
from edge.access.drivers.hikvision.sync import Overtaken, Sync, count_users, take_over
from edge.access.drivers.hikvision.translate import Translator
from edge.access.drivers.interface import (
    Deliver,
    Driver,
    DriverContext,
    DriverEvent,
    Feedback,
    OutputDone,
    OutputsForgotten,
    ReaderDown,
    ReaderUp,
    Roster,
)
from edge.access.priority import prefer_this_thread
from edge.access.secret_files import read_secret
from edge.backoff import Backoff
from protocols import isapi
from protocols.access_events import ReaderOfflineReason
from protocols.base import ProtocolError
from protocols.isapi import AccessEvent
from protocols.multipart import MultipartReader, Part, boundary_of

ALERT_STREAM = "/ISAPI/Event/notification/alertStream"
HTTP_HOSTS = "/ISAPI/Event/notification/httpHosts"
ACS_EVENT = "/ISAPI/AccessControl/AcsEvent?format=json"
WORK_STATUS = "/ISAPI/AccessControl/AcsWorkStatus?format=json"
DEVICE_INFO = "/ISAPI/System/deviceInfo"
REMOTE_CONTROL = "/ISAPI/AccessControl/RemoteControl/door"

MAX_ORDERS = 64
ORDER_S = 5.0
"""A door command that is not done by then is not done at all: nobody stands there any more."""

MAX_SEARCH_PAGES = 20_000
STOP_S = 2.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Timing:
    """Waits, in seconds."""

    retry_s: float = 0.5
    longest_retry_s: float = 30.0
    locked_retry_s: float = 60.0
    """After a refused password. A device locks an address out after some five wrong ones, for half an hour."""
    longest_locked_retry_s: float = 900.0
    steady_s: float = 30.0
    """A connection that held for so long begins the back-off anew."""
    gap_s: float = 1.0
    """How long a missing number may still come by itself before the log is searched for it."""
    search_retry_s: float = 30.0
    roster_retry_s: float = 300.0
    """When the device is asked again to take what it refused."""


@dataclass(frozen=True)
class _Order:
    """A command for a door."""

    reader: str
    for_s: float | None
    ticket: int
    asked_s: float


class HikvisionDriver:
    """One terminal.

    Args:
        readers: those of the device; each one's channel is its door.
        jitter: a number in [0, 1) for each call.
    """

    def __init__(
        self,
        device: HikvisionTerminal,
        readers: tuple[Reader, ...],
        password: str,
        context: DriverContext,
        timing: Timing | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._device, self._context, self._timing = device, context, timing or Timing()
        self._client = TerminalClient(device, password)
        self._doors = {reader.id: reader.channel for reader in readers}
        by_door = {reader.channel: reader.id for reader in readers}
        self._translator = Translator(by_door, {reader.id: reader.card_format for reader in readers}, context.zone)
        self._ledger: ledgers.Ledger | None = None
        self._ledger_file = context.state_dir / "log.json"
        self._roster_file = context.state_dir / "roster.json"
        self._writer = StateWriter(f"hikvision-{device.id}-state")
        self._backoff = Backoff(self._timing.retry_s, self._timing.longest_retry_s, jitter)
        self._locked_backoff = Backoff(self._timing.locked_retry_s, self._timing.longest_locked_retry_s, jitter)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name=f"hikvision-{device.id}")
        self._stopping, self._online, self._gap = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._orders: asyncio.Queue[_Order] = asyncio.Queue()
        self._order_lock = threading.Lock()
        self._orders_waiting = 0
        self._down: tuple[ReaderOfflineReason, str] | None = None
        self._left_open: set[str] = set()
        self._roster: Roster | None = None
        self._roster_changed = asyncio.Event()
        self.counts: Counter[str] = Counter()
        """What went wrong or was left out, by name."""

    @property
    def name(self) -> str:
        return self._device.id

    def start(self, deliver: Deliver) -> None:
        """Begin, in a thread of its own."""
        self._deliver = deliver
        self._writer.start()
        self._thread.start()

    def stop(self) -> None:
        """Take doors that were left open under control again, and end."""
        self._call(self._stopping.set)
        self._thread.join()
        self._writer.close()

    def set_output(self, reader: str, output: int, for_s: float | None, ticket: int) -> bool:
        """As in `interface.Driver`. A finite time opens for as long as the device itself is set to."""
        if output != 0 or reader not in self._doors:
            return False
        with self._order_lock:
            if self._orders_waiting >= MAX_ORDERS:
                self.counts["orders_dropped"] += 1
                return False
            self._orders_waiting += 1
        order = _Order(reader, for_s, ticket, self._context.clock.monotonic_s())
        if self._call(lambda: self._orders.put_nowait(order)):
            return True
        self._order_finished()
        return False

    def feedback(self, reader: str, feedback: Feedback) -> None:
        """The terminal shows its own verdicts; there is nothing to add."""

    def set_roster(self, roster: Roster) -> None:
        """As in `interface.RosterDriver`."""

        def take() -> None:
            self._roster = roster
            self._roster_changed.set()

        self._call(take)

    def _call(self, work: Callable[[], None]) -> bool:
        """Have the loop do something; False when it has ended."""
        try:
            self._loop.call_soon_threadsafe(work)
        except RuntimeError:
            return False
        return True

    def _order_finished(self) -> None:
        with self._order_lock:
            self._orders_waiting -= 1

    def _run(self) -> None:
        prefer_this_thread()
        try:
            self._loop.run_until_complete(self._main())
        finally:
            self._loop.run_until_complete(self._loop.shutdown_default_executor())
            self._loop.close()

    async def _main(self) -> None:
        works = (self._connection, self._commander, self._roster_keeper)
        tasks = [asyncio.create_task(self._guarded(work)) for work in works]
        await self._stopping.wait()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=STOP_S)
        try:
            async with asyncio.timeout(STOP_S):
                await self._close_doors()
        except (TimeoutError, DeviceFault, Refused):
            self.counts["left_open_at_stop"] += 1
        await self._client.close()

    async def _guarded(self, work: Callable[[], Awaitable[None]]) -> None:
        """Run something that never ends by itself; a fault in it is told and it begins again."""
        while True:
            try:
                await work()
            except Exception:  # noqa: BLE001 - a fault with one device must not end its driver
                self.counts["faults"] += 1
                _log.exception("%s: %s failed", self.name, getattr(work, "__name__", "a task"))
            await asyncio.sleep(self._timing.retry_s)

    # The connection

    async def _connection(self) -> None:
        session = self._listening_session if self._device.mode is EventMode.LISTENING else self._stream_session
        while True:
            began_s = self._loop.time()
            try:
                await session()
            except DeviceFault as fault:
                self._say_down(fault.reason, fault.detail)
            except Refused as refused:
                why = f"the device does not offer its events: {refused}; check the user's rights and the firmware"
                self._say_down(ReaderOfflineReason.UNKNOWN_DEVICE, why)
            except Exception as error:
                self._say_down(ReaderOfflineReason.WORKER, f"the driver failed: {type(error).__name__}")
                raise
            await self._wait_after_failure(self._loop.time() - began_s)

    async def _wait_after_failure(self, held_s: float) -> None:
        if self._down is not None and self._down[0] is ReaderOfflineReason.UNAUTHORISED:
            await asyncio.sleep(self._locked_backoff.next_s())
            return
        self._locked_backoff.reset()
        if held_s > self._timing.steady_s:
            self._backoff.reset()
        await asyncio.sleep(self._backoff.next_s())

    async def _identify(self) -> None:
        """Ask the device who it is, and open its ledger."""
        try:
            serial = isapi.parse_device_serial(await self._client.get(DEVICE_INFO))
        except ProtocolError as error:
            why = f"what answers at {self._device.host} does not say which device it is: {error}"
            raise DeviceFault(ReaderOfflineReason.UNKNOWN_DEVICE, why) from error
        if self._ledger is None or self._ledger.device != serial:
            now = datetime.fromtimestamp(self._context.clock.wall_s(), self._context.zone)
            self._ledger = ledgers.load(self._ledger_file, serial, now)
            self._save_ledger()

    async def _stream_session(self) -> None:
        await self._identify()
        silent_s = self._device.silent_after_s
        try:
            async with asyncio.timeout(silent_s) as deadline, self._client.stream(ALERT_STREAM, silent_s) as response:
                multipart = MultipartReader(
                    boundary_of(response.headers.get("content-type", "")), isapi.is_message, isapi.MAX_MESSAGE_BYTES
                )
                keeping_up = asyncio.create_task(self._keep_up_with_stream())
                try:
                    self._say_up()
                    async for piece in response.aiter_raw():
                        for part in multipart.receive(piece):
                            deadline.reschedule(self._loop.time() + silent_s)
                            if isinstance(part, Part):
                                self._take_message(part.body)
                        if multipart.ended:
                            break
                finally:
                    keeping_up.cancel()
        except TimeoutError:
            why = f"the device's event stream was silent for {silent_s:.0f} s"
            raise DeviceFault(ReaderOfflineReason.NO_ANSWER, why) from None
        except ProtocolError as error:
            why = f"the device's event stream cannot be read: {error}"
            raise DeviceFault(ReaderOfflineReason.NO_ANSWER, why) from error
        raise DeviceFault(ReaderOfflineReason.NO_ANSWER, "the device ended its event stream")

    async def _listening_session(self) -> None:
        path = f"/isapi/{secrets.token_hex(16)}"
        server = EventServer(path, self._take_message)
        server.counts = self.counts
        address, port = self._device.listen_address or "", self._device.listen_port
        try:
            port = await server.start(address, port)
        except OSError as error:
            why = (
                f"the gateway cannot listen at {address}:{port}: {error.strerror}; change listen_address or listen_port"
            )
            raise DeviceFault(ReaderOfflineReason.PORT, why) from error
        try:
            server.allow(await self._addresses())
            await self._identify()
            slot = self._device.host_slot
            host = isapi.http_host(slot, path, self._device.announced, port)
            await self._client.command("PUT", f"{HTTP_HOSTS}/{slot}", host)
            self._say_up()
            await self._begin_keeping_up()
            while True:
                await self._wait_for_gap(self._device.silent_after_s)
                await self._identify()
                await self._catch_up(live=True)
        finally:
            await server.close()

    async def _addresses(self) -> frozenset[str]:
        try:
            found = await self._loop.getaddrinfo(self._device.host, None, type=socket.SOCK_STREAM)
        except OSError as error:
            why = f"{self._device.host} is not known: {error.strerror}"
            raise DeviceFault(ReaderOfflineReason.NO_ANSWER, why) from error
        return frozenset(str(address[0]) for *_, address in found)

    def _say_up(self) -> None:
        self._down = None
        self._locked_backoff.reset()
        self._translator.forget_inputs()
        for reader in self._doors:
            self._deliver(ReaderUp(reader, secure_channel=self._device.https))
            self._deliver(OutputsForgotten(reader))
        self._online.set()
        if self._roster is not None:
            self._roster_changed.set()  # it may have been reset meanwhile

    def _say_down(self, reason: ReaderOfflineReason, detail: str) -> None:
        self._online.clear()
        if self._down == (reason, detail):
            return
        self._down = reason, detail
        for reader in self._doors:
            self._deliver(ReaderDown(reader, reason, detail))

    # Events

    def _take_message(self, body: bytes) -> None:
        """Take one message off the stream or a push."""
        try:
            event = isapi.parse_notification(body)
        except ProtocolError as error:
            self.counts["unreadable_messages"] += 1
            _log.debug("%s: %s", self.name, error)
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
            self.counts["repeated_events"] += 1
            if live:
                self._gap.set()  # or its log was begun anew: the search finds out
            return
        for told in self._translator.translate(event, self._context.clock.monotonic_s(), live):
            self._deliver(told)
        ledger.take(event, at)
        self._save_ledger()

    def _save_ledger(self) -> None:
        if self._ledger is not None:
            self._writer.put(self._ledger_file, ledgers.content(self._ledger))

    async def _keep_up_with_stream(self) -> None:
        """Search the log after the stream was opened, and whenever a number is missing. The stream alone tells whether
        the device is there."""
        begun = False
        while True:
            try:
                if not begun:
                    await self._begin_keeping_up()
                    begun = True
                await self._wait_for_gap(None)
                await self._catch_up(live=True)
            except DeviceFault as fault:
                self.counts["failed_searches"] += 1
                _log.info("%s: the log cannot be searched: %s", self.name, fault)
                await asyncio.sleep(self._timing.search_retry_s)
            except Exception:  # noqa: BLE001 - live events go on without the search
                self.counts["faults"] += 1
                _log.exception("%s: the search failed", self.name)
                await asyncio.sleep(self._timing.search_retry_s)

    async def _wait_for_gap(self, at_most_s: float | None) -> None:
        try:
            async with asyncio.timeout(at_most_s):
                await self._gap.wait()
        except TimeoutError:
            return
        await asyncio.sleep(self._timing.gap_s)
        self._gap.clear()

    async def _begin_keeping_up(self) -> None:
        """Learn how the doors stand, then what happened while the device was not heard."""
        told: list[DriverEvent] = []
        try:
            told = self._translator.status(isapi.parse_work_status(await self._client.get(WORK_STATUS)))
        except (Refused, ProtocolError):
            self.counts["no_work_status"] += 1
        for event in told:
            self._deliver(event)
        await self._catch_up(live=False)
        for event in self._translator.inputs_of_log():
            self._deliver(event)

    async def _catch_up(self, live: bool) -> None:
        """Bring what the log has and nobody has told."""
        ledger = self._ledger
        if ledger is None:
            return
        self._gap.clear()
        try:
            if not await self._take_from_log(ledger, live) and await self._is_begun_anew(ledger):
                _log.warning("%s: the device's log was begun anew", self.name)
                self.counts["logs_begun_anew"] += 1
                ledger.begin_anew()
                await self._take_from_log(ledger, live)
        except (Refused, ProtocolError) as error:
            # such a firmware has no log to ask: what it did not tell is lost, and nothing is missing to us
            self.counts["failed_searches"] += 1
            _log.info("%s: the log cannot be searched: %s", self.name, error)
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
        """The log's entries from a number and a time on, page by page."""
        search_id, position = secrets.token_hex(8), 0
        for _ in range(MAX_SEARCH_PAGES):
            body = isapi.search_events(search_id, position, first, since)
            page = isapi.parse_search(await self._client.send("POST", ACS_EVENT, body))
            self.counts["unreadable_entries"] += page.unreadable
            yield page.events
            position += page.returned
            if not page.more or not page.returned:
                return

    # Commands

    async def _commander(self) -> None:
        while True:
            order = await self._orders.get()
            try:
                self._deliver(await self._carry_out(order))
            finally:
                self._order_finished()

    async def _carry_out(self, order: _Order) -> OutputDone:
        clock = self._context.clock
        left_s = order.asked_s + ORDER_S - clock.monotonic_s()
        if left_s <= 0:
            return OutputDone(order.ticket, False, f"the device did not take it within {ORDER_S:.0f} s", None)
        if self._down is not None and self._down[0] is ReaderOfflineReason.UNAUTHORISED:
            return OutputDone(order.ticket, False, self._down[1], None)  # each wrong password counts at the device
        submitted_ns = time.monotonic_ns()
        try:
            async with asyncio.timeout(left_s):
                await self._command(order.reader, order.for_s)
        except TimeoutError:
            return OutputDone(order.ticket, False, f"the device did not take it within {ORDER_S:.0f} s", submitted_ns)
        except DeviceFault as fault:
            return OutputDone(order.ticket, False, fault.detail, submitted_ns)
        except Refused as refused:
            return OutputDone(order.ticket, False, f"the device refuses the command: {refused}", submitted_ns)
        return OutputDone(order.ticket, True, "", submitted_ns)

    async def _command(self, reader: str, for_s: float | None) -> None:
        if for_s is None:
            command = "close"
        else:
            command = "alwaysOpen" if math.isinf(for_s) else "open"
            self._translator.commanded(self._doors[reader], self._context.clock.monotonic_s())
        if command == "alwaysOpen":
            self._left_open.add(reader)  # before: an answer may be lost, and the door stand open
        await self._client.command("PUT", f"{REMOTE_CONTROL}/{self._doors[reader]}", isapi.remote_control(command))
        if command == "close":
            self._left_open.discard(reader)

    async def _close_doors(self) -> None:
        for reader in list(self._left_open):
            await self._command(reader, None)

    # The roster

    async def _roster_keeper(self) -> None:
        held: rosters.Held | None = None
        while True:
            await self._roster_changed.wait()
            await self._online.wait()
            self._roster_changed.clear()
            roster, ledger = self._roster, self._ledger
            if roster is None or ledger is None:
                continue
            retry_s: float | None = self._timing.search_retry_s
            try:
                held = await self._known_list(held, ledger.device)
                retry_s = await self._write_roster(roster, held)
            except Overtaken:
                continue
            except DeviceFault as fault:
                self.counts["failed_syncs"] += 1
                if fault.reason is ReaderOfflineReason.UNAUTHORISED:
                    retry_s = self._timing.locked_retry_s
                _log.info("%s: its list cannot be written now: %s", self.name, fault)
            if retry_s is not None:
                self._loop.call_later(retry_s, self._roster_changed.set)

    async def _known_list(self, held: rosters.Held | None, device: str) -> rosters.Held:
        """What the device holds: as it was left, unless it holds fewer users than that."""
        if held is None or held.device != device:
            held = await asyncio.to_thread(rosters.load, self._roster_file, device)
        count = await count_users(self._client)
        if held is not None and (count is None or count >= len(held.users)):
            return held
        self.counts["lists_taken_over"] += 1
        return await take_over(self._client, device)

    async def _write_roster(self, roster: Roster, held: rosters.Held) -> float | None:
        """Make the device's list the roster; returns when to look again, if ever."""
        now = datetime.fromtimestamp(self._context.clock.wall_s(), self._context.zone)
        wanted = await asyncio.to_thread(rosters.compile_roster, roster, self._doors, self._context.zone, now)
        sync = Sync(
            self._client,
            held,
            save=lambda: self._writer.put(self._roster_file, held.content()),
            is_overtaken=lambda: self._roster is not roster,
        )
        await sync.run(wanted)
        self.counts["refused_entries"] += sync.failed
        if sync.failed:
            return self._timing.roster_retry_s
        if wanted.changes_at is None:
            return None
        return max(1.0, (wanted.changes_at - now).total_seconds())


def make(device: HikvisionTerminal, readers: tuple[Reader, ...], context: DriverContext) -> Driver:
    """The driver of one device.

    Raises:
        KeyFileFault: if its password or certificate cannot be read.
    """
    key, path = "password_file", device.password_file
    try:
        password = read_secret(device.password_file)
        if device.ca_file is not None:
            key, path = "ca_file", device.ca_file
        return HikvisionDriver(device, readers, password, context)
    except (OSError, ValueError) as error:
        cause = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
        raise KeyFileFault((ConfigFault(f"device.{device.id}.{key}", f"{path}: {cause}"),)) from error
