"""Keeps the lists of the devices that decide by themselves in step with the policy, in a thread of its own.

A list is made anew when the policy, the day, the hub's silence or a door's being locked changes, and when a driver has
come. A door that is locked, by a command or a lockdown, is in no list: its device shall let nobody in either.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from edge.access.config import AccessConfig
from edge.access.decision import Decider
from edge.access.drivers.running import RunningDrivers
from edge.access.roster import roster_of
from edge.access.status import DoorStatus
from edge.access.store import CredentialStore
from edge.clock import Clock
from edge.counters import Counters
from edge.worker import Worker
from protocols.access_events import DoorMode

LOOK_EVERY_S = 1.0
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Basis:
    """What a device's list was made from."""

    policy_version: int
    today: date
    stale_up_to_s: int | None
    readers: tuple[tuple[str, str], ...]


class RosterKeeper:
    """Starts and stops the thread.

    Args:
        doors: how the doors stand.
    """

    def __init__(
        self,
        config: AccessConfig,
        store: CredentialStore,
        decider: Decider,
        drivers: RunningDrivers,
        doors: Callable[[], Iterable[DoorStatus]],
        clock: Clock,
        zone: ZoneInfo,
        counters: Counters,
    ) -> None:
        self._store, self._decider, self._drivers, self._doors = store, decider, drivers, doors
        self._clock, self._zone, self._counters = clock, zone, counters
        self._door_of = {reader: door.id for door in config.door for reader in door.readers}
        self._sent: dict[str, _Basis] = {}
        self._worker = Worker("rosters", self._run)

    def start(self) -> None:
        self._worker.start()

    def stop(self) -> None:
        self._worker.stop(2.0)

    def look(self) -> None:
        """Send each driver that keeps lists the one that it should have, unless it has it."""
        lines = self._drivers.lines_with_roster()
        if not lines:
            return
        wall_s = self._clock.wall_s()
        locked = {door.id for door in self._doors() if door.mode is DoorMode.LOCKED}
        today = datetime.fromtimestamp(wall_s, self._zone).date()
        version, stale_up_to_s = self._store.policy[0], self._decider.stale_up_to_s(wall_s)
        for line, readers in lines.items():
            served = ((reader, self._door_of.get(reader)) for reader in readers)
            open_to_device = sorted((reader, door) for reader, door in served if door and door not in locked)
            self._send(line, _Basis(version, today, stale_up_to_s, tuple(open_to_device)), wall_s)

    def _send(self, line: str, basis: _Basis, wall_s: float) -> None:
        if self._sent.get(line) == basis:
            return
        readers: Mapping[str, str] = dict(basis.readers)
        roster = roster_of(self._store, readers, self._zone, basis.today, self._decider.silent_s(wall_s))
        self._drivers.set_roster(line, roster)
        self._sent[line] = basis
        self._counters.add("rosters_sent")
        _log.info("device list sent", extra={"driver": line, "entries": len(roster.entries)})

    def _run(self, stopping: threading.Event) -> None:
        while not stopping.wait(LOOK_EVERY_S):
            try:
                self.look()
            except Exception:  # noqa: BLE001 - the lists on the devices stay as they are, and it is tried again
                self._counters.add("roster_faults")
                _log.exception("device lists could not be made")
