"""Guessing is slowed down, and the memory that takes is bounded."""

import pytest

from cloud.accounts.throttle import (
    FORGET_AFTER_S,
    FREE_TRIES,
    FREE_TRIES_OF_ADDRESS,
    LONGEST_WAIT_S,
    LoginThrottle,
    Throttled,
)


class Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def use_up(throttle: LoginThrottle, username: str = "guard", address: str = "10.0.0.1") -> None:
    for _ in range(FREE_TRIES):
        throttle.begin(username, address)


def wait_of(throttle: LoginThrottle, username: str = "guard", address: str = "10.0.0.1") -> float:
    with pytest.raises(Throttled) as refusal:
        throttle.begin(username, address)
    return refusal.value.retry_after_s


def test_waits_double_up_to_the_longest() -> None:
    clock = Clock()
    throttle = LoginThrottle(clock)
    use_up(throttle)
    waits = []
    for _ in range(12):
        waits.append(wait_of(throttle))
        clock.now_s += waits[-1]
        throttle.begin("guard", "10.0.0.1")
    assert waits[:4] == [2.0, 4.0, 8.0, 16.0]
    assert waits[-1] == LONGEST_WAIT_S


def test_a_stranger_elsewhere_does_not_lock_a_guard_out() -> None:
    throttle = LoginThrottle(Clock())
    use_up(throttle, address="10.6.6.6")
    throttle.begin("guard", "10.0.0.1")


def test_upper_and_lower_case_are_one_account() -> None:
    throttle = LoginThrottle(Clock())
    use_up(throttle)
    wait_of(throttle, username="GUARD")


def test_one_address_over_many_accounts_is_slowed_too() -> None:
    throttle = LoginThrottle(Clock())
    for number in range(FREE_TRIES_OF_ADDRESS):
        throttle.begin(f"user{number}", "10.0.0.1")
    assert wait_of(throttle, "another") == 2.0


def test_success_and_time_forgive() -> None:
    clock = Clock()
    throttle = LoginThrottle(clock)
    use_up(throttle)
    throttle.succeeded("guard", "10.0.0.1")
    use_up(throttle)
    clock.now_s += FORGET_AFTER_S + 1
    use_up(throttle)


def test_the_table_is_bounded() -> None:
    throttle = LoginThrottle(Clock(), max_entries=10)
    use_up(throttle)
    for number in range(10):
        throttle.begin(f"user{number}", f"10.1.0.{number}")
    throttle.begin("guard", "10.0.0.1")  # the oldest entry gave way
