"""The doors of a gateway, without their thread: what the readers report and the operators order goes in, strikes,
lights and events come out, each in its time. It never waits.

When somebody is let in the strike command leaves before anything else happens: no event is recorded, no light is lit
before it, and neither disk nor network is on its way. A way out (a request to exit) asks no rule and no mode.
"""

import math
from collections.abc import Callable

from edge.access.config import AccessConfig
from edge.access.counts import Counts
from edge.access.decision import Decider, Decision, Need, outcome_of
from edge.access.door import (
    ContactReport,
    Excuse,
    Release,
)
from edge.access.door_at_work import DoorAtWork, in_interlock
from edge.access.drivers.interface import (
    CardPresented,
    CodePresented,
    DeviceDecided,
    DoorOpenedByDevice,
    DriverEvent,
    DriverRestarted,
    Feedback,
    InputsReported,
    KeysPressed,
    NumberPresented,
    OutputDone,
    OutputsForgotten,
    PlatePresented,
    PowerReported,
    ReaderDown,
    ReaderUp,
    TamperReported,
)
from edge.access.driving import Driving
from edge.access.kept_modes import ModeFile
from edge.access.keypad import Entered, Keypad
from edge.access.mode_keeper import ModeKeeper
from edge.access.order_desk import OrderDesk
from edge.access.orders import ForgiveOrder, LockdownOrder, LookAgain, ModeOrder, Order, ReleaseOrder
from edge.access.policy_watch import PolicyWatch
from edge.access.presentations import Card, Code, DoorStanding, Number, Plate, Presentation
from edge.access.reader_book import DETAIL_MAX, ReaderBook
from edge.access.status import DoorStatus, ReaderStatus
from edge.access.store import CredentialStore
from edge.access.strikes import Outputs, Strikes
from edge.access.telling import Teller, duress_of
from edge.clock import Clock
from protocols.access_events import (
    DecidedBy,
    FireInput,
    ReaderLockedOut,
    ReleaseCause,
)
from protocols.event_data import EventData
from protocols.events import SourceRestarted

FRESH_VERDICT_S = 10.0
"""A device's verdict that is older than this was told late: nobody opens the door by it now."""


class DoorControl:
    """One thread; the statuses are for any.

    Args:
        store: whose rules name interlocks and areas.
        outputs: reaches the drivers.
    """

    def __init__(
        self,
        config: AccessConfig,
        decider: Decider,
        store: CredentialStore,
        outputs: Outputs,
        teller: Teller,
        modes: ModeFile,
        clock: Clock,
        counts: Counts,
    ) -> None:
        self._config, self._decider, self._store = config, decider, store
        self._teller, self._clock, self._counts = teller, clock, counts
        self._formats = {reader.id: reader for reader in config.reader}
        self._doors = {door.id: DoorAtWork(door) for door in config.door}
        self._door_of = {reader: self._doors[door.id] for door in config.door for reader in door.readers}
        self._keypads = {reader: Keypad() for reader in self._door_of}
        self._readers = ReaderBook(config, teller)
        self._strikes = Strikes({reader.id: reader.line for reader in config.reader}, outputs, self._readers, counts)
        self._keypads_due_s: dict[str, float] = {}
        self._inputs_seen: dict[str, tuple[bool, ...]] = {}
        self._policy = PolicyWatch(store, decider, teller, clock)
        self._driving = Driving(self._doors, self._strikes, decider, teller, clock)
        self._modes = ModeKeeper(
            self._doors, decider, lambda: self._policy.interlocks, self._driving.go_over, modes, clock
        )
        desk = OrderDesk(self._doors, self._driving, self._modes, self._readers, decider, store, teller, clock, counts)
        self._takers: dict[type[DriverEvent | Order], Callable[..., None]] = {
            CardPresented: self._card,
            NumberPresented: self._number,
            KeysPressed: self._keys,
            CodePresented: self._code,
            PlatePresented: self._plate,
            DeviceDecided: self._device_decided,
            DoorOpenedByDevice: self._opened_by_device,
            InputsReported: self._inputs,
            OutputDone: self._strikes.done,
            OutputsForgotten: self._driving.say_outputs,
            ReaderUp: self._readers.moved,
            ReaderDown: self._readers.moved,
            TamperReported: self._readers.tamper,
            PowerReported: self._readers.power,
            DriverRestarted: self._restarted,
            ReleaseOrder: desk.release,
            ModeOrder: desk.mode,
            LockdownOrder: desk.lockdown,
            ForgiveOrder: desk.forgive,
            LookAgain: self._look_again,
        }

    # --- what its thread calls -----------------------------------------------------------------------------------

    @property
    def deadline_s(self) -> float:
        """When `run_timers` is due, by the monotonic clock."""
        keypads_s = min(self._keypads_due_s.values(), default=math.inf)
        return min(self._driving.deadline_s, keypads_s, self._modes.due_s, self._policy.due_s)

    def take(self, given: DriverEvent | Order) -> None:
        """Do what comes of an input."""
        self._takers[type(given)](given)

    def run_timers(self) -> None:
        """Do what time alone brings about."""
        now_s = self._clock.monotonic_s()
        self._driving.run_timers(now_s)
        for reader in [reader for reader, due_s in self._keypads_due_s.items() if due_s <= now_s]:
            self._take_entries(reader, self._keypads[reader].due(now_s), None)
        is_new = self._policy.due_s <= now_s and self._policy.look()
        if is_new or self._modes.due_s <= now_s:
            self._modes.look()

    def stopped(self) -> None:
        """Tell that nobody watches the readers any more."""
        self._readers.stopped()

    # --- for others ----------------------------------------------------------------------------------------------

    def doors(self) -> tuple[DoorStatus, ...]:
        return tuple(door.status() for door in self._doors.values())

    def readers(self) -> tuple[ReaderStatus, ...]:
        return self._readers.all()

    @property
    def lockdown(self) -> bool:
        return self._modes.lockdown

    @property
    def stale(self) -> bool:
        return self._policy.stale

    # --- presenting ----------------------------------------------------------------------------------------------

    def _card(self, card: CardPresented) -> None:
        self._first_end_entry(card.reader)
        self._present(card.reader, Card(card.data, card.bit_count), card.read_ns)

    def _number(self, number: NumberPresented) -> None:
        self._first_end_entry(number.reader)
        self._present(number.reader, Number(number.card), number.read_ns)

    def _keys(self, keys: KeysPressed) -> None:
        keypad = self._keypads.get(keys.reader)
        if keypad is not None:
            self._take_entries(keys.reader, keypad.press(keys.keys, self._clock.monotonic_s()), keys.read_ns)

    def _take_entries(self, reader: str, entries: list[Entered], read_ns: int | None) -> None:
        self._keypads_due_s[reader] = self._keypads[reader].deadline_s
        for entered in entries:
            self._present(reader, entered, read_ns)

    def _code(self, code: CodePresented) -> None:
        self._present(code.reader, Code(code.text), code.read_ns)

    def _plate(self, plate: PlatePresented) -> None:
        if plate.confidence < self._formats[plate.reader].min_plate_confidence:
            self._counts.add("unsure_plates")
            return
        self._present(plate.reader, Plate(plate.plate), plate.read_ns)

    def _first_end_entry(self, reader: str) -> None:
        """A card that still waits for its PIN when another is presented got none."""
        keypad = self._keypads.get(reader)
        unfinished = keypad.take_card() if keypad is not None else None
        if unfinished is not None:
            self._take_entries(reader, [unfinished], None)

    def _present(self, reader: str, presented: Presentation, read_ns: int | None) -> None:
        self._counts.presented(presented)
        door = self._door_of.get(reader)
        if door is None:
            return  # a reader that only drives a strike or watches a contact
        decision = self._decider.decide(door.id, reader, presented, self._standing(door))
        if decision.needs is Need.PIN and isinstance(presented, Card | Number):
            self._keypads[reader].wait_for_pin(presented, self._clock.monotonic_s())
            self._keypads_due_s[reader] = self._keypads[reader].deadline_s
            self._strikes.show(reader, Feedback.WAIT)
            return
        told = self._let_in(door, reader, decision, read_ns) if decision.granted else []
        self._strikes.show(reader, _feedback(decision))
        self._tell_decision(door, reader, decision)
        self._driving.tell(door, told)

    def _standing(self, door: DoorAtWork) -> DoorStanding:
        others = in_interlock(door, self._policy.interlocks, self._doors)
        return DoorStanding(door.machine.mode, self._modes.lockdown, any(other.machine.is_passable for other in others))

    def _let_in(self, door: DoorAtWork, reader: str, decision: Decision, read_ns: int | None) -> list[EventData]:
        """Release the strike; returns what is to be told of it, after the decision."""
        if not self._readers.is_online(door.strike_reader):
            self._counts.add("strike_failures")
            self._decider.not_used(door.id, reader, decision)
            return []
        shows_passing = door.shows_passing
        told = self._driving.drive_untold(door, Release(ReleaseCause.CREDENTIAL), read_ns=read_ns)
        self._driving.expect(door, reader, decision, shows_passing=shows_passing)
        return told

    def _tell_decision(
        self,
        door: DoorAtWork,
        reader: str,
        decision: Decision,
        by: DecidedBy = DecidedBy.GATEWAY,
        detail: str = "",
        at_s: float | None = None,
    ) -> None:
        """Tell what was decided, and do what it brings about beside the passage itself."""
        self._counts.decided(decision)
        outcome = outcome_of(reader, decision, by, detail)
        if outcome is not None:
            self._tell(door, outcome, at_s)
        alarm = duress_of(reader, decision)
        if alarm is not None:
            self._counts.add("duress")
            self._tell(door, alarm, at_s)
        if decision.locks_out_s is not None:
            self._counts.add("lock_outs")
            self._teller.tell(reader, door.config.place, ReaderLockedOut(for_s=decision.locks_out_s))
        if decision.granted and decision.frees_door_until is not None:
            self._modes.first_card_came(door)

    # --- what devices did by themselves --------------------------------------------------------------------------

    def _device_decided(self, verdict: DeviceDecided) -> None:
        self._counts.add("decided_by_devices")
        door = self._door_of.get(verdict.reader)
        if door is None:
            return
        decision = self._decider.device_verdict(door.id, verdict.reader, verdict)
        is_fresh = self._clock.wall_s() - decision.at_s <= FRESH_VERDICT_S
        if decision.granted:
            shows_passing = door.shows_passing and is_fresh
            if is_fresh:
                self._driving.drive(door, Excuse(ReleaseCause.CREDENTIAL))
            self._driving.expect(door, verdict.reader, decision, shows_passing=shows_passing)
        detail = "" if verdict.granted else verdict.reason[:DETAIL_MAX]
        self._tell_decision(door, verdict.reader, decision, verdict.by, detail, decision.at_s)

    def _opened_by_device(self, opened: DoorOpenedByDevice) -> None:
        door = self._door_of.get(opened.reader)
        if door is not None:
            self._driving.drive(door, Excuse(ReleaseCause.DEVICE))

    # --- inputs --------------------------------------------------------------------------------------------------

    def _inputs(self, report: InputsReported) -> None:
        """The button comes before the contact: it is why the door opened."""
        before, now = self._inputs_seen.get(report.reader, ()), report.active
        self._inputs_seen[report.reader] = now
        for door in self._doors.values():
            button, contact, fire = door.config.request_to_exit, door.config.contact, door.config.fire
            if button is not None and button.reader == report.reader and _pressed(before, now, button.input):
                self._driving.drive(door, Release(ReleaseCause.REQUEST_TO_EXIT))
            if contact is not None and contact.reader == report.reader and contact.input < len(now):
                self._driving.drive(door, ContactReport(now[contact.input]))
            if fire is not None and fire.reader == report.reader and fire.input < len(now):
                self._fire(door, active=now[fire.input])

    def _fire(self, door: DoorAtWork, *, active: bool) -> None:
        if door.fire != active:
            door.fire = active
            self._tell(door, FireInput(active=active))

    def _restarted(self, restarted: DriverRestarted) -> None:
        self._counts.add("worker_restarts")
        is_bus = any(bus.id == restarted.driver for bus in self._config.reader_bus)
        source = f"{'reader_bus' if is_bus else 'device'}/{restarted.driver}"
        data = SourceRestarted(source=source, reason=restarted.reason[:DETAIL_MAX], attempt=restarted.attempt)
        self._teller.tell(restarted.driver, self._config.place_of_line(restarted.driver), data)

    def _look_again(self, _order: LookAgain) -> None:
        self._policy.look()
        self._modes.look()

    def _tell(self, door: DoorAtWork, data: EventData, at_s: float | None = None) -> None:
        self._teller.tell(door.id, door.config.place, data, at_s)


def _feedback(decision: Decision) -> Feedback:
    if decision.granted:
        return Feedback.GRANTED
    return Feedback.WAIT if decision.needs is not None else Feedback.DENIED


def _pressed(before: tuple[bool, ...], after: tuple[bool, ...], number: int) -> bool:
    was = number < len(before) and before[number]
    return not was and number < len(after) and after[number]
