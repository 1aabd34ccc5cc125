"""How far the gateway may trust its own clock, and how long the hub has been silent.

While the gateway runs, silence is measured on the monotonic clock, which does not jump; across a restart by the wall
clock and the last moment on disk.
"""

import math

from edge.access.ledgers import Ledgers
from edge.clock import Clock

JUMP_S = 60.0
"""A jump forward up to this is a correction; beyond it, and backwards, what expires is not judged until settled."""
_HEARD, _SEEN = "heard", "seen"


class ClockTrust:
    """Whether the wall clock may be trusted with what expires."""

    def __init__(self, ledgers: Ledgers, clock: Clock) -> None:
        self._ledgers = ledgers
        seen_s = ledgers.moment(_SEEN)
        self._floor_s = seen_s if seen_s is not None and clock.wall_s() < seen_s - JUMP_S else -math.inf
        """The clock of a gateway that starts in its own past is trusted when it has come this far, or is settled."""
        self._jumped = False

    def holds(self, wall_s: float) -> bool:
        """Whether the clock is trusted; notes, once a minute, how far it has come."""
        if self._jumped or wall_s < self._floor_s:
            return False
        self._ledgers.note_moment(_SEEN, wall_s)
        return True

    def jumped(self, delta_s: float) -> None:
        """The wall clock moved by so much against the monotonic one."""
        if delta_s < 0 or delta_s > JUMP_S:
            self._jumped = True

    def settled(self) -> None:
        """The clock is right, as far as anybody can tell (it is synchronised, or the hub's agrees with it)."""
        self._jumped, self._floor_s = False, -math.inf


class HubNews:
    """When the hub was last heard. A gateway that has never heard it counts from its first start."""

    def __init__(self, ledgers: Ledgers, clock: Clock) -> None:
        self._ledgers, self._clock = ledgers, clock
        if ledgers.moment(_HEARD) is None:
            ledgers.note_moment(_HEARD, clock.wall_s())
        self._heard_wall_s = ledgers.moment(_HEARD) or 0.0
        self._heard_monotonic_s: float | None = None

    def heard(self, wall_s: float, ago_s: float = 0.0) -> None:
        """The hub was there `ago_s` before now, which is `wall_s`; the wall clock's moment is kept for after a restart.
        What is older than the newest news changes nothing."""
        monotonic_s = self._clock.monotonic_s() - ago_s
        if self._heard_monotonic_s is not None and monotonic_s < self._heard_monotonic_s:
            return
        self._heard_wall_s, self._heard_monotonic_s = wall_s - ago_s, monotonic_s
        self._ledgers.note_moment(_HEARD, wall_s - ago_s)

    @property
    def heard_wall_s(self) -> float:
        return self._heard_wall_s

    def silent_s(self, wall_s: float) -> float:
        """For how long the hub has been silent; infinite if the clock stands before the last news of it."""
        if self._heard_monotonic_s is not None:
            return self._clock.monotonic_s() - self._heard_monotonic_s
        silent_s = wall_s - self._heard_wall_s
        return math.inf if silent_s < -JUMP_S else max(silent_s, 0.0)
