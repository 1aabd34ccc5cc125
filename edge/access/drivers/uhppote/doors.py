"""The doors of a board as outputs: pulses, doors held open, and which openings were our own."""

import math
import time
from collections import deque
from collections.abc import Iterable

from edge.access.drivers.uhppote.board import Board, DoorMode

MAX_PULSE_S = 255
"""The longest time for which a board opens a door; for longer ones it is held open."""
OWN_OPENING_S = 10.0
"""A board reports an opening that we asked for within this time."""


class DoorOutputs:
    """The doors of one board. Not safe to use from several threads. Every method may raise `NoAnswer`."""

    def __init__(self, board: Board, doors: Iterable[int]) -> None:
        self._board = board
        self._doors = sorted(set(doors))
        self._controls: dict[int, tuple[DoorMode, int]] = {}
        self._held_until_s: dict[int, float] = {}
        self._own_openings: dict[int, deque[float]] = {door: deque(maxlen=8) for door in self._doors}

    def begin(self) -> None:
        """Ask how the doors are held, and put an end to what an earlier run left open or shut."""
        self._held_until_s.clear()
        for door in self._doors:
            self._controls[door] = self._board.door_control(door)
            if self._controls[door][0] is not DoorMode.CONTROLLED:
                self._let_go(door)

    @property
    def due_s(self) -> float:
        """When the next held door is to be let go (monotonic clock)."""
        return min(self._held_until_s.values(), default=math.inf)

    def switch(self, door: int, for_s: float | None) -> bool:
        """Open a door for so long, or end that; whether the board did.

        A pulse cannot be cut short: the board ends it by itself.
        """
        if for_s is None:
            return door not in self._held_until_s or self._let_go(door)
        if for_s > MAX_PULSE_S:
            self._held_until_s[door] = time.monotonic() + for_s
            return self._set(door, DoorMode.OPEN, self._controls[door][1])
        return self._pulse(door, max(1, math.ceil(for_s)))

    def let_go_of_due(self, now_s: float) -> None:
        """Let go of the doors whose time is over."""
        for door in [door for door, until_s in self._held_until_s.items() if until_s <= now_s]:
            self._let_go(door)

    def let_go_of_all(self) -> None:
        """Let go of every door that is held open, trying once."""
        for door in list(self._held_until_s):
            self._board.set_door_control(door, DoorMode.CONTROLLED, self._controls[door][1], tries=1)
        self._held_until_s.clear()

    def was_ours(self, door: int) -> bool:
        """Whether an opening that the board reports is one that we asked for; each accounts for one."""
        openings = self._own_openings.get(door, deque())
        while openings:
            if time.monotonic() - openings.popleft() < OWN_OPENING_S:
                return True
        return False

    def _pulse(self, door: int, seconds: int) -> bool:
        if self._controls[door] != (DoorMode.CONTROLLED, seconds):
            self._held_until_s.pop(door, None)
            if not self._set(door, DoorMode.CONTROLLED, seconds):
                return False
        self._own_openings[door].append(time.monotonic())
        return self._board.open_door(door)

    def _let_go(self, door: int) -> bool:
        done = self._set(door, DoorMode.CONTROLLED, self._controls[door][1])
        self._held_until_s.pop(door, None)
        return done

    def _set(self, door: int, mode: DoorMode, delay_s: int) -> bool:
        done = self._board.set_door_control(door, mode, delay_s)
        if done:
            self._controls[door] = (mode, delay_s)
        return done
