"""Watching the wall clock: whether it is synchronised, whether it jumped against the monotonic clock, and whether the
hub's agrees with it."""

import ctypes
import sys
from collections.abc import Callable

from edge.clock import Clock, HubTime
from edge.counters import Counters
from protocols.events import ClockJumped, ClockState

JUMP_S = 2.0
"""A difference beyond this is a jump; a disciplined clock is slewed by at most 500 ppm."""
SETTLED_AFTER_S = 10.0
"""A clock that jumped, or whose gateway has just started, is trusted when the kernel holds it for synchronised so long
after. Setting a clock by hand takes that word from it (adjtimex(2), STA_UNSYNC): then a time server gives the trust
back, or the hub's agreeing."""
HUB_AGREES_WITHIN_S = 5.0
"""How far the wall clock may be from the hub's to be confirmed by it, beside what the answer's travel leaves open."""
MAX_TRAVEL_S = 10.0
"""An answer of the hub that was longer on its way says too little about the time."""
_STA_UNSYNC = 0x0040
_TIME_ERROR = 5
_TIMEX_BYTES = 256
"""More than `struct timex` (208 bytes on 64-bit Linux, 128 on 32-bit)."""
_STATUS_OFFSET = 5 * ctypes.sizeof(ctypes.c_long)
"""After `modes` (padded to a long), `offset`, `freq`, `maxerror` and `esterror` comes `status` (adjtimex(2))."""

ReadSynchronised = Callable[[], bool]


def kernel_says_synchronised() -> bool:
    """Whether the kernel holds the wall clock for synchronised (adjtimex(2), read only); no if it cannot be asked."""
    adjtimex = getattr(ctypes.CDLL(None, use_errno=True), "adjtimex", None)
    if adjtimex is None:
        return False
    timex = ctypes.create_string_buffer(_TIMEX_BYTES)
    state: int = adjtimex(timex)
    status = int.from_bytes(timex.raw[_STATUS_OFFSET : _STATUS_OFFSET + 4], sys.byteorder)
    return 0 <= state < _TIME_ERROR and not status & _STA_UNSYNC


class ClockWatch:
    """Called by the supervising loop; others read `state`."""

    def __init__(self, clock: Clock, counters: Counters, synchronised: ReadSynchronised) -> None:
        self._clock, self._counters, self._synchronised = clock, counters, synchronised
        self._offset_s = clock.wall_s() - clock.monotonic_s()
        self._state = self._read()
        self._jumped_at_s: float | None = clock.monotonic_s()
        self._hub_said: HubTime | None = None

    def hub_said(self, time: HubTime) -> None:
        """The hub told its time, by a signed answer to a question of ours. From any thread."""
        if time.heard_s - time.asked_s <= MAX_TRAVEL_S:
            self._hub_said = time

    @property
    def off_hub_s(self) -> float | None:
        """How far the wall clock is before the hub's, to half the travel of its last answer; None: none came yet."""
        said = self._hub_said
        return None if said is None else self._offset_s - (said.wall_s - (said.asked_s + said.heard_s) / 2)

    def state(self) -> ClockState:
        """As of the last look."""
        return self._state

    def look(self) -> ClockJumped | None:
        """Look at both clocks; the event to record if the wall clock jumped since the last look."""
        self._state = self._read()
        offset_s = self._clock.wall_s() - self._clock.monotonic_s()
        delta_s = offset_s - self._offset_s
        self._offset_s = offset_s
        if abs(delta_s) < JUMP_S:
            return None
        self._counters.add("clock_jumps")
        self._jumped_at_s = self._clock.monotonic_s()
        return ClockJumped(delta_s=round(delta_s, 3))

    def has_settled(self) -> bool:
        """Whether the clock is trusted since the last look; true once after the start and after each jump."""
        jumped_at_s = self._jumped_at_s
        if jumped_at_s is None or not (self._is_synchronised(jumped_at_s) or self._hub_agrees(jumped_at_s)):
            return False
        self._jumped_at_s = None
        return True

    def _is_synchronised(self, since_s: float) -> bool:
        return self._state is ClockState.SYNCED and self._clock.monotonic_s() - since_s >= SETTLED_AFTER_S

    def _hub_agrees(self, since_s: float) -> bool:
        """Whether the hub, asked since then, told a time that is the wall clock's, as the answer's travel bounds it."""
        said = self._hub_said
        if said is None or said.asked_s < since_s:
            return False
        earliest_s, latest_s = said.wall_s - said.heard_s, said.wall_s - said.asked_s
        return earliest_s - HUB_AGREES_WITHIN_S <= self._offset_s <= latest_s + HUB_AGREES_WITHIN_S

    def _read(self) -> ClockState:
        return ClockState.SYNCED if self._synchronised() else ClockState.UNSYNCED
