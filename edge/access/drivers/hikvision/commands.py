"""Commands for a terminal's doors: a bounded queue, one after the other, and none that comes late."""

import asyncio
import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from edge.access.drivers.hikvision.client import DeviceFault, Refused, TerminalClient
from edge.access.drivers.hikvision.translate import Translator
from edge.access.drivers.interface import Deliver, OutputDone
from edge.clock import Clock
from edge.counters import Counters
from protocols import isapi

REMOTE_CONTROL = "/ISAPI/AccessControl/RemoteControl/door"
MAX_ORDERS = 64
"""Commands that wait for one device; a further one is refused."""

ORDER_S = 5.0
"""A door command that is not done by then is not done at all: nobody stands there any more."""


@dataclass(frozen=True)
class _Order:
    """A command for a door."""

    reader: str
    for_s: float | None
    ticket: int
    asked_s: float


class Commander:
    """Carries commands out within the event loop; `offer` is safe from any thread.

    Args:
        doors: the door of each reader.
        why_locked: the reason not to send anything at present, or None: each wrong password counts at the device.
    """

    def __init__(
        self,
        client: TerminalClient,
        doors: Mapping[str, int],
        translator: Translator,
        clock: Clock,
        why_locked: Callable[[], str | None],
        deliver: Deliver,
        counters: Counters,
    ) -> None:
        self._client, self._doors, self._translator, self._clock = client, doors, translator, clock
        self._why_locked, self._deliver, self._counters = why_locked, deliver, counters
        self._orders: asyncio.Queue[_Order] = asyncio.Queue()
        self._lock = threading.Lock()
        self._waiting = 0
        self._left_open: set[str] = set()

    def offer(self, reader: str, for_s: float | None, ticket: int, call: Callable[[Callable[[], None]], bool]) -> bool:
        """Hand a command over; False when that cannot be done.

        Args:
            call: has the loop do something; False when it has ended.
        """
        with self._lock:
            if self._waiting >= MAX_ORDERS:
                self._counters.add("orders_dropped")
                return False
            self._waiting += 1
        order = _Order(reader, for_s, ticket, self._clock.monotonic_s())
        if call(lambda: self._orders.put_nowait(order)):
            return True
        self._finished()
        return False

    async def run(self) -> None:
        """Carry out whatever comes. Never ends by itself."""
        while True:
            order = await self._orders.get()
            try:
                self._deliver(await self._carry_out(order))
            finally:
                self._finished()

    def _finished(self) -> None:
        with self._lock:
            self._waiting -= 1

    async def close_doors(self) -> None:
        """Take doors that were left open under control again.

        Raises:
            DeviceFault, Refused: if the device does not do it.
        """
        for reader in list(self._left_open):
            await self._command(reader, None)

    async def _carry_out(self, order: _Order) -> OutputDone:
        left_s = order.asked_s + ORDER_S - self._clock.monotonic_s()
        if left_s <= 0:
            return OutputDone(order.ticket, False, f"the device did not take it within {ORDER_S:.0f} s", None)
        locked = self._why_locked()
        if locked is not None:
            return OutputDone(order.ticket, False, locked, None)
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
            self._translator.commanded(self._doors[reader], self._clock.monotonic_s())
        if command == "alwaysOpen":
            self._left_open.add(reader)  # before: an answer may be lost, and the door stand open
        await self._client.command("PUT", f"{REMOTE_CONTROL}/{self._doors[reader]}", isapi.remote_control(command))
        if command == "close":
            self._left_open.discard(reader)
