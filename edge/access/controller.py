"""The doors of a gateway at work: one thread owns every door, takes what the readers report, and drives the strikes.

Inputs wait in one queue of `QUEUE_SIZE`; when it is full the newest is dropped and counted, since a reader that floods
must not make the cards before it wait longer still.
"""

import logging
import queue
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from uuid import UUID
from zoneinfo import ZoneInfo

from edge.access.config import AccessConfig, card_formats
from edge.access.control import DoorControl
from edge.access.counts import Counts
from edge.access.decision import Decider
from edge.access.device_statuses import device_statuses
from edge.access.drivers.interface import DriverContext, DriverEvent, Rotated
from edge.access.drivers.registry import driver_sources
from edge.access.drivers.running import DriverSource, RunningDrivers
from edge.access.kept_modes import ModeFile
from edge.access.ledgers import Ledgers
from edge.access.orders import (
    ForgiveOrder,
    LockdownOrder,
    LookAgain,
    MakeOrder,
    ModeOrder,
    Order,
    ReleaseOrder,
    Stop,
)
from edge.access.priority import prefer_this_thread
from edge.access.rosters import RosterKeeper
from edge.access.status import AccessStatus, Outcome
from edge.access.store import CredentialStore
from edge.access.telling import Own, Teller
from edge.clock import Clock
from edge.counters import Counters
from edge.observations import Recorder
from protocols.access_events import DoorMode
from protocols.commands import FailureCode

QUEUE_SIZE = 4096
ANSWER_TIMEOUT_S = 1.8
"""The command handler promises an outcome within two seconds, but for a strike whose driver says that it takes longer
(`interface.SlowDriver`)."""

_LOG = logging.getLogger(__name__)


class AccessController:
    """The doors and readers of `config`.

    Args:
        record: takes events; never blocks.
        zone: the site's time zone, in which schedules are meant.
        decider: decides; None: one that forgets when it ends and takes no QR code, for tests of doors.
        sources: makes the drivers; None: those of `config`.
        state_dir: where modes and devices keep what outlives a restart; None: nothing does.
    """

    def __init__(
        self,
        config: AccessConfig,
        store: CredentialStore,
        record: Recorder,
        clock: Clock,
        zone: ZoneInfo,
        *,
        decider: Decider | None = None,
        sources: Sequence[DriverSource] | None = None,
        state_dir: Path | None = None,
        own: Own | None = None,
    ) -> None:
        self._store, self._clock = store, clock
        self._queue: queue.Queue[DriverEvent | Order] = queue.Queue(QUEUE_SIZE)
        self._counts, self._driver_counts = Counts(), Counters()
        if sources is None:
            sources = driver_sources(config, DriverContext((state_dir or Path()) / "devices", zone, clock))
        self._drivers = RunningDrivers(sources, self._driver_counts)
        self._lines = {reader.id: reader.line for reader in config.reader}
        self._strike_lines = {door.id: self._lines[door.strike.reader] for door in config.door}
        self._mode_file = ModeFile(state_dir)
        decider = decider or _forgetful(config, store, clock, zone)
        self._control = DoorControl(
            config,
            decider,
            store,
            self._drivers,
            Teller(record, clock, own or Own()),
            self._mode_file,
            clock,
            self._counts,
        )
        self._rosters = RosterKeeper(
            config, store, decider, self._drivers, self._control.doors, clock, zone, self._driver_counts
        )
        self._thread = threading.Thread(target=self._run, name="doors")

    def start(self) -> None:
        """Start the doors' thread and every driver."""
        self._mode_file.start()
        self._thread.start()
        self._drivers.start(self._deliver)
        self._rosters.start()

    def stop(self) -> None:
        """Lock every door, stop the drivers, and end; takes a few seconds at most."""
        self._rosters.stop()
        self._drivers.stop()
        if self._thread.is_alive():
            self._queue.put(Stop())
            self._thread.join()
        self._mode_file.stop()

    # --- commands; safe from any thread, answered within two seconds ---------------------------------------------

    def release(self, door: str, corr: UUID) -> Outcome:
        """Release a door's strike once, for its time. A device that fetches its commands may take longer to confirm."""
        line = self._strike_lines.get(door)
        slow_s = 0.0 if line is None else self._drivers.answer_s(line)
        return self._ordered(lambda answer: ReleaseOrder(door, corr, answer), max(ANSWER_TIMEOUT_S, slow_s))

    def set_mode(self, door: str, mode: DoorMode, until_s: float | None, corr: UUID) -> Outcome:
        """Put a door into a mode until a moment (seconds since the epoch), or until the next such command."""
        return self._ordered(lambda answer: ModeOrder(door, mode, until_s, corr, answer))

    def lock_down(self, corr: UUID, *, active: bool) -> Outcome:
        """Begin or end the lockdown of every door."""
        return self._ordered(lambda answer: LockdownOrder(active, corr, answer))

    def forgive(self, area: str | None) -> Outcome:
        """Forget who is in an area; None: in every area."""
        return self._ordered(lambda answer: ForgiveOrder(area, answer))

    def look_again(self) -> None:
        """The wall clock jumped: look at what goes by it. Safe from any thread, never blocks."""
        self._put(LookAgain())

    def rotate_key(self, reader: str, say: Callable[[str], None]) -> Rotated:
        """Change a reader's key. Unlike the commands above it takes some seconds, and holds up no door meanwhile."""
        line = self._lines.get(reader)
        if line is None:
            return Rotated(False, f'the running gateway has no reader "{reader}"; was it started with this site file?')
        return self._drivers.rotate_key(line, reader, say)

    def status(self) -> AccessStatus:
        """How everything stands; safe from any thread."""
        readers = self._control.readers()
        return AccessStatus(
            doors=self._control.doors(),
            readers=readers,
            devices=tuple(device_statuses(self._drivers.reports(), readers)),
            counters=self._counts.frozen(),
            policy_version=self._store.policy[0],
            card_to_strike_us=self._counts.latencies_us(),
            lockdown=self._control.lockdown,
            stale=self._control.stale,
            drivers=self._driver_counts.snapshot(),
            modes_off_disk=self._mode_file.off_disk,
            modes_fault=self._mode_file.fault,
        )

    def _ordered(self, order: MakeOrder, timeout_s: float = ANSWER_TIMEOUT_S) -> Outcome:
        answers: queue.Queue[Outcome] = queue.Queue(1)
        if not self._put(order(answers.put_nowait)):
            return Outcome(False, "the door controller is overloaded", FailureCode.OVERLOADED)
        try:
            return answers.get(timeout=timeout_s)
        except queue.Empty:
            why = "the reader did not confirm the strike command in time"
            return Outcome(False, why, FailureCode.NO_CONFIRMATION)

    def _deliver(self, event: DriverEvent) -> None:
        self._put(event)

    def _put(self, given: DriverEvent | Order) -> bool:
        try:
            self._queue.put_nowait(given)
        except queue.Full:
            self._counts.add("dropped_inputs")
            return False
        return True

    def _run(self) -> None:
        prefer_this_thread()
        while True:
            try:
                given = self._queue.get(timeout=self._wait_s())
            except queue.Empty:
                pass
            else:
                if isinstance(given, Stop):
                    self._control.stopped()
                    return
                self._guarded(self._control.take, given)
            self._guarded(self._control.run_timers)

    def _guarded(self, work: Callable[..., None], *given: DriverEvent | Order) -> None:
        try:
            work(*given)
        except Exception:  # noqa: BLE001 - a fault with one input must not leave every door without its controller
            self._counts.add("faults")
            _LOG.exception("doors: an input could not be handled")

    def _wait_s(self) -> float:
        return max(0.0, self._control.deadline_s - self._clock.monotonic_s())


def _forgetful(config: AccessConfig, store: CredentialStore, clock: Clock, zone: ZoneInfo) -> Decider:
    return Decider(store, Ledgers(None), "", lambda *_: False, clock, zone, card_formats(config))
