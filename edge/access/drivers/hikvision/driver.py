"""The gateway's side of one Hikvision terminal: one thread with an event loop, which owns everything here.

While the terminal answers, five things go on beside each other: events come in (`_connection`), the terminal's log is
searched for those that did not (`EventFollower`), doors are commanded (`Commander`), the terminal's own list is made
the roster (`RosterKeeper`), and its doors' times those of the site file (`PulseKeeper`). Each recovers by itself; none
can end the others.
"""

import asyncio
import logging
import random
import secrets
import socket
import threading
from collections.abc import Awaitable, Callable

from edge.access.config import ConfigFault, KeyFileFault, Reader
from edge.access.drivers.hikvision.client import DeviceFault, Refused, TerminalClient
from edge.access.drivers.hikvision.commands import Commander
from edge.access.drivers.hikvision.config import EventMode, HikvisionTerminal
from edge.access.drivers.hikvision.events import EventFollower
from edge.access.drivers.hikvision.listening import EventServer
from edge.access.drivers.hikvision.pulses import PulseKeeper
from edge.access.drivers.hikvision.roster_keeper import RosterKeeper
from edge.access.drivers.hikvision.state_writer import StateWriter
from edge.access.drivers.hikvision.timing import Timing
from edge.access.drivers.hikvision.translate import Translator
from edge.access.drivers.interface import (
    Deliver,
    Driver,
    DriverContext,
    DriverEvent,
    DriverReport,
    Feedback,
    OutputsForgotten,
    ReaderDown,
    ReaderUp,
    Roster,
)
from edge.access.priority import prefer_this_thread
from edge.access.secret_files import read_secret
from edge.backoff import Backoff
from edge.counters import Counters
from protocols import isapi
from protocols.access_events import ReaderOfflineReason
from protocols.base import ProtocolError
from protocols.multipart import MultipartReader, Part, boundary_of

ALERT_STREAM = "/ISAPI/Event/notification/alertStream"
HTTP_HOSTS = "/ISAPI/Event/notification/httpHosts"
DEVICE_INFO = "/ISAPI/System/deviceInfo"
STOP_S = 2.0

_log = logging.getLogger(__name__)


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
        self._writer = StateWriter(f"hikvision-{device.id}-state")
        self._backoff = Backoff(self._timing.retry_s, self._timing.longest_retry_s, jitter)
        self._locked_backoff = Backoff(self._timing.locked_retry_s, self._timing.longest_locked_retry_s, jitter)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name=f"hikvision-{device.id}")
        self._stopping, self._online = asyncio.Event(), asyncio.Event()
        self._down: tuple[ReaderOfflineReason, str] | None = None
        self.counters = Counters()
        """What went wrong or was left out, by name."""
        self._follower = EventFollower(
            device.id, self._client, self._translator, self._writer, context, self._timing, self._tell, self.counters
        )
        self._commander = Commander(
            self._client, self._doors, self._translator, context.clock, self._why_locked, self._tell, self.counters
        )
        self._keeper = RosterKeeper(
            device.id,
            self._client,
            self._doors,
            self._writer,
            context,
            self._timing,
            lambda: self._follower.device,
            self._online,
            self.counters,
        )
        pulses_s = {self._doors[reader]: for_s for reader, for_s in context.pulses_s.items() if reader in self._doors}
        self._pulses = PulseKeeper(device.id, self._client, pulses_s, self._timing, self._online, self.counters)

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
        return self._commander.offer(reader, for_s, ticket, self._call)

    def feedback(self, reader: str, feedback: Feedback) -> None:
        """The terminal shows its own verdicts; there is nothing to add."""

    def report(self) -> DriverReport:
        """As in `interface.ReportingDriver`."""
        own = {"unknown_entries": self._translator.unknown, "state_not_written": self._writer.faults}
        return DriverReport({**self.counters.snapshot(), **own}, self._pulses.complaints)

    def set_roster(self, roster: Roster) -> None:
        """As in `interface.RosterDriver`."""
        self._call(lambda: self._keeper.set(roster))

    def _call(self, work: Callable[[], None]) -> bool:
        """Have the loop do something; False when it has ended."""
        try:
            self._loop.call_soon_threadsafe(work)
        except RuntimeError:
            return False
        return True

    def _tell(self, event: DriverEvent) -> None:
        self._deliver(event)

    def _why_locked(self) -> str | None:
        if self._down is None or self._down[0] is not ReaderOfflineReason.UNAUTHORISED:
            return None
        return self._down[1]

    def _run(self) -> None:
        prefer_this_thread()
        try:
            self._loop.run_until_complete(self._main())
        finally:
            self._loop.run_until_complete(self._loop.shutdown_default_executor())
            self._loop.close()

    async def _main(self) -> None:
        works = (self._connection, self._commander.run, self._keeper.run, self._pulses.run)
        tasks = [asyncio.create_task(self._guarded(work)) for work in works]
        await self._stopping.wait()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=STOP_S)
        try:
            async with asyncio.timeout(STOP_S):
                await self._commander.close_doors()
        except (TimeoutError, DeviceFault, Refused):
            self.counters.add("left_open_at_stop")
        await self._client.close()

    async def _guarded(self, work: Callable[[], Awaitable[None]]) -> None:
        """Run something that never ends by itself; a fault in it is told and it begins again."""
        while True:
            try:
                await work()
            except Exception:  # noqa: BLE001 - a fault with one device must not end its driver
                self.counters.add("faults")
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
        """Ask the device who it is, and follow its log."""
        try:
            serial = isapi.parse_device_serial(await self._client.get(DEVICE_INFO))
        except ProtocolError as error:
            why = f"what answers at {self._device.host} does not say which device it is: {error}"
            raise DeviceFault(ReaderOfflineReason.UNKNOWN_DEVICE, why) from error
        self._follower.open(serial)

    async def _stream_session(self) -> None:
        await self._identify()
        silent_s = self._device.silent_after_s
        try:
            async with asyncio.timeout(silent_s) as deadline, self._client.stream(ALERT_STREAM, silent_s) as response:
                multipart = MultipartReader(
                    boundary_of(response.headers.get("content-type", "")), isapi.is_message, isapi.MAX_MESSAGE_BYTES
                )
                keeping_up = asyncio.create_task(self._follower.keep_up())
                try:
                    self._say_up()
                    async for piece in response.aiter_raw():
                        for part in multipart.receive(piece):
                            deadline.reschedule(self._loop.time() + silent_s)
                            if isinstance(part, Part):
                                self._follower.take_message(part.body)
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
        server = EventServer(path, self._follower.take_message)
        server.counters = self.counters
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
            await self._follower.begin()
            while True:
                await self._follower.wait_for_gap(self._device.silent_after_s)
                await self._identify()
                await self._follower.catch_up(live=True)
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
        self._keeper.look_again()
        self._pulses.look_again()

    def _say_down(self, reason: ReaderOfflineReason, detail: str) -> None:
        self._online.clear()
        if self._down == (reason, detail):
            return
        self._down = reason, detail
        for reader in self._doors:
            self._deliver(ReaderDown(reader, reason, detail))


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
