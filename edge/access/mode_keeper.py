"""Keeps every door in the mode that its rules, the operators and a lockdown want, over restarts too.

A schedule's change, the end of a command and a new policy are noticed by looking; `due_s` says when. A door goes over
by a `ModeSet` to its machine, which acts and tells.
"""

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Protocol
from uuid import UUID

from edge.access.door import ModeSet
from edge.access.door_at_work import DoorAtWork
from edge.access.kept_modes import KeptDoor, KeptModes, ModeFile
from edge.access.modes import Commanded, StandingMode, Wishes, mode_of
from edge.clock import Clock
from protocols.access_events import DoorMode, ModeCause

LOOK_EVERY_S = 30.0
"""At the latest, whatever the clocks did."""


class FreeByRule(Protocol):
    """What the rules free (`edge.access.decision.Decider`); times are wall-clock seconds."""

    def free_by_schedule(self, door: str, wall_s: float) -> tuple[bool, float | None]:
        """Whether a door stands free by its schedule, and when that changes next; None: not foreseen."""
        ...

    def freed_by_first_card(self, door: str, wall_s: float) -> float | None:
        """Until when a first card has freed a door; None: it has not."""
        ...


class ModeKeeper:
    """One thread.

    Args:
        go_over: gives a door's machine its new mode.
        interlocks: the interlock of each door that has one, as of the policy in force.
    """

    def __init__(
        self,
        doors: Mapping[str, DoorAtWork],
        rules: FreeByRule,
        interlocks: Callable[[], Mapping[str, str]],
        go_over: Callable[[DoorAtWork, ModeSet], None],
        file: ModeFile,
        clock: Clock,
    ) -> None:
        self._doors, self._rules, self._interlocks = doors, rules, interlocks
        self._go_over, self._file, self._clock = go_over, file, clock
        self.due_s = -math.inf
        """When `look` is due at the latest, by the monotonic clock."""
        kept = file.load()
        self.lockdown, self._lockdown_corr = kept.lockdown, kept.lockdown_corr
        for door in doors.values():
            _take_up(door, kept.doors.get(door.id, KeptDoor()))

    def command(self, door: DoorAtWork, commanded: Commanded) -> None:
        """An operator's order; `normal` gives the door back to its rules."""
        door.commanded = None if commanded.mode is DoorMode.NORMAL else commanded
        self._look_at(door, StandingMode(DoorMode.NORMAL, ModeCause.COMMAND, None, commanded.corr))
        self._keep()

    def lock_down(self, *, active: bool, corr: UUID) -> bool:
        """Begin or end the lockdown; False: it is so already."""
        if self.lockdown == active:
            return False
        self.lockdown, self._lockdown_corr = active, corr if active else None
        ended = StandingMode(DoorMode.NORMAL, ModeCause.LOCKDOWN, None, corr)
        for door in self._doors.values():
            self._look_at(door, ended)
        self._keep()
        return True

    def first_card_came(self, door: DoorAtWork) -> None:
        """It may stand free for the rest of the interval."""
        self._look_at(door)
        self._keep()

    def look(self) -> None:
        """Look at every door; called when `due_s` has come, the clock has jumped or another policy is in force."""
        self.due_s = self._clock.monotonic_s() + LOOK_EVERY_S
        changes = [self._look_at(door) for door in self._doors.values()]
        if any(changes):
            self._keep()

    def _look_at(self, door: DoorAtWork, normal: StandingMode | None = None) -> bool:
        """Whether it went over to another mode; `normal` is what to tell if it becomes normal."""
        wall_s = self._clock.wall_s()
        free, until_s = self._rules.free_by_schedule(door.id, wall_s)
        wishes = Wishes(
            self.lockdown,
            self._lockdown_corr,
            door.commanded,
            self._rules.freed_by_first_card(door.id, wall_s),
            free,
            until_s if free else None,
            door.id in self._interlocks(),
        )
        mode = mode_of(wishes, wall_s)
        ends_s = min((end for end in (mode.until_s, until_s) if end is not None), default=math.inf)
        self.due_s = min(self.due_s, self._clock.monotonic_s() + max(0.0, ends_s - wall_s))
        before, door.mode = door.mode, mode
        if mode == before:
            return False
        told = mode if mode.cause is not None else normal or StandingMode(DoorMode.NORMAL, before.cause)
        self._go_over(door, _mode_set(told))
        return True

    def _keep(self) -> None:
        doors = {
            door.id: KeptDoor(
                commanded=door.commanded,
                told=door.mode.mode,
                told_cause=door.mode.cause,
            )
            for door in self._doors.values()
        }
        self._file.keep(KeptModes(lockdown=self.lockdown, lockdown_corr=self._lockdown_corr, doors=doors))


def _take_up(door: DoorAtWork, kept: KeptDoor) -> None:
    door.commanded = kept.commanded
    if kept.told is not DoorMode.NORMAL:
        door.mode = StandingMode(DoorMode.NORMAL, kept.told_cause)


def _mode_set(mode: StandingMode) -> ModeSet:
    until = None if mode.until_s is None else datetime.fromtimestamp(mode.until_s, UTC)
    return ModeSet(mode.mode, mode.cause or ModeCause.COMMAND, until, mode.corr)
