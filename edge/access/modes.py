"""Which mode a door is in: the strongest of lockdown, command, first card and schedule decides. Pure.

Times are wall-clock seconds: what ends at a time of day ends then, whatever the clock did in between.
"""

from dataclasses import dataclass
from uuid import UUID

from protocols.access_events import DoorMode, ModeCause


@dataclass(frozen=True)
class Commanded:
    """What an operator wants of a door; `until_s` None: until the next command."""

    mode: DoorMode
    until_s: float | None
    corr: UUID | None


@dataclass(frozen=True)
class Wishes:
    """Everything that may put a door into another mode than normal."""

    lockdown: bool = False
    lockdown_corr: UUID | None = None
    commanded: Commanded | None = None
    first_card_until_s: float | None = None
    scheduled_free: bool = False
    scheduled_until_s: float | None = None
    """When the schedule next changes its mind."""
    is_interlocked: bool = False
    """Of an interlock, whose doors no rule ever frees: one at the most may be open."""


@dataclass(frozen=True)
class StandingMode:
    """A door's mode, what put it there, until when, and by which command; a normal door has no cause."""

    mode: DoorMode = DoorMode.NORMAL
    cause: ModeCause | None = None
    until_s: float | None = None
    corr: UUID | None = None


def mode_of(wishes: Wishes, wall_s: float) -> StandingMode:
    """The mode that these wishes lead to now."""
    if wishes.lockdown:
        return StandingMode(DoorMode.LOCKED, ModeCause.LOCKDOWN, None, wishes.lockdown_corr)
    commanded = wishes.commanded
    if commanded is not None and (commanded.until_s is None or wall_s < commanded.until_s):
        return StandingMode(commanded.mode, ModeCause.COMMAND, commanded.until_s, commanded.corr)
    if wishes.is_interlocked:
        return StandingMode()
    if wishes.first_card_until_s is not None and wall_s < wishes.first_card_until_s:
        return StandingMode(DoorMode.FREE, ModeCause.FIRST_CARD, wishes.first_card_until_s)
    if wishes.scheduled_free:
        return StandingMode(DoorMode.FREE, ModeCause.SCHEDULE, wishes.scheduled_until_s)
    return StandingMode()
