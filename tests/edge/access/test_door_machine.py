"""The door's state machine: its table row by row, and against a slow model that replays the whole history each time."""

import math
import uuid
from dataclasses import dataclass

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from edge.access.config import Relock
from edge.access.door import (
    OPENING_GRACE_S,
    TRANSITIONS,
    ContactReport,
    DoorInput,
    DoorMachine,
    DoorState,
    Effect,
    Excuse,
    ModeSet,
    Release,
    Rest,
    Stimulus,
    StrikeSet,
    Tick,
    Told,
    WarnHeld,
)
from protocols.access_events import (
    DoorClosed,
    DoorForced,
    DoorHeld,
    DoorMode,
    DoorModeChanged,
    DoorOpened,
    DoorReleased,
    ModeCause,
    ReleaseCause,
)

RELEASE_S, HELD_S = 5.0, 30.0
CREDENTIAL = Release(ReleaseCause.CREDENTIAL)
EXIT = Release(ReleaseCause.REQUEST_TO_EXIT)


def closed_door(relock: Relock = Relock.OPEN) -> DoorMachine:
    door = DoorMachine(RELEASE_S, HELD_S, relock, has_contact=True)
    door.receive(ContactReport(False), 0.0)
    return door


def told(effects: list[object]) -> list[object]:
    return [effect.data for effect in effects if isinstance(effect, Told)]


def test_a_release_switches_the_strike_on_and_its_time_switches_it_off() -> None:
    door = closed_door()

    assert door.receive(CREDENTIAL, 10.0) == [StrikeSet(RELEASE_S)]
    assert door.state is DoorState.RELEASED
    assert door.deadline_s == 15.0
    assert door.receive(Tick(), 15.0) == [StrikeSet(None)]
    assert door.state is DoorState.LOCKED
    assert door.deadline_s is None


def test_a_second_release_begins_the_time_anew() -> None:
    door = closed_door()
    door.receive(CREDENTIAL, 10.0)
    door.receive(CREDENTIAL, 14.0)

    assert door.receive(Tick(), 15.0) == []
    assert door.receive(Tick(), 19.0) == [StrikeSet(None)]


def test_opening_relocks_at_once_or_on_closing_as_configured() -> None:
    on_open, on_close = closed_door(Relock.OPEN), closed_door(Relock.CLOSE)
    for door in (on_open, on_close):
        door.receive(CREDENTIAL, 10.0)

    assert on_open.receive(ContactReport(True), 11.0) == [
        StrikeSet(None),
        Told(DoorOpened(cause=ReleaseCause.CREDENTIAL)),
    ]
    assert on_close.receive(ContactReport(True), 11.0) == [Told(DoorOpened(cause=ReleaseCause.CREDENTIAL))]
    assert on_close.receive(ContactReport(False), 13.0) == [StrikeSet(None), Told(DoorClosed(open_s=2.0))]


def test_a_door_that_stands_open_is_held_once() -> None:
    door = closed_door()
    door.receive(CREDENTIAL, 10.0)
    door.receive(ContactReport(True), 11.0)

    assert told(door.receive(Tick(), 41.0)) == [DoorHeld(open_s=HELD_S)]
    assert door.receive(Tick(), 400.0) == []
    assert told(door.receive(ContactReport(False), 401.0)) == [DoorClosed(open_s=390.0)]


def test_an_unreleased_opening_is_forced_until_the_door_closes() -> None:
    door = closed_door()

    assert told(door.receive(ContactReport(True), 100.0)) == [DoorForced()]
    assert door.receive(Tick(), 1000.0) == []
    assert told(door.receive(ContactReport(False), 103.0)) == [DoorClosed(open_s=3.0)]
    assert door.state is DoorState.LOCKED


def test_an_opening_reported_just_after_the_release_is_not_forced_but_a_later_one_is() -> None:
    soon, late = closed_door(), closed_door()
    for door in (soon, late):
        door.receive(CREDENTIAL, 10.0)

    assert told(soon.receive(ContactReport(True), 15.0 + OPENING_GRACE_S)) == [
        DoorOpened(cause=ReleaseCause.CREDENTIAL)
    ]
    assert told(late.receive(ContactReport(True), 15.1 + OPENING_GRACE_S)) == [DoorForced()]


def test_a_gateway_that_starts_with_the_door_open_raises_no_forced_but_still_held() -> None:
    door = DoorMachine(RELEASE_S, HELD_S, Relock.OPEN, has_contact=True)
    assert door.state is DoorState.UNKNOWN

    assert told(door.receive(ContactReport(True), 1.0)) == [DoorOpened(cause=ReleaseCause.UNKNOWN)]
    assert told(door.receive(Tick(), 31.0)) == [DoorHeld(open_s=HELD_S)]
    assert told(door.receive(ContactReport(False), 40.0)) == [DoorClosed(open_s=39.0)]


def test_a_gateway_that_starts_with_the_door_shut_tells_it_so_that_the_hub_knows() -> None:
    door = DoorMachine(RELEASE_S, HELD_S, Relock.OPEN, has_contact=True)

    assert told(door.receive(ContactReport(False), 1.0)) == [DoorClosed(open_s=0.0)]


def test_a_release_before_the_contact_ever_reported_falls_back_to_unknown() -> None:
    door = DoorMachine(RELEASE_S, HELD_S, Relock.OPEN, has_contact=True)
    door.receive(CREDENTIAL, 1.0)

    door.receive(Tick(), 6.0)

    assert door.state is DoorState.UNKNOWN


def test_a_door_without_a_contact_knows_locked_and_released() -> None:
    door = DoorMachine(RELEASE_S, HELD_S, Relock.OPEN, has_contact=False)
    assert door.state is DoorState.LOCKED

    door.receive(CREDENTIAL, 1.0)
    door.receive(Tick(), 6.0)

    assert door.state is DoorState.LOCKED


@pytest.mark.parametrize("cause", [ReleaseCause.REQUEST_TO_EXIT, ReleaseCause.COMMAND])
def test_a_release_that_no_credential_explains_is_told(cause: ReleaseCause) -> None:
    corr = uuid.uuid4()

    assert told(closed_door().receive(Release(cause, corr), 1.0)) == [DoorReleased(cause=cause, corr=corr)]


def test_a_held_or_forced_door_still_takes_a_release_and_stays_what_it_is() -> None:
    door = closed_door()
    door.receive(ContactReport(True), 1.0)

    assert door.receive(CREDENTIAL, 2.0) == [StrikeSet(RELEASE_S)]
    assert door.receive(Tick(), 7.0) == [StrikeSet(None)]
    assert door.state is DoorState.FORCED


def test_every_state_takes_a_release_and_every_open_state_a_closing() -> None:
    assert all((state, Stimulus.RELEASE) in TRANSITIONS for state in DoorState)
    for state in (DoorState.OPEN, DoorState.HELD, DoorState.FORCED):
        assert TRANSITIONS[state, Stimulus.CLOSED][0] is Rest.REST


def mode(mode: DoorMode, cause: ModeCause = ModeCause.COMMAND) -> ModeSet:
    return ModeSet(mode, cause)


def test_a_free_door_has_its_strike_on_until_further_notice_and_no_opening_is_an_alarm() -> None:
    door = closed_door()

    assert door.receive(mode(DoorMode.FREE), 10.0) == [
        StrikeSet(math.inf),
        Told(DoorModeChanged(mode=DoorMode.FREE, cause=ModeCause.COMMAND)),
    ]
    assert (door.state, door.strike_left_s(1e6), door.deadline_s) == (DoorState.RELEASED, math.inf, None)
    assert door.receive(ContactReport(True), 5000.0) == [Told(DoorOpened(cause=ReleaseCause.FREE_PASSAGE))]
    assert door.receive(Tick(), 50_000.0) == []
    assert door.receive(ContactReport(False), 50_001.0) == [Told(DoorClosed(open_s=45_001.0))]
    assert (door.state, door.strike_on) == (DoorState.RELEASED, True)


def test_the_end_of_free_passage_switches_the_strike_off_and_begins_to_watch_an_open_door() -> None:
    door = closed_door()
    door.receive(mode(DoorMode.FREE), 10.0)
    door.receive(ContactReport(True), 20.0)

    assert door.receive(mode(DoorMode.NORMAL), 100.0)[0] == StrikeSet(None)
    assert told(door.receive(Tick(), 100.0 + HELD_S)) == [DoorHeld(open_s=110.0)]


def test_an_opening_just_after_free_passage_ended_is_not_forced() -> None:
    soon, late = closed_door(), closed_door()
    for door in (soon, late):
        door.receive(mode(DoorMode.FREE), 10.0)
        door.receive(mode(DoorMode.NORMAL), 100.0)

    assert told(soon.receive(ContactReport(True), 100.9)) == [DoorOpened(cause=ReleaseCause.FREE_PASSAGE)]
    assert told(late.receive(ContactReport(True), 101.1)) == [DoorForced()]


def test_freeing_a_held_or_forced_door_ends_the_alarm() -> None:
    forced, held = closed_door(), closed_door()
    forced.receive(ContactReport(True), 100.0)
    held.receive(CREDENTIAL, 100.0)
    held.receive(ContactReport(True), 101.0)
    held.receive(Tick(), 200.0)
    assert (forced.state, held.state) == (DoorState.FORCED, DoorState.HELD)

    for door in (forced, held):
        door.receive(mode(DoorMode.FREE), 300.0)
        assert door.state is DoorState.OPEN


def test_locking_ends_a_release_but_not_that_of_somebody_on_the_way_out() -> None:
    comes, leaves = closed_door(), closed_door()
    comes.receive(CREDENTIAL, 10.0)
    leaves.receive(EXIT, 10.0)
    leaves.receive(CREDENTIAL, 11.0)

    assert comes.receive(mode(DoorMode.LOCKED), 12.0)[0] == StrikeSet(None)
    assert leaves.receive(mode(DoorMode.LOCKED), 12.0)[0] == StrikeSet(3.0)
    assert (comes.state, leaves.state) == (DoorState.LOCKED, DoorState.RELEASED)
    assert leaves.receive(Tick(), 15.0) == [StrikeSet(None)]


def test_a_way_out_works_at_a_locked_door() -> None:
    door = closed_door()
    door.receive(mode(DoorMode.LOCKED, ModeCause.LOCKDOWN), 1.0)

    assert door.receive(EXIT, 10.0)[0] == StrikeSet(RELEASE_S)
    assert told(door.receive(ContactReport(True), 11.0)) == [DoorOpened(cause=ReleaseCause.REQUEST_TO_EXIT)]


def test_a_device_that_let_its_door_go_excuses_an_opening_and_no_strike_is_switched() -> None:
    excused, late = closed_door(), closed_door()
    for door in (excused, late):
        assert door.receive(Excuse(ReleaseCause.DEVICE), 10.0) == [Told(DoorReleased(cause=ReleaseCause.DEVICE))]
        assert door.state is DoorState.LOCKED

    assert told(excused.receive(ContactReport(True), 15.9)) == [DoorOpened(cause=ReleaseCause.DEVICE)]
    assert told(late.receive(ContactReport(True), 16.1)) == [DoorForced()]


def test_an_excuse_is_for_one_opening() -> None:
    door = closed_door()
    door.receive(Excuse(ReleaseCause.DEVICE), 10.0)
    door.receive(ContactReport(True), 10.5)
    door.receive(ContactReport(False), 11.0)

    assert told(door.receive(ContactReport(True), 13.0)) == [DoorForced()]


@pytest.mark.parametrize(("before_s", "warned_s"), [(10.0, 31.0), (29.0, 26.0), (1.0, 40.0)])
def test_the_readers_warn_once_before_a_door_counts_as_held_but_not_in_its_first_half(
    before_s: float, warned_s: float
) -> None:
    door = DoorMachine(RELEASE_S, HELD_S, Relock.OPEN, has_contact=True, warn_before_held_s=before_s)
    door.receive(ContactReport(False), 0.0)
    door.receive(CREDENTIAL, 10.0)
    door.receive(ContactReport(True), 11.0)

    assert door.deadline_s == warned_s
    assert door.receive(Tick(), warned_s) == [WarnHeld()]
    assert told(door.receive(Tick(), 41.0)) == [DoorHeld(open_s=HELD_S)]


def test_no_warning_comes_after_the_door_was_closed_or_freed() -> None:
    closed, freed = (
        DoorMachine(RELEASE_S, HELD_S, Relock.OPEN, has_contact=True, warn_before_held_s=10.0) for _ in range(2)
    )
    for door in (closed, freed):
        door.receive(ContactReport(False), 0.0)
        door.receive(CREDENTIAL, 10.0)
        door.receive(ContactReport(True), 11.0)
    closed.receive(ContactReport(False), 20.0)
    freed.receive(mode(DoorMode.FREE), 20.0)

    assert closed.receive(Tick(), 500.0) == freed.receive(Tick(), 500.0) == []


def test_a_command_at_a_free_door_is_told_and_leaves_it_free() -> None:
    door, corr = closed_door(), uuid.uuid4()
    door.receive(mode(DoorMode.FREE), 1.0)

    effects = door.receive(Release(ReleaseCause.COMMAND, corr), 2.0)

    assert effects == [StrikeSet(math.inf), Told(DoorReleased(cause=ReleaseCause.COMMAND, corr=corr))]
    assert door.deadline_s is None


@dataclass(frozen=True)
class Happened:
    """One thing in a door's history, for the model."""

    at_s: float
    what: str


class SlowDoor:
    """Reads a whole history in steps of a tenth of a second: slow, and plain to see."""

    def __init__(self, relock: Relock) -> None:
        self.relock = relock
        self.state = "unknown"
        self.mode = "normal"
        self.is_open: bool | None = None
        self.strike_until: float | None = None
        self.exit_until = -1000.0
        self.relocked = -1000.0
        self.excused_until = -1000.0
        self.watched_since: float | None = None
        self.forced = 0

    def read(self, history: list[Happened], now_s: float) -> tuple[str, bool, int]:
        for tenth in range(round(now_s * 10) + 1):
            time_s = tenth / 10
            self.time(time_s)
            for happened in history:
                if happened.at_s == time_s:
                    getattr(self, happened.what)(time_s)
        return self.state, self.strike_is_on, self.forced

    @property
    def strike_is_on(self) -> bool:
        return self.mode == "free" or self.strike_until is not None

    def time(self, time_s: float) -> None:
        if self.strike_until is not None and time_s >= self.strike_until:
            self.strike_off(self.strike_until)
            self.rest()
        if self.state == "open" and self.watched_since is not None and time_s >= self.watched_since + HELD_S:
            self.state = "held"

    def rest(self) -> None:
        if self.state in ("locked", "unknown", "released"):
            shut = "unknown" if self.is_open is None else "locked"
            self.state = "released" if self.strike_is_on else shut

    def strike_off(self, time_s: float) -> None:
        self.exit_until = -1000.0
        if self.strike_until is not None:
            self.strike_until, self.relocked = None, time_s

    def release(self, time_s: float) -> None:
        if self.mode != "free":
            self.strike_until = time_s + RELEASE_S
        self.rest()

    def exit(self, time_s: float) -> None:
        self.exit_until = time_s + RELEASE_S
        self.release(time_s)

    def excuse(self, time_s: float) -> None:
        self.excused_until = time_s + RELEASE_S + OPENING_GRACE_S

    def normal(self, time_s: float) -> None:
        if self.mode == "free":
            self.restrict(time_s)
        self.mode = "normal"
        self.rest()

    def lock(self, time_s: float) -> None:
        self.restrict(time_s)
        self.mode = "locked"
        self.rest()

    def free(self, time_s: float) -> None:
        if self.mode != "free":
            self.mode, self.strike_until, self.watched_since = "free", None, None
            self.state = "open" if self.is_open else "released"

    def restrict(self, time_s: float) -> None:
        if self.mode == "free":
            self.relocked = time_s
            self.watched_since = time_s if self.is_open else None
        if self.exit_until > time_s:
            self.strike_until = self.exit_until
        elif self.strike_until is not None:
            self.strike_until, self.relocked = None, time_s

    def open(self, time_s: float) -> None:
        if self.is_open is True:
            return
        first, self.is_open = self.is_open is None, True
        soon = time_s - self.relocked <= OPENING_GRACE_S or time_s <= self.excused_until
        allowed = self.state == "released" or soon
        if allowed and self.relock is Relock.OPEN:
            self.strike_off(time_s)
        self.state = "open" if allowed or first else "forced"
        self.watched_since = time_s if self.state == "open" and self.mode != "free" else None
        self.forced += self.state == "forced"

    def close(self, time_s: float) -> None:
        first, was_open, self.is_open = self.is_open is None, self.is_open, False
        if first or was_open:
            self.excused_until = min(self.excused_until, time_s + OPENING_GRACE_S)
        if was_open:
            self.strike_off(time_s)
            self.state, self.watched_since = "locked", None
        self.rest()


GIVEN: dict[str, DoorInput] = {
    "release": CREDENTIAL,
    "exit": EXIT,
    "excuse": Excuse(ReleaseCause.DEVICE),
    "open": ContactReport(True),
    "close": ContactReport(False),
    "free": mode(DoorMode.FREE),
    "lock": mode(DoorMode.LOCKED),
    "normal": mode(DoorMode.NORMAL),
}


class DoorAgainstModel(RuleBasedStateMachine):
    """Any history of releases, modes, contact reports and time leads machine and model to the same state."""

    @initialize(relock=st.sampled_from(Relock))
    def begin(self, relock: Relock) -> None:
        self.relock = relock
        self.door = DoorMachine(RELEASE_S, HELD_S, relock, has_contact=True, warn_before_held_s=10.0)
        self.now_s = 0.0
        self.history: list[Happened] = []
        self.strike_until_s: float | None = None
        self.last_release_s = -math.inf
        self.forced = 0

    @rule(what=st.sampled_from(sorted(GIVEN)))
    def something_happens(self, what: str) -> None:
        self.history.append(Happened(self.now_s, what))
        if what in ("release", "exit"):
            self.last_release_s = self.now_s
        self._receive(GIVEN[what])

    @rule()
    def the_door_moves(self) -> None:
        self.something_happens("close" if self.door.contact_open else "open")

    @rule()
    def somebody_leaves(self) -> None:
        """A way out works whatever went before: in every state, mode and lockdown."""
        self.history.append(Happened(self.now_s, "exit"))
        self.last_release_s = self.now_s
        assert self._receive(EXIT)[0] in (StrikeSet(RELEASE_S), StrikeSet(math.inf))

    @rule(tenths=st.one_of(st.integers(1, 15), st.integers(30, 70), st.integers(250, 350)), tick=st.booleans())
    def time_passes(self, tenths: int, tick: bool) -> None:
        """Sometimes without a tick, as when the thread is late."""
        self.now_s = (round(self.now_s * 10) + tenths) / 10
        if tick:
            self._receive(Tick())

    @invariant()
    def agrees(self) -> None:
        if self.history:
            self._receive(Tick())
            stands = self.door.state.value, self.door.strike_on, self.forced
            assert stands == SlowDoor(self.relock).read(self.history, self.now_s)

    @invariant()
    def the_strike_was_told_what_the_machine_believes(self) -> None:
        assert (self.strike_until_s is not None) == self.door.strike_on

    @invariant()
    def the_strike_is_on_only_for_free_passage_or_a_release_and_no_longer_than_one_lasts(self) -> None:
        if self.strike_until_s is not None and self.door.mode is not DoorMode.FREE:
            assert self.now_s <= self.strike_until_s <= self.last_release_s + RELEASE_S + 1e-6

    @invariant()
    def a_timer_is_never_overdue_after_a_tick(self) -> None:
        if self.history:
            self._receive(Tick())
            assert self.door.deadline_s is None or self.door.deadline_s > self.now_s

    @invariant()
    def a_free_door_raises_no_alarm(self) -> None:
        if self.door.mode is DoorMode.FREE:
            assert self.door.state in (DoorState.RELEASED, DoorState.OPEN)

    def _receive(self, given: DoorInput) -> list[Effect]:
        effects = self.door.receive(given, self.now_s)
        for effect in effects:
            if isinstance(effect, StrikeSet):
                self.strike_until_s = None if effect.for_s is None else self.now_s + effect.for_s
            elif isinstance(effect, Told):
                self.forced += isinstance(effect.data, DoorForced)
        return effects


TestDoorAgainstModel = DoorAgainstModel.TestCase
TestDoorAgainstModel.settings = settings(max_examples=400, stateful_step_count=40, deadline=None)
