"""The door's state machine: its table row by row, and against a slow model that replays the whole history each time."""

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
    DoorMachine,
    DoorState,
    Release,
    Rest,
    Stimulus,
    StrikeSet,
    Tick,
    Told,
)
from protocols.access_events import DoorClosed, DoorForced, DoorHeld, DoorOpened, DoorReleased, ReleaseCause

RELEASE_S, HELD_S = 5.0, 30.0
CREDENTIAL = Release(ReleaseCause.CREDENTIAL)


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
        self.is_open: bool | None = None
        self.strike_until: float | None = None
        self.relocked = -1000.0
        self.opened = 0.0

    def read(self, history: list[Happened], now_s: float) -> tuple[str, bool]:
        for tenth in range(round(now_s * 10) + 1):
            time_s = tenth / 10
            self.time(time_s)
            for happened in history:
                if happened.at_s == time_s:
                    getattr(self, happened.what)(time_s)
        return self.state, self.strike_until is not None

    def time(self, time_s: float) -> None:
        if self.strike_until is not None and time_s >= self.strike_until:
            self.strike_off(self.strike_until)
            if self.state == "released":
                self.state = "unknown" if self.is_open is None else "locked"
        if self.state == "open" and time_s >= self.opened + HELD_S:
            self.state = "held"

    def strike_off(self, time_s: float) -> None:
        if self.strike_until is not None:
            self.strike_until, self.relocked = None, time_s

    def release(self, time_s: float) -> None:
        self.strike_until = time_s + RELEASE_S
        if self.state in ("unknown", "locked"):
            self.state = "released"

    def open(self, time_s: float) -> None:
        if self.is_open is True:
            return
        first, self.is_open, self.opened = self.is_open is None, True, time_s
        allowed = self.state == "released" or time_s - self.relocked <= OPENING_GRACE_S
        if allowed and self.relock is Relock.OPEN:
            self.strike_off(time_s)
        self.state = "open" if allowed or first else "forced"

    def close(self, time_s: float) -> None:
        if self.is_open is True:
            self.strike_off(time_s)
            self.state = "locked"
        elif self.is_open is None and self.state == "unknown":
            self.state = "locked"
        self.is_open = False


class DoorAgainstModel(RuleBasedStateMachine):
    """Any history of releases, contact reports and time leads machine and model to the same state."""

    @initialize(relock=st.sampled_from(Relock))
    def begin(self, relock: Relock) -> None:
        self.relock = relock
        self.door = DoorMachine(RELEASE_S, HELD_S, relock, has_contact=True)
        self.now_s = 0.0
        self.history: list[Happened] = []
        self.strike_said = False

    @rule()
    def release(self) -> None:
        self._give("release", CREDENTIAL)

    @rule(is_open=st.booleans())
    def contact(self, is_open: bool) -> None:
        self._give("open" if is_open else "close", ContactReport(is_open))

    @rule(tenths=st.integers(1, 400), tick=st.booleans())
    def time_passes(self, tenths: int, tick: bool) -> None:
        """Sometimes without a tick, as when the thread is late."""
        self.now_s = (round(self.now_s * 10) + tenths) / 10
        if tick:
            self._receive(Tick())

    @invariant()
    def agrees(self) -> None:
        if self.history:
            self._receive(Tick())
            assert (self.door.state.value, self.door.strike_on) == SlowDoor(self.relock).read(self.history, self.now_s)
            assert self.strike_said == self.door.strike_on

    def _give(self, what: str, given: Release | ContactReport) -> None:
        self.history.append(Happened(self.now_s, what))
        self._receive(given)

    def _receive(self, given: Release | ContactReport | Tick) -> None:
        for effect in self.door.receive(given, self.now_s):
            if isinstance(effect, StrikeSet):
                self.strike_said = effect.for_s is not None


TestDoorAgainstModel = DoorAgainstModel.TestCase
TestDoorAgainstModel.settings = settings(max_examples=120, stateful_step_count=25, deadline=None)
