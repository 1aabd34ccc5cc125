"""The gateway's two clocks, passed to whatever needs the time so that tests of time take none."""

import time
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Moment:
    """One instant by both clocks: seconds since the Unix epoch (may jump) and monotonic seconds (never do)."""

    wall_s: float
    monotonic_s: float


@dataclass(frozen=True)
class HubTime:
    """The hub's wall clock said `wall_s` at some instant between `asked_s` and `heard_s` of our monotonic clock."""

    wall_s: float
    asked_s: float
    heard_s: float


class Clock(Protocol):
    def wall_s(self) -> float:
        """Seconds since the Unix epoch, UTC; may jump."""
        ...

    def monotonic_s(self) -> float:
        """Seconds since the machine's boot; never jumps."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def wall_s(self) -> float:
        return time.time()

    def monotonic_s(self) -> float:
        return time.monotonic()


def now(clock: Clock) -> Moment:
    """This instant by both clocks."""
    return Moment(clock.wall_s(), clock.monotonic_s())
