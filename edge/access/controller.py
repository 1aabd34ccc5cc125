"""The doors of a gateway at work: one thread owns every door, takes what the readers report, and drives the strikes.

On a card the strike command leaves before anything else happens: no event is recorded, no light is lit before it, and
neither disk nor network is on its way. Inputs wait in one queue of `QUEUE_SIZE`; when it is full the newest is dropped
and counted, since a reader that floods must not make the cards before it wait longer still.
"""

import logging
import queue
import threading
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from uuid import UUID
from zoneinfo import ZoneInfo

from edge.access.config import AccessConfig, Door, Reader, read_keys
from edge.access.decision import Decider, Decision, outcome_of
from edge.access.door import ContactReport, DoorInput, DoorMachine, Release, StrikeSet, Tick, Told
from edge.access.drivers.interface import (
    CardPresented,
    Driver,
    DriverEvent,
    DriverRestarted,
    Feedback,
    InputsReported,
    OutputDone,
    OutputsForgotten,
    ReaderDown,
    ReaderUp,
    TamperReported,
)
from edge.access.drivers.osdp.driver import OsdpBus
from edge.access.ledgers import Ledgers
from edge.access.outputs import Pending, PendingOutputs
from edge.access.presentations import Card, DoorStanding
from edge.access.priority import prefer_this_thread
from edge.access.status import AccessCounters, AccessStatus, DoorStatus, ReaderStatus, ReleaseOutcome
from edge.access.store import CredentialStore
from edge.clock import Clock, now
from edge.observations import Observation, Recorder
from protocols.access_events import (
    DenialReason,
    ReaderOffline,
    ReaderOfflineReason,
    ReaderOnline,
    ReaderTamper,
    ReleaseCause,
)
from protocols.commands import FailureCode
from protocols.event_data import EventData
from protocols.events import SourceRestarted

QUEUE_SIZE = 4096
RELEASE_TIMEOUT_S = 1.8
"""The command handler promises an outcome within two seconds."""

_LOG = logging.getLogger(__name__)
_LATENCIES_KEPT = 2048
_DETAIL_MAX = 300

DriverFactory = Callable[[AccessConfig], list[Driver]]


def osdp_drivers(config: AccessConfig) -> list[Driver]:
    """One driver for each bus.

    Raises:
        edge.access.config.KeyFileFault: if a reader's key cannot be read.
    """
    keys = read_keys(config)
    return [OsdpBus(bus, config.readers_of(bus.id), keys) for bus in config.reader_bus]


@dataclass(frozen=True)
class _ReleaseAsked:
    door: str
    corr: UUID
    answer: "queue.Queue[ReleaseOutcome]"


@dataclass(frozen=True)
class _Stop:
    pass


_Input = DriverEvent | _ReleaseAsked | _Stop


@dataclass
class _DoorAtWork:
    config: Door
    machine: DoorMachine


class AccessController:
    """The doors and readers of `config`.

    Args:
        record: takes events; never blocks.
        zone: the site's time zone, in which schedules are meant.
        drivers: makes the reader drivers.

    Raises:
        edge.access.config.KeyFileFault: if a reader's key cannot be read.
    """

    def __init__(
        self,
        config: AccessConfig,
        store: CredentialStore,
        record: Recorder,
        clock: Clock,
        zone: ZoneInfo,
        drivers: DriverFactory = osdp_drivers,
    ) -> None:
        self._config, self._store, self._record, self._clock, self._zone = config, store, record, clock, zone
        self._readers = {reader.id: reader for reader in config.reader}
        formats = {reader.id: reader.card_format for reader in config.reader}
        self._decider = Decider(store, Ledgers(None), "", lambda *_: False, clock, zone, formats)
        self._doors = {door.id: _DoorAtWork(door, _machine(door)) for door in config.door}
        self._door_of_reader = {reader: self._doors[door.id] for door in config.door for reader in door.readers}
        self._standing = {reader.id: _unheard(reader) for reader in config.reader}
        self._inputs_seen: dict[str, tuple[bool, ...]] = {}
        self._tampered: dict[str, bool] = {}
        self._drivers = {driver.name: driver for driver in drivers(config)}
        self._queue: queue.Queue[_Input] = queue.Queue(QUEUE_SIZE)
        self._thread = threading.Thread(target=self._run, name="doors")
        self._pending = PendingOutputs()
        self._counts: Counter[str] = Counter()
        self._denied: Counter[DenialReason] = Counter()
        self._latencies_us: deque[int] = deque(maxlen=_LATENCIES_KEPT)

    def start(self) -> None:
        """Start the doors' thread and every driver."""
        self._thread.start()
        for driver in self._drivers.values():
            driver.start(self._deliver)

    def stop(self) -> None:
        """Lock every door, stop the drivers, and end; takes a few seconds at most."""
        stopping = [threading.Thread(target=driver.stop) for driver in self._drivers.values()]
        for thread in stopping:
            thread.start()
        for thread in stopping:
            thread.join()
        if self._thread.is_alive():
            self._queue.put(_Stop())
            self._thread.join()

    def release(self, door: str, corr: UUID) -> ReleaseOutcome:
        """Release a door's strike once, for its time. Safe from any thread; answers within two seconds."""
        if door not in self._doors:
            return ReleaseOutcome(False, f'there is no door "{door}" at this gateway', FailureCode.UNKNOWN_DOOR)
        answer: queue.Queue[ReleaseOutcome] = queue.Queue(1)
        try:
            self._queue.put_nowait(_ReleaseAsked(door, corr, answer))
            return answer.get(timeout=RELEASE_TIMEOUT_S)
        except queue.Full:
            self._counts["dropped_inputs"] += 1
            return ReleaseOutcome(False, "the door controller is overloaded", FailureCode.OVERLOADED)
        except queue.Empty:
            why = "the reader did not confirm the strike command in time"
            return ReleaseOutcome(False, why, FailureCode.NO_CONFIRMATION)

    def status(self) -> AccessStatus:
        """How everything stands; safe from any thread."""
        counters = AccessCounters(
            card_reads=self._counts["card_reads"],
            granted=self._counts["granted"],
            denied=MappingProxyType({reason: self._denied[reason] for reason in DenialReason}),
            strike_failures=self._counts["strike_failures"],
            worker_restarts=self._counts["worker_restarts"],
            dropped_inputs=self._counts["dropped_inputs"],
            faults=self._counts["faults"],
        )
        return AccessStatus(
            doors=tuple(_door_status(door) for door in self._doors.values()),
            readers=tuple(self._standing.values()),
            counters=counters,
            policy_version=self._store.policy[0],
            card_to_strike_us=tuple(self._latencies_us.copy()),
        )

    def _deliver(self, event: DriverEvent) -> None:
        try:
            self._queue.put_nowait(event)
        except queue.Full:
            self._counts["dropped_inputs"] += 1

    def _run(self) -> None:
        prefer_this_thread()
        while True:
            try:
                given = self._queue.get(timeout=self._wait_s())
            except queue.Empty:
                pass
            else:
                if isinstance(given, _Stop):
                    self._say_stopped()
                    return
                self._guarded(self._take, given)
            self._guarded(self._run_timers)

    def _guarded(self, work: Callable[..., None], *given: _Input) -> None:
        try:
            work(*given)
        except Exception:  # noqa: BLE001 - a fault with one input must not leave every door without its controller
            self._counts["faults"] += 1
            _LOG.exception("doors: an input could not be handled")

    def _say_stopped(self) -> None:
        for reader in self._standing.values():
            if reader.online:
                place = self._config.place_of(reader.id)
                self._tell(reader.id, place, ReaderOffline(reason=ReaderOfflineReason.STOPPED))

    def _wait_s(self) -> float | None:
        deadlines = (door.machine.deadline_s for door in self._doors.values())
        first = min((deadline for deadline in deadlines if deadline is not None), default=None)
        return None if first is None else max(0.0, first - self._clock.monotonic_s())

    def _run_timers(self) -> None:
        now_s = self._clock.monotonic_s()
        for door in self._doors.values():
            due_s = door.machine.deadline_s
            if due_s is not None and due_s <= now_s:
                self._drive(door, Tick())

    def _take(self, given: _Input) -> None:
        match given:
            case CardPresented():
                self._card(given)
            case InputsReported():
                self._inputs(given)
            case OutputDone():
                self._output_done(given)
            case OutputsForgotten():
                self._say_outputs(given.reader)
            case _ReleaseAsked():
                self._release_asked(given)
            case ReaderUp() | ReaderDown():
                self._reader_moved(given)
            case TamperReported():
                self._tamper(given)
            case DriverRestarted():
                self._restarted(given)

    def _card(self, card: CardPresented) -> None:
        self._counts["card_reads"] += 1
        door = self._door_of_reader.get(card.reader)
        if door is None:
            return  # a reader that only drives a strike or watches a contact
        presented = Card(card.data, card.bit_count)
        decision = self._decider.decide(door.config.id, card.reader, presented, DoorStanding())
        told: list[EventData] = []
        if decision.granted and self._is_online(door.config.strike.reader):
            told = self._drive(door, Release(ReleaseCause.CREDENTIAL), read_ns=card.read_ns, tell=False)
        elif decision.granted:
            self._counts["strike_failures"] += 1
        self._driver_of(card.reader).feedback(card.reader, Feedback.GRANTED if decision.granted else Feedback.DENIED)
        for data in (*self._counted(card.reader, decision), *told):
            self._tell(door.config.id, door.config.place, data)

    def _counted(self, reader: str, decision: Decision) -> list[EventData]:
        outcome = outcome_of(reader, decision)
        if decision.reason is None:
            self._counts["granted"] += 1
        else:
            self._denied[decision.reason] += 1
        return [] if outcome is None else [outcome]

    def _drive(
        self,
        door: _DoorAtWork,
        given: DoorInput,
        *,
        read_ns: int | None = None,
        answer: "queue.Queue[ReleaseOutcome] | None" = None,
        tell: bool = True,
    ) -> list[EventData]:
        """Give a door an input and do what comes of it, the strike first; returns what is to be told."""
        told: list[EventData] = []
        for effect in door.machine.receive(given, self._clock.monotonic_s()):
            if isinstance(effect, StrikeSet):
                self._strike(door.config, effect.for_s, Pending(read_ns, answer if effect.for_s else None))
            elif isinstance(effect, Told):
                told.append(effect.data)
        if tell:
            for data in told:
                self._tell(door.config.id, door.config.place, data)
        return told

    def _strike(self, door: Door, for_s: float | None, pending: Pending) -> None:
        ticket = self._pending.add(pending)
        driver = self._driver_of(door.strike.reader)
        if driver.set_output(door.strike.reader, door.strike.output, for_s, ticket):
            return
        self._output_done(OutputDone(ticket, False, f'reader "{door.strike.reader}" takes no commands', None))

    def _output_done(self, done: OutputDone) -> None:
        pending = self._pending.take(done.ticket)
        if pending is None:
            return
        if not done.done:
            self._counts["strike_failures"] += 1
        elif pending.read_ns is not None and done.submitted_ns is not None:
            self._latencies_us.append((done.submitted_ns - pending.read_ns) // 1000)
        if pending.answer is not None:
            code = None if done.done else FailureCode.READER_FAILED
            pending.answer.put_nowait(ReleaseOutcome(done.done, done.detail, code))

    def _say_outputs(self, reader: str) -> None:
        """Say to a reader that has just come (back) what each strike on it is to be."""
        now_s = self._clock.monotonic_s()
        for door in self._doors.values():
            if door.config.strike.reader == reader:
                self._strike(door.config, door.machine.strike_left_s(now_s) or None, Pending(None, None))

    def _release_asked(self, asked: _ReleaseAsked) -> None:
        door = self._doors[asked.door]
        strike = door.config.strike.reader
        if not self._is_online(strike):
            why = self._standing[strike].detail or "it has not been heard yet"
            self._counts["strike_failures"] += 1
            reason = f'reader "{strike}", which drives the strike, is offline: {why}'
            asked.answer.put_nowait(ReleaseOutcome(False, reason, FailureCode.READER_OFFLINE))
            return
        self._drive(door, Release(ReleaseCause.COMMAND, asked.corr), answer=asked.answer)

    def _inputs(self, report: InputsReported) -> None:
        before = self._inputs_seen.get(report.reader, ())
        self._inputs_seen[report.reader] = report.active
        for door in self._doors.values():
            contact, button = door.config.contact, door.config.request_to_exit
            if contact is not None and contact.reader == report.reader and contact.input < len(report.active):
                self._drive(door, ContactReport(report.active[contact.input]))
            if button is not None and button.reader == report.reader and _pressed(before, report.active, button.input):
                self._drive(door, Release(ReleaseCause.REQUEST_TO_EXIT))

    def _reader_moved(self, moved: ReaderUp | ReaderDown) -> None:
        before = self._standing[moved.reader]
        bus = before.bus
        data: EventData
        if isinstance(moved, ReaderUp):
            after = ReaderStatus(moved.reader, bus, True, moved.secure_channel, None, "")
            data = ReaderOnline(secure_channel=moved.secure_channel)
        else:
            detail = moved.detail[:_DETAIL_MAX]
            after = ReaderStatus(moved.reader, bus, False, False, moved.reason, detail)
            data = ReaderOffline(reason=moved.reason, detail=detail)
        self._standing[moved.reader] = after
        if (before.online, before.reason) != (after.online, after.reason):
            self._tell(moved.reader, self._config.place_of(moved.reader), data)

    def _tamper(self, report: TamperReported) -> None:
        if self._tampered.get(report.reader, False) != report.active:
            self._tampered[report.reader] = report.active
            place = self._config.place_of(report.reader)
            self._tell(report.reader, place, ReaderTamper(active=report.active))

    def _restarted(self, restarted: DriverRestarted) -> None:
        self._counts["worker_restarts"] += 1
        place = self._config.place_of(self._config.readers_of(restarted.driver)[0].id)
        reason = restarted.reason[:_DETAIL_MAX]
        data = SourceRestarted(source=f"reader_bus/{restarted.driver}", reason=reason, attempt=restarted.attempt)
        self._tell(restarted.driver, place, data)

    def _tell(self, device: str, place: str, data: EventData) -> None:
        self._record(Observation(device, place, data, now(self._clock)))

    def _driver_of(self, reader: str) -> Driver:
        return self._drivers[self._readers[reader].line]

    def _is_online(self, reader: str) -> bool:
        return self._standing[reader].online is True


def _machine(door: Door) -> DoorMachine:
    return DoorMachine(door.release_s, door.held_after_s, door.relock, has_contact=door.contact is not None)


def _unheard(reader: Reader) -> ReaderStatus:
    return ReaderStatus(reader.id, reader.line, None, False, None, "")


def _door_status(door: _DoorAtWork) -> DoorStatus:
    machine = door.machine
    return DoorStatus(door.config.id, door.config.place, machine.state, machine.strike_on, machine.contact_open)


def _pressed(before: tuple[bool, ...], after: tuple[bool, ...], number: int) -> bool:
    was = number < len(before) and before[number]
    return not was and number < len(after) and after[number]
