"""The doors of a gateway, without their thread: what the readers report and the operators order goes in, strikes,
lights and events come out, each in its time. It never waits.

When somebody is let in the strike command leaves before anything else happens: no event is recorded, no light is lit
before it, and neither disk nor network is on its way. A way out (a request to exit) asks no rule and no mode.
"""

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from edge.access.config import AccessConfig
from edge.access.counts import Counts
from edge.access.decision import Decider, Decision, Need, outcome_of
from edge.access.door import (
    OPENING_GRACE_S,
    ContactReport,
    DoorInput,
    Excuse,
    ModeSet,
    Release,
    StrikeSet,
    Tick,
    Told,
    WarnHeld,
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
from edge.access.kept_modes import ModeFile
from edge.access.keypad import Entered, Keypad
from edge.access.mode_keeper import ModeKeeper
from edge.access.modes import Commanded
from edge.access.orders import ForgiveOrder, LockdownOrder, LookAgain, ModeOrder, Order, ReleaseOrder
from edge.access.outputs import Answer
from edge.access.passages import Passage
from edge.access.presentations import Card, Code, DoorStanding, Number, Plate, Presentation
from edge.access.reader_book import DETAIL_MAX, ReaderBook
from edge.access.status import DoorStatus, Outcome, ReaderStatus
from edge.access.store import CredentialStore
from edge.access.strikes import Outputs, Strikes
from edge.access.telling import Teller, duress_of
from edge.clock import Clock
from protocols.access_events import (
    DecidedBy,
    DoorOpened,
    FireInput,
    LockdownChanged,
    PolicyStale,
    ReaderLockedOut,
    ReleaseCause,
)
from protocols.commands import FailureCode
from protocols.event_data import EventData
from protocols.events import SourceRestarted

LOOK_EVERY_S = 1.0
"""How often a new policy and a stale one are noticed."""
FRESH_VERDICT_S = 10.0
"""A device's verdict that is older than this was told late: nobody opens the door by it now."""


class DoorControl:
    """One thread; the statuses are for any.

    Args:
        store: whose rules name the interlocks.
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
        self._doors_due_s: dict[str, float] = {}
        self._keypads_due_s: dict[str, float] = {}
        self._inputs_seen: dict[str, tuple[bool, ...]] = {}
        self._interlocks: dict[str, str] = {}
        self._policy_seen = -1
        self._look_at_s = -math.inf
        self._stale_since: datetime | None = None
        self._modes = ModeKeeper(self._doors, decider, lambda: self._interlocks, self._go_over, modes, clock)
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
            OutputsForgotten: self._say_outputs,
            ReaderUp: self._readers.moved,
            ReaderDown: self._readers.moved,
            TamperReported: self._readers.tamper,
            PowerReported: self._readers.power,
            DriverRestarted: self._restarted,
            ReleaseOrder: self._release_ordered,
            ModeOrder: self._mode_ordered,
            LockdownOrder: self._lockdown_ordered,
            ForgiveOrder: self._forgive_ordered,
            LookAgain: self._look_again,
        }

    # --- what its thread calls -----------------------------------------------------------------------------------

    @property
    def deadline_s(self) -> float:
        """When `run_timers` is due, by the monotonic clock."""
        doors_s = min(self._doors_due_s.values(), default=math.inf)
        keypads_s = min(self._keypads_due_s.values(), default=math.inf)
        return min(doors_s, keypads_s, self._modes.due_s, self._look_at_s)

    def take(self, given: DriverEvent | Order) -> None:
        """Do what comes of an input."""
        self._takers[type(given)](given)

    def run_timers(self) -> None:
        """Do what time alone brings about."""
        now_s = self._clock.monotonic_s()
        for door in _due(self._doors_due_s, now_s):
            self._drive(self._doors[door], Tick())
        for reader in _due(self._keypads_due_s, now_s):
            self._take_entries(reader, self._keypads[reader].due(now_s), None)
        if self._look_at_s <= now_s:
            self._look_at_s = now_s + LOOK_EVERY_S
            self._look_at_policy()
        if self._modes.due_s <= now_s:
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
        return self._stale_since is not None

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
        for data in told:
            self._tell(door, data)

    def _standing(self, door: DoorAtWork) -> DoorStanding:
        others = in_interlock(door, self._interlocks, self._doors)
        return DoorStanding(door.machine.mode, self._modes.lockdown, any(other.machine.is_passable for other in others))

    def _let_in(self, door: DoorAtWork, reader: str, decision: Decision, read_ns: int | None) -> list[EventData]:
        """Release the strike; returns what is to be told of it, after the decision."""
        if not self._readers.is_online(door.strike_reader):
            self._counts.add("strike_failures")
            self._decider.not_used(door.id, reader, decision)
            return []
        shows_passing = door.shows_passing
        told = self._drive(door, Release(ReleaseCause.CREDENTIAL), read_ns=read_ns, tell=False)
        self._expect(door, reader, decision, shows_passing=shows_passing)
        return told

    def _expect(self, door: DoorAtWork, reader: str, decision: Decision, *, shows_passing: bool) -> None:
        if not shows_passing:
            self._decider.passed(door.id, reader, decision)
            return
        until_s = self._clock.monotonic_s() + door.config.release_s + OPENING_GRACE_S
        door.passages.expect(Passage(reader, decision, until_s))
        self._doors_due_s[door.id] = door.deadline_s

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
                self._drive(door, Excuse(ReleaseCause.CREDENTIAL))
            self._expect(door, verdict.reader, decision, shows_passing=shows_passing)
        detail = "" if verdict.granted else verdict.reason[:DETAIL_MAX]
        self._tell_decision(door, verdict.reader, decision, verdict.by, detail, decision.at_s)

    def _opened_by_device(self, opened: DoorOpenedByDevice) -> None:
        door = self._door_of.get(opened.reader)
        if door is not None:
            self._drive(door, Excuse(ReleaseCause.DEVICE))

    # --- inputs --------------------------------------------------------------------------------------------------

    def _inputs(self, report: InputsReported) -> None:
        before, now = self._inputs_seen.get(report.reader, ()), report.active
        self._inputs_seen[report.reader] = now
        for door in self._doors.values():
            button, contact, fire = door.config.request_to_exit, door.config.contact, door.config.fire
            if button is not None and button.reader == report.reader and _pressed(before, now, button.input):
                self._drive(door, Release(ReleaseCause.REQUEST_TO_EXIT))  # before the contact: it is why it opened
            if contact is not None and contact.reader == report.reader and contact.input < len(now):
                self._drive(door, ContactReport(now[contact.input]))
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

    # --- the machines --------------------------------------------------------------------------------------------

    def _drive(
        self,
        door: DoorAtWork,
        given: DoorInput,
        *,
        read_ns: int | None = None,
        answer: Answer | None = None,
        tell: bool = True,
    ) -> list[EventData]:
        """Give a door an input and do what comes of it, the strike first; returns what is to be told."""
        told: list[EventData] = []
        for effect in door.machine.receive(given, self._clock.monotonic_s()):
            match effect:
                case StrikeSet():
                    self._strikes.set(door, effect.for_s, read_ns, answer if effect.for_s else None)
                case WarnHeld():
                    for reader in door.config.readers:
                        self._strikes.show(reader, Feedback.HELD_SOON)
                case Told():
                    told.append(effect.data)
        self._note_passing(door, opened=any(isinstance(data, DoorOpened) for data in told))
        self._doors_due_s[door.id] = door.deadline_s
        if tell:
            for data in told:
                self._tell(door, data)
        return told

    def _note_passing(self, door: DoorAtWork, *, opened: bool) -> None:
        if opened:
            for passage in door.passages.opened():
                self._decider.passed(door.id, passage.reader, passage.decision)
        for passage in door.passages.given_up(self._clock.monotonic_s()):
            self._decider.not_used(door.id, passage.reader, passage.decision)

    def _say_outputs(self, forgotten: OutputsForgotten) -> None:
        """Say to a reader that has just come (back) what each strike on it is to be."""
        now_s = self._clock.monotonic_s()
        for door in self._doors.values():
            if door.strike_reader == forgotten.reader:
                self._strikes.set(door, door.machine.strike_left_s(now_s) or None)

    def _go_over(self, door: DoorAtWork, mode: ModeSet) -> None:
        self._drive(door, mode)

    # --- orders --------------------------------------------------------------------------------------------------

    def _release_ordered(self, order: ReleaseOrder) -> None:
        """An operator's own decision: it opens a locked door too, also in a lockdown."""
        door = self._doors.get(order.door)
        if door is None:
            order.answer(_unknown_door(order.door))
        elif not self._readers.is_online(door.strike_reader):
            self._counts.add("strike_failures")
            order.answer(Outcome(False, self._offline(door), FailureCode.READER_OFFLINE))
        else:
            self._drive(door, Release(ReleaseCause.COMMAND, order.corr), answer=order.answer)

    def _mode_ordered(self, order: ModeOrder) -> None:
        door = self._doors.get(order.door)
        if door is None:
            order.answer(_unknown_door(order.door))
        elif order.until_s is not None and order.until_s <= self._clock.wall_s():
            order.answer(Outcome(False, "it would end before it began", FailureCode.EXPIRED))
        else:
            self._modes.command(door, Commanded(order.mode, order.until_s, order.corr))
            order.answer(Outcome(True, self._later(door)))

    def _later(self, door: DoorAtWork) -> str:
        """Why a door does not follow an order at once, though it was taken."""
        if self._modes.lockdown:
            return "a lockdown is in force; the door follows when it has ended"
        if not self._readers.is_online(door.strike_reader):
            return f"the door follows when it can: {self._offline(door)}"
        return ""

    def _offline(self, door: DoorAtWork) -> str:
        reader = door.strike_reader
        return f'reader "{reader}", which drives the strike, is offline: {self._readers.why_offline(reader)}'

    def _lockdown_ordered(self, order: LockdownOrder) -> None:
        if self._modes.lock_down(active=order.active, corr=order.corr):
            self._teller.tell_own(LockdownChanged(active=order.active, corr=order.corr))
            order.answer(Outcome(True))
        else:
            order.answer(Outcome(True, "it was so already"))

    def _forgive_ordered(self, order: ForgiveOrder) -> None:
        if order.area is not None and all(area.id != order.area for area in self._store.rules.areas):
            why = f'there is no area "{order.area}" in the rules of this gateway'
            order.answer(Outcome(False, why, FailureCode.UNKNOWN_AREA))
            return
        self._decider.forgive(order.area)
        order.answer(Outcome(True))

    # --- the clock and the policy --------------------------------------------------------------------------------

    def _look_again(self, _order: LookAgain) -> None:
        self._modes.look()
        self._look_at_staleness()

    def _look_at_policy(self) -> None:
        version = self._store.policy[0]
        if version != self._policy_seen:
            self._policy_seen = version
            self._interlocks = {rule.door: rule.interlock for rule in self._store.rules.doors if rule.interlock}
            self._modes.look()
        self._look_at_staleness()

    def _look_at_staleness(self) -> None:
        stale_since_s = self._decider.stale_since(self._clock.wall_s())
        before = self._stale_since
        if (stale_since_s is None) == (before is None):
            return
        since = None if stale_since_s is None else datetime.fromtimestamp(stale_since_s, UTC)
        self._stale_since = since
        told = since or before
        if told is not None:
            self._teller.tell_own(PolicyStale(stale=since is not None, since=told))

    def _tell(self, door: DoorAtWork, data: EventData, at_s: float | None = None) -> None:
        self._teller.tell(door.id, door.config.place, data, at_s)


def _due(deadlines: Mapping[str, float], now_s: float) -> list[str]:
    return [name for name, due_s in deadlines.items() if due_s <= now_s]


def _feedback(decision: Decision) -> Feedback:
    if decision.granted:
        return Feedback.GRANTED
    return Feedback.WAIT if decision.needs is not None else Feedback.DENIED


def _unknown_door(door: str) -> Outcome:
    return Outcome(False, f'there is no door "{door}" at this gateway', FailureCode.UNKNOWN_DOOR)


def _pressed(before: tuple[bool, ...], after: tuple[bool, ...], number: int) -> bool:
    was = number < len(before) and before[number]
    return not was and number < len(after) and after[number]
