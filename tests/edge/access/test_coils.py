"""The outputs of a device as a plain state machine: pulses, what a lost connection means, interlocked pairs."""

import math

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from edge.access.drivers.coils import Coils, Write


def settle(coils: Coils, now_s: float) -> list[Write]:
    """Write what is due now; returns it."""
    writes = []
    while (write := coils.next_write(now_s)) is not None:
        coils.wrote(write, now_s)
        writes.append(write)
        assert len(writes) < 100, "the writes have no end"
    return writes


def test_every_output_is_switched_off_first() -> None:
    assert settle(Coils(2), 0.0) == [Write(0, False), Write(1, False)]


def test_a_pulse_goes_on_and_ends_by_its_time() -> None:
    coils = Coils(1)
    settle(coils, 0.0)
    coils.command(0, 2.0, ticket=7)
    write = coils.next_write(1.0)

    assert write == Write(0, True)
    assert coils.wrote(write, 1.5) == 7, "the write carries the command out"
    assert coils.due_s() == 3.5, "its time runs from the write"
    assert coils.next_write(3.4) is None
    assert settle(coils, 3.5) == [Write(0, False)]
    assert coils.due_s() == math.inf


def test_a_later_command_takes_the_place_of_the_one_before() -> None:
    coils = Coils(1)
    settle(coils, 0.0)
    coils.command(0, 2.0, ticket=1)

    assert coils.command(0, None, ticket=2) == [1]
    assert settle(coils, 0.0) == [Write(0, False)], "an off is written also where the coil is off"


def test_a_repeated_pulse_begins_anew() -> None:
    coils = Coils(1)
    settle(coils, 0.0)
    coils.command(0, 2.0, ticket=1)
    settle(coils, 0.0)
    coils.command(0, 2.0, ticket=2)

    assert settle(coils, 1.0) == [Write(0, True)]
    assert coils.due_s() == 3.0


def test_after_a_lost_connection_a_pulse_whose_time_is_over_is_switched_off() -> None:
    coils = Coils(2)
    settle(coils, 0.0)
    coils.command(0, 2.0, ticket=1)
    coils.command(1, math.inf, ticket=2)
    settle(coils, 0.0)
    coils.forget()

    assert settle(coils, 5.0) == [Write(0, False), Write(1, True)]


def test_after_a_lost_connection_a_command_that_was_not_written_is_void() -> None:
    coils = Coils(2)
    settle(coils, 0.0)
    coils.command(0, 60.0, ticket=1)
    settle(coils, 0.0)
    coils.command(0, None, ticket=2)
    coils.command(1, 60.0, ticket=3)

    assert coils.forget() == [2, 3]
    assert settle(coils, 1.0) == [Write(0, False), Write(1, False)], "an off is kept, an on is not"


def test_of_an_interlocked_pair_the_partner_goes_off_first_and_rests() -> None:
    coils = Coils(2, interlocked=[(0, 1)], min_off_s=0.5)
    settle(coils, 0.0)
    coils.command(0, math.inf, ticket=1)
    settle(coils, 10.0)
    coils.command(1, math.inf, ticket=2)

    assert settle(coils, 20.0) == [Write(0, False)]
    assert coils.due_s() == 20.5
    assert settle(coils, 20.4) == []
    assert settle(coils, 20.5) == [Write(1, True)]


class Played(RuleBasedStateMachine):
    """Coils against a device that takes each write, and forgets nothing, under any order of events."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s, self.ticket = 0.0, 0
        self.coils = Coils(3, interlocked=[(0, 1)], min_off_s=0.5)
        self.device = [False] * 3
        self.off_at = [-math.inf] * 3
        self.ends = [-math.inf] * 3
        self.asked: list[float | None] = [None] * 3
        self.open: set[int] = set()
        self.write_all()

    def write_all(self) -> None:
        for _ in range(50):
            write = self.coils.next_write(self.now_s)
            if write is None:
                return
            self.put(write)
            ticket = self.coils.wrote(write, self.now_s)
            if ticket is not None:
                self.open.discard(ticket)
                self.ends[write.output] = self.now_s + (self.asked[write.output] or 0.0)
        raise AssertionError("the writes have no end")

    def put(self, write: Write) -> None:
        if write.on and write.output < 2:
            partner = 1 - write.output
            assert not self.device[partner], "never both of a pair"
            assert self.now_s - self.off_at[partner] >= 0.5, "the partner has rested"
        if self.device[write.output] and not write.on:
            self.off_at[write.output] = self.now_s
        self.device[write.output] = write.on

    @rule(output=st.integers(0, 2), for_s=st.sampled_from([None, 0.25, 1.0, math.inf]))
    def command(self, output: int, for_s: float | None) -> None:
        self.ticket += 1
        self.open.add(self.ticket)
        self.asked[output] = for_s
        self.open.difference_update(self.coils.command(output, for_s, self.ticket))
        self.write_all()

    @rule(seconds=st.sampled_from([0.125, 0.5, 2.0]))
    def wait(self, seconds: float) -> None:
        until_s = self.now_s + seconds
        for _ in range(50):
            due_s = self.coils.due_s()
            assert due_s > self.now_s, "what is due was written"
            if due_s > until_s:
                break
            self.now_s = due_s
            self.write_all()
        self.now_s = until_s

    @rule(taken=st.booleans())
    def lose(self, taken: bool) -> None:
        """The connection is lost, and with it the answer to a write that the device may have taken."""
        write = self.coils.next_write(self.now_s)
        if write is not None and taken:
            self.put(write)
        self.open.difference_update(self.coils.forget())
        self.write_all()

    @rule()
    def finish(self) -> None:
        self.open.difference_update(self.coils.all_off())
        self.write_all()
        assert self.device == [False] * 3

    @invariant()
    def a_command_waits_only_for_its_partner_to_rest(self) -> None:
        assert len(self.open) <= 1
        assert not self.open or self.now_s < self.coils.due_s() < math.inf

    @invariant()
    def no_pulse_outlasts_its_time(self) -> None:
        assert all(self.now_s < end_s for on, end_s in zip(self.device, self.ends, strict=True) if on)


TestPlayed = Played.TestCase
TestPlayed.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
