"""Keeps the time for which a terminal opens its doors what the site file says: ISAPI's `open` has no time of its own.

Looked at after every connection and now and then. What the device refuses is told in health, and asked again.
"""

import asyncio
import logging
import math
from collections.abc import Mapping

from edge.access.drivers.hikvision.client import DeviceFault, Refused, TerminalClient
from edge.access.drivers.hikvision.timing import Timing
from edge.counters import Counters
from protocols import isapi
from protocols.base import ProtocolError

DOOR_PARAM = "/ISAPI/AccessControl/Door/param"

_log = logging.getLogger(__name__)


class PulseKeeper:
    """The open durations of one device's doors, for use within one event loop; `complaints` from any thread.

    Args:
        pulses_s: by door, how long it is to be let go; a device knows whole seconds, so it is rounded up.
        online: set while the device answers.
    """

    def __init__(
        self,
        name: str,
        client: TerminalClient,
        pulses_s: Mapping[int, float],
        timing: Timing,
        online: asyncio.Event,
        counters: Counters,
    ) -> None:
        self._name, self._client, self._timing = name, client, timing
        self._online, self._counters = online, counters
        self._wanted = {door: min(max(math.ceil(for_s), 1), isapi.MAX_OPEN_S) for door, for_s in pulses_s.items()}
        self._too_long = {
            door: f"door {door} opens for {isapi.MAX_OPEN_S} s, the longest that the device knows, not {for_s:g} s"
            for door, for_s in pulses_s.items()
            if for_s > isapi.MAX_OPEN_S
        }
        self._changed = asyncio.Event()
        self.complaints: tuple[str, ...] = tuple(self._too_long.values())
        """What the doors' times are instead, and what a person can do: a sentence each."""

    def look_again(self) -> None:
        """The device is back, and may have been reset."""
        self._changed.set()

    async def run(self) -> None:
        """Look whenever it is due. Never ends by itself."""
        while True:
            await self._online.wait()
            self._changed.clear()
            try:
                await self._look()
            except DeviceFault as fault:
                _log.info("%s: how long its doors open cannot be looked at now: %s", self._name, fault)
            try:
                async with asyncio.timeout(self._timing.settings_s):
                    await self._changed.wait()
            except TimeoutError:
                continue

    async def _look(self) -> None:
        found = dict(self._too_long)
        for door, wanted_s in self._wanted.items():
            complaint = await self._set(door, wanted_s)
            if complaint:
                found[door] = complaint
        for complaint in set(found.values()).difference(self.complaints):
            _log.warning("%s: %s", self._name, complaint)
        self.complaints = tuple(found.values())

    async def _set(self, door: int, wanted_s: int) -> str:
        """Make one door's time the wanted one; what to complain of if that cannot be done.

        Raises:
            DeviceFault: if the device is away.
        """
        path = f"{DOOR_PARAM}/{door}"
        held_s: int | None = None
        try:
            param = isapi.parse_door_param(await self._client.get(path))
            held_s = param.open_s
            if held_s == wanted_s:
                return ""
            await self._client.command("PUT", path, isapi.door_param(param, wanted_s))
            held_s = isapi.parse_door_param(await self._client.get(path)).open_s
        except (Refused, ProtocolError) as error:
            self._counters.add("settings_refused")
            return _complaint(door, held_s, wanted_s, str(error))
        if held_s != wanted_s:
            self._counters.add("settings_refused")
            return _complaint(door, held_s, wanted_s, "it took the new time and did not keep it")
        self._counters.add("settings_written")
        _log.info("%s: door %d opens for %d s from now on", self._name, door, wanted_s)
        return ""


def _complaint(door: int, held_s: int | None, wanted_s: int, why: str) -> str:
    remedy = f"set the door's open duration to {wanted_s} s at the device, or give the gateway's user the right to"
    if held_s is None:
        return f"for how long door {door} opens is not known ({why}); {remedy} its parameters"
    return f"door {door} opens for {held_s} s, not {wanted_s} s ({why}); {remedy} its parameters"
