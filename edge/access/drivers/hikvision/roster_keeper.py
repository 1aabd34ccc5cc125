"""Keeps a terminal's own list the roster, in the background, whenever the terminal answers."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import datetime

from edge.access.drivers.hikvision import roster as rosters
from edge.access.drivers.hikvision.client import DeviceFault, TerminalClient
from edge.access.drivers.hikvision.state_writer import StateWriter
from edge.access.drivers.hikvision.sync import Overtaken, Sync, count_users, take_over
from edge.access.drivers.hikvision.timing import Timing
from edge.access.drivers.interface import DriverContext, Roster
from edge.counters import Counters
from protocols.access_events import ReaderOfflineReason

_log = logging.getLogger(__name__)


class RosterKeeper:
    """The list of one device, for use within one event loop.

    Args:
        doors: the door of each reader.
        device: the serial number of the device that answers, once it is known.
        online: set while it answers.
    """

    def __init__(
        self,
        name: str,
        client: TerminalClient,
        doors: Mapping[str, int],
        writer: StateWriter,
        context: DriverContext,
        timing: Timing,
        device: Callable[[], str | None],
        online: asyncio.Event,
        counters: Counters,
    ) -> None:
        self._name, self._client, self._doors, self._writer = name, client, doors, writer
        self._context, self._timing, self._device, self._online = context, timing, device, online
        self._counters = counters
        self._file = context.state_dir / "roster.json"
        self._roster: Roster | None = None
        self._changed = asyncio.Event()

    def set(self, roster: Roster) -> None:
        """The list is to be this one; the newest counts."""
        self._roster = roster
        self._changed.set()

    def look_again(self) -> None:
        """The device may have been reset: compare its list anew."""
        if self._roster is not None:
            self._changed.set()

    async def run(self) -> None:
        """Write whatever roster comes. Never ends by itself."""
        held: rosters.Held | None = None
        while True:
            await self._changed.wait()
            await self._online.wait()
            self._changed.clear()
            roster, device = self._roster, self._device()
            if roster is None or device is None:
                continue
            retry_s: float | None = self._timing.search_retry_s
            try:
                held = await self._known_list(held, device)
                retry_s = await self._write_roster(roster, held)
            except Overtaken:
                continue
            except DeviceFault as fault:
                self._counters.add("failed_syncs")
                if fault.reason is ReaderOfflineReason.UNAUTHORISED:
                    retry_s = self._timing.locked_retry_s
                _log.info("%s: its list cannot be written now: %s", self._name, fault)
            if retry_s is not None:
                asyncio.get_running_loop().call_later(retry_s, self._changed.set)

    async def _known_list(self, held: rosters.Held | None, device: str) -> rosters.Held:
        """What the device holds: as it was left, unless it holds fewer users than that."""
        if held is None or held.device != device:
            held = await asyncio.to_thread(rosters.load, self._file, device)
        count = await count_users(self._client)
        if held is not None and (count is None or count >= held.sure_users):
            return held
        self._counters.add("lists_taken_over")
        return await take_over(self._client, device)

    async def _write_roster(self, roster: Roster, held: rosters.Held) -> float | None:
        """Make the device's list the roster; returns when to look again, if ever."""
        now = datetime.fromtimestamp(self._context.clock.wall_s(), self._context.zone)
        wanted = await asyncio.to_thread(rosters.compile_roster, roster, self._doors, self._context.zone, now)
        sync = Sync(
            self._client,
            held,
            save=lambda: self._writer.put(self._file, held.content()),
            flush=lambda: asyncio.to_thread(self._writer.flush),
            is_overtaken=lambda: self._roster is not roster,
        )
        await sync.run(wanted)
        self._counters.add("refused_entries", sync.failed)
        if sync.failed:
            return self._timing.roster_retry_s
        if wanted.changes_at is None:
            return None
        return max(1.0, (wanted.changes_at - now).total_seconds())
