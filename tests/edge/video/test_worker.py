"""Threads are replaced when they crash or hang, with back-off; states follow their table."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.backoff import Backoff
from edge.video.states import TRANSITIONS, CameraState, Signal, after
from edge.video.worker import Failure, Run, Worker
from tests.edge.video.parts import SetClock
from tests.support.rtsp import wait_until


@given(st.integers(0, 60), st.floats(0, 0.999))
def test_waits_grow_to_a_bound_and_tremble(failures: int, luck: float) -> None:
    backoff = Backoff(1.0, 60.0, lambda: luck)
    waits = [backoff.next_s() for _ in range(failures + 1)]
    assert 0.75 <= waits[0] <= 1.25
    assert all(0.75 * min(60, 2**i) <= wait <= 1.25 * min(60, 2**i) for i, wait in enumerate(waits))


def test_after_a_recovery_the_first_wait_is_short_again() -> None:
    backoff = Backoff(1.0, 60.0, lambda: 0.5)
    assert [backoff.next_s() for _ in range(3)] == [1.0, 2.0, 4.0]
    backoff.reset()
    assert backoff.next_s() == 1.0


def worker(body: object, clock: SetClock, on_stuck: object = lambda: None) -> Worker:
    assert callable(body)
    assert callable(on_stuck)
    return Worker("w", body, Backoff(1.0, 60.0, lambda: 0.5), clock.monotonic_s, 5.0, on_stuck)


def test_a_crash_is_told_and_restarted_after_the_wait() -> None:
    clock, lives = SetClock(), []

    def body(run: Run) -> None:
        lives.append(run)
        if len(lives) == 1:
            raise RuntimeError("lens cap")
        while not run.pause(0.01):
            pass

    one = worker(body, clock)
    one.start()
    one.join(5.0)
    assert one.tick() is None
    clock.at_s += 0.9
    assert one.tick() is None
    clock.at_s += 0.2
    assert one.tick() == Failure("w", "RuntimeError: lens cap", 1)
    wait_until(lambda: len(lives) == 2, 5.0, "a second life")
    one.stop()
    clock.at_s += 100
    assert one.join(5.0)
    assert one.tick() is None
    assert one.restarts == 1


def test_a_hung_thread_is_given_up_and_replaced_three_times_at_most() -> None:
    clock, release, lives, told = SetClock(), threading.Event(), [], []

    def body(run: Run) -> None:
        lives.append(run)
        release.wait(30.0)

    one = worker(body, clock, lambda: told.append(1))
    one.start()
    for _ in range(40):
        clock.at_s += 60.0
        one.tick()
        clock.at_s += 3.0
        one.tick()
    try:
        assert len(lives) == 3  # two replacements; the third abandoned one is the last that is borne
        assert len(told) == 3
        assert all(run.stopped for run in lives)
    finally:
        release.set()
    wait_until(lambda: clock_on(clock) or one.tick() is not None, 5.0, "a new start once the hung ones came back")
    one.stop()


def clock_on(clock: SetClock) -> bool:
    clock.at_s += 1.0
    return False


def test_every_state_can_be_stopped_and_unknown_signals_are_faults_of_ours() -> None:
    assert set(TRANSITIONS) == set(CameraState)
    assert all(after(state, Signal.STOP) is CameraState.STOPPED for state in CameraState)
    with pytest.raises(ValueError, match="stopped knows no signal picture"):
        after(CameraState.STOPPED, Signal.PICTURE)


@given(st.lists(st.sampled_from([s for s in Signal if s is not Signal.STOP])))
def test_every_state_reached_leads_back_online(signals: list[Signal]) -> None:
    state = CameraState.CONNECTING
    for signal in signals:
        state = TRANSITIONS[state].get(signal, state)
    for signal in (Signal.RETRY, Signal.PICTURE):
        state = TRANSITIONS[state].get(signal, state)
    assert state is CameraState.ONLINE
