"""Any history of cards, buttons, orders, lockdowns, openings and restarts, against what must always hold at a door."""

import math
import tempfile
import uuid
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from edge.access.orders import ReleaseOrder
from protocols.access_events import AccessGranted, DoorForced, DoorHeld, DoorMode
from tests.edge.access.test_controller_doors import Doors
from tests.support.deciding import card_row

RELEASE_S = 5.0


class DoorsAlways(RuleBasedStateMachine):
    """Two doors. `wanted` is what operators asked for, kept here by the plainest means."""

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.doors = Doors(Path(self.folder.name))
        self.doors.permit(card_row("w26:12:345", "all"))
        self.wanted = {1: DoorMode.NORMAL, 2: DoorMode.NORMAL}
        self.lockdown = False
        self.let_out_s = {1: -math.inf, 2: -math.inf}
        """When somebody was last let go who is not stopped by a mode: by the button or by an operator."""
        self.let_in_s = {1: -math.inf, 2: -math.inf}
        self.on = {1: False, 2: False}
        self.is_open = {1: False, 2: False}

    def teardown(self) -> None:
        self.doors.close()
        self.folder.cleanup()

    def mode(self, number: int) -> DoorMode:
        return DoorMode.LOCKED if self.lockdown else self.wanted[number]

    @rule(number=st.sampled_from([1, 2]))
    def somebody_presents_a_card(self, number: int) -> None:
        self.doors.log.clear()
        self.doors.card(number=number)
        granted = bool(self.doors.told(AccessGranted))
        assert granted == (self.mode(number) is not DoorMode.LOCKED)
        if granted:
            self.let_in_s[number] = self.now_s
        self.follow()

    @rule(number=st.sampled_from([1, 2]))
    def somebody_leaves(self, number: int) -> None:
        self.doors.log.clear()
        self.doors.inputs(number, is_open=self.is_open[number], button=True)
        self.doors.inputs(number, is_open=self.is_open[number])
        self.let_out_s[number] = self.now_s
        assert self.doors.strikes(number)[0] in (RELEASE_S, math.inf)
        self.follow()

    @rule(number=st.sampled_from([1, 2]))
    def an_operator_releases(self, number: int) -> None:
        self.doors.log.clear()
        self.doors.give(ReleaseOrder(f"d{number}", uuid.uuid4(), self.doors.answers.append))
        self.let_out_s[number] = self.now_s
        assert self.doors.answers[-1].done
        self.follow()

    @rule(number=st.sampled_from([1, 2]), mode=st.sampled_from(DoorMode))
    def an_operator_sets_a_mode(self, number: int, mode: DoorMode) -> None:
        self.doors.log.clear()
        assert self.doors.mode(mode, number).done
        self.wanted[number] = mode
        self.follow()

    @rule(active=st.booleans())
    def a_lockdown_begins_or_ends(self, active: bool) -> None:
        self.doors.log.clear()
        assert self.doors.lock_down(active=active).done
        self.lockdown = active
        self.follow()

    @rule(number=st.sampled_from([1, 2]))
    def a_door_moves(self, number: int) -> None:
        self.doors.log.clear()
        self.is_open[number] = not self.is_open[number]
        self.doors.inputs(number, is_open=self.is_open[number])
        if self.mode(number) is DoorMode.FREE:
            assert not self.doors.told(DoorForced)
        self.follow()

    @rule(tenths=st.one_of(st.integers(1, 12), st.integers(45, 65), st.integers(300, 400)))
    def time_passes(self, tenths: int) -> None:
        self.doors.log.clear()
        self.doors.wait(tenths / 10)
        if self.mode(1) is self.mode(2) is DoorMode.FREE:
            assert not self.doors.told(DoorHeld)
        self.follow()

    @precondition(lambda self: not any(self.is_open.values()))
    @rule()
    def the_gateway_restarts(self) -> None:
        self.doors.again()
        self.on = {1: False, 2: False}  # its drivers let every strike go at the end
        self.let_in_s = {1: -math.inf, 2: -math.inf}
        self.doors.log.clear()
        self.doors.wait(0.1)
        for number in (1, 2):
            self.on[number] = self.mode(number) is DoorMode.FREE

    @property
    def now_s(self) -> float:
        return self.doors.clock.monotonic_s()

    def follow(self) -> None:
        for number in (1, 2):
            for for_s in self.doors.strikes(number):
                self.on[number] = for_s is not None

    @invariant()
    def every_door_is_in_the_mode_that_was_asked_for(self) -> None:
        assert [door.mode for door in self.doors.control.doors()] == [self.mode(1), self.mode(2)]

    @invariant()
    def a_strike_is_as_the_status_says(self) -> None:
        for number, door in enumerate(self.doors.control.doors(), 1):
            assert door.strike_on == self.on[number]

    @invariant()
    def a_strike_is_on_for_a_reason_and_no_longer_than_it_lasts(self) -> None:
        for number in (1, 2):
            if self.mode(number) is DoorMode.FREE:
                assert self.on[number]
            elif self.on[number]:
                last_s = self.let_out_s[number]
                if self.mode(number) is DoorMode.NORMAL:
                    last_s = max(last_s, self.let_in_s[number])
                assert self.now_s <= last_s + RELEASE_S + 1e-6


TestDoorsAlways = DoorsAlways.TestCase
TestDoorsAlways.settings = settings(max_examples=25, stateful_step_count=40, deadline=None)
