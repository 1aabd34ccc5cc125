"""A door as one state machine: inputs and time in, effects out. It never waits, and touches no device.

States are those that the console shows. What each input does in each state is the table `TRANSITIONS`; an input that
the table does not list for a state changes nothing there. Beside its state a door has a mode: while it is free the
strike is on until further notice and no opening is an alarm; while it is locked nothing but a `Release` opens it, and
who may cause one is not decided here.
"""

import math
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, StrEnum, auto
from uuid import UUID

from edge.access.config import Relock
from protocols.access_events import (
    DoorClosed,
    DoorForced,
    DoorHeld,
    DoorMode,
    DoorModeChanged,
    DoorOpened,
    DoorReleased,
    ModeCause,
    ReleaseCause,
)
from protocols.event_data import EventData

OPENING_GRACE_S = 1.0
"""An opening that is reported this soon after the strike's time ended was the released one: the report travels too."""


class DoorState(StrEnum):
    UNKNOWN = "unknown"
    """Locked, and the contact has not reported yet."""
    LOCKED = "locked"
    RELEASED = "released"
    """Shut, and the strike is on: for a release's time, or because the door stands free."""
    OPEN = "open"
    HELD = "held"
    FORCED = "forced"


@dataclass(frozen=True)
class Release:
    """Somebody may pass."""

    cause: ReleaseCause
    corr: UUID | None = None


@dataclass(frozen=True)
class Excuse:
    """The door's device let it go by itself: an opening within the release's time is no force. Switches nothing."""

    cause: ReleaseCause


@dataclass(frozen=True)
class ContactReport:
    """The door contact's state; repeating it does nothing."""

    is_open: bool


@dataclass(frozen=True)
class ModeSet:
    """The door goes over to a mode; `until` and `corr` are only told."""

    mode: DoorMode
    cause: ModeCause
    until: datetime | None = None
    corr: UUID | None = None


@dataclass(frozen=True)
class Tick:
    """Time passed; nothing else did."""


DoorInput = Release | Excuse | ContactReport | ModeSet | Tick


@dataclass(frozen=True)
class StrikeSet:
    """Switch the strike on for so many seconds (infinity: until further notice); None is off."""

    for_s: float | None


@dataclass(frozen=True)
class WarnHeld:
    """Let the readers warn that the door has stood open for nearly too long."""


@dataclass(frozen=True)
class Told:
    """An event to record."""

    data: EventData


Effect = StrikeSet | WarnHeld | Told


class Stimulus(Enum):
    """What the table is asked about."""

    RELEASE = auto()
    OPENED = auto()
    OPENED_LATE = auto()
    """Opened within `OPENING_GRACE_S` of the strike's end, or excused by the door's device."""
    CLOSED = auto()
    RELEASE_ENDED = auto()
    WARN_DUE = auto()
    HELD_DUE = auto()
    FREED = auto()
    RESTRICTED = auto()
    """It no longer stands free, or was locked: releases end, except one by somebody on the way out."""


class Action(Enum):
    STRIKE_ON = auto()
    STRIKE_OFF = auto()
    STRIKE_OFF_IF_RELOCKS_ON_OPEN = auto()
    STRIKE_ON_FOR_GOOD = auto()
    STRIKE_ON_FOR_EXIT_ALONE = auto()
    NOTE_OPENED = auto()
    START_HELD_TIMER = auto()
    """Unless it runs, or the door stands free."""
    STOP_HELD_TIMER = auto()
    WARN = auto()
    TELL_RELEASED = auto()
    TELL_OPENED = auto()
    TELL_FOUND_OPEN = auto()
    TELL_CLOSED = auto()
    TELL_HELD = auto()
    TELL_FORCED = auto()


class Rest(Enum):
    """The target of a shut door: released while the strike is on, else locked, or unknown if it never reported."""

    REST = auto()


_RELEASE = (Action.STRIKE_ON, Action.TELL_RELEASED)
_OPENED = (Action.STRIKE_OFF_IF_RELOCKS_ON_OPEN, Action.NOTE_OPENED, Action.START_HELD_TIMER, Action.TELL_OPENED)
_FOUND_OPEN = (Action.NOTE_OPENED, Action.START_HELD_TIMER, Action.TELL_FOUND_OPEN)
_FORCED = (Action.NOTE_OPENED, Action.TELL_FORCED)
_CLOSED = (Action.STRIKE_OFF, Action.STOP_HELD_TIMER, Action.TELL_CLOSED)
_FREED = (Action.STRIKE_ON_FOR_GOOD, Action.STOP_HELD_TIMER)
_RESTRICTED = (Action.STRIKE_ON_FOR_EXIT_ALONE,)
_NO_LONGER_FREE = (Action.STRIKE_ON_FOR_EXIT_ALONE, Action.START_HELD_TIMER)

TRANSITIONS: dict[tuple[DoorState, Stimulus], tuple[DoorState | Rest, tuple[Action, ...]]] = {
    (DoorState.UNKNOWN, Stimulus.RELEASE): (DoorState.RELEASED, _RELEASE),
    (DoorState.UNKNOWN, Stimulus.OPENED): (DoorState.OPEN, _FOUND_OPEN),
    (DoorState.UNKNOWN, Stimulus.OPENED_LATE): (DoorState.OPEN, _OPENED),
    (DoorState.UNKNOWN, Stimulus.CLOSED): (DoorState.LOCKED, (Action.TELL_CLOSED,)),
    (DoorState.UNKNOWN, Stimulus.FREED): (DoorState.RELEASED, _FREED),
    (DoorState.LOCKED, Stimulus.RELEASE): (DoorState.RELEASED, _RELEASE),
    (DoorState.LOCKED, Stimulus.OPENED): (DoorState.FORCED, _FORCED),
    (DoorState.LOCKED, Stimulus.OPENED_LATE): (DoorState.OPEN, _OPENED),
    (DoorState.LOCKED, Stimulus.FREED): (DoorState.RELEASED, _FREED),
    (DoorState.RELEASED, Stimulus.RELEASE): (DoorState.RELEASED, _RELEASE),
    (DoorState.RELEASED, Stimulus.OPENED): (DoorState.OPEN, _OPENED),
    (DoorState.RELEASED, Stimulus.CLOSED): (DoorState.RELEASED, (Action.TELL_CLOSED,)),
    (DoorState.RELEASED, Stimulus.RELEASE_ENDED): (Rest.REST, (Action.STRIKE_OFF,)),
    (DoorState.RELEASED, Stimulus.FREED): (DoorState.RELEASED, _FREED),
    (DoorState.RELEASED, Stimulus.RESTRICTED): (Rest.REST, _RESTRICTED),
    (DoorState.OPEN, Stimulus.RELEASE): (DoorState.OPEN, _RELEASE),
    (DoorState.OPEN, Stimulus.RELEASE_ENDED): (DoorState.OPEN, (Action.STRIKE_OFF,)),
    (DoorState.OPEN, Stimulus.WARN_DUE): (DoorState.OPEN, (Action.WARN,)),
    (DoorState.OPEN, Stimulus.HELD_DUE): (DoorState.HELD, (Action.TELL_HELD,)),
    (DoorState.OPEN, Stimulus.CLOSED): (Rest.REST, _CLOSED),
    (DoorState.OPEN, Stimulus.FREED): (DoorState.OPEN, _FREED),
    (DoorState.OPEN, Stimulus.RESTRICTED): (DoorState.OPEN, _NO_LONGER_FREE),
    (DoorState.HELD, Stimulus.RELEASE): (DoorState.HELD, _RELEASE),
    (DoorState.HELD, Stimulus.RELEASE_ENDED): (DoorState.HELD, (Action.STRIKE_OFF,)),
    (DoorState.HELD, Stimulus.CLOSED): (Rest.REST, _CLOSED),
    (DoorState.HELD, Stimulus.FREED): (DoorState.OPEN, _FREED),
    (DoorState.HELD, Stimulus.RESTRICTED): (DoorState.HELD, _RESTRICTED),
    (DoorState.FORCED, Stimulus.RELEASE): (DoorState.FORCED, _RELEASE),
    (DoorState.FORCED, Stimulus.RELEASE_ENDED): (DoorState.FORCED, (Action.STRIKE_OFF,)),
    (DoorState.FORCED, Stimulus.CLOSED): (Rest.REST, _CLOSED),
    (DoorState.FORCED, Stimulus.FREED): (DoorState.OPEN, _FREED),
    (DoorState.FORCED, Stimulus.RESTRICTED): (DoorState.FORCED, _RESTRICTED),
}


class DoorMachine:
    """One door. Times are monotonic seconds and never go back; `deadline_s` says when a `Tick` is due.

    Args:
        release_s: how long the strike stays on after a release.
        held_after_s: how long the door may stand open.
        warn_before_held_s: so long before that the readers warn, but not before half of it; 0: they do not.
        has_contact: without one the door only knows locked and released.
    """

    def __init__(
        self,
        release_s: float,
        held_after_s: float,
        relock: Relock,
        *,
        has_contact: bool,
        warn_before_held_s: float = 0.0,
    ) -> None:
        self._release_s = release_s
        self._held_after_s = held_after_s
        self._warn_before_s = min(warn_before_held_s, held_after_s / 2)
        self._relock = relock
        self._mode = DoorMode.NORMAL
        self._state = DoorState.UNKNOWN if has_contact else DoorState.LOCKED
        self._contact_open: bool | None = None if has_contact else False
        self._release_until_s: float | None = None
        self._exit_until_s = -math.inf
        self._release_ended_s = -math.inf
        self._excused_until_s = -math.inf
        self._warn_at_s: float | None = None
        self._held_at_s: float | None = None
        self._opened_s: float | None = None
        self._cause = ReleaseCause.UNKNOWN

    @property
    def state(self) -> DoorState:
        return self._state

    @property
    def mode(self) -> DoorMode:
        return self._mode

    @property
    def contact_open(self) -> bool | None:
        """None: the contact has not reported yet."""
        return self._contact_open

    @property
    def strike_on(self) -> bool:
        return self._is_free or self._release_until_s is not None

    @property
    def is_passable(self) -> bool:
        """Whether it is open, or would open to whoever pulls at it."""
        return self.strike_on or self._contact_open is True

    @property
    def deadline_s(self) -> float | None:
        """When the next timer falls due."""
        timers = (self._release_until_s, self._warn_at_s, self._held_at_s)
        return min((due for due in timers if due is not None), default=None)

    def strike_left_s(self, now_s: float) -> float | None:
        """For how long the strike is still to be on (infinity: until further notice); None: it is off."""
        if self._is_free:
            return math.inf
        return None if self._release_until_s is None else max(0.0, self._release_until_s - now_s)

    def receive(self, given: DoorInput, now_s: float) -> list[Effect]:
        """Take an input at its time, after every timer that fell due before it. Strike effects come first."""
        effects = self._run_timers(now_s)
        match given:
            case Release():
                effects += self._release(given, now_s)
            case Excuse():
                effects += self._excuse(given, now_s)
            case ContactReport():
                effects += self._contact(given.is_open, now_s)
            case ModeSet():
                effects += self._set_mode(given, now_s)
        return sorted(effects, key=lambda effect: not isinstance(effect, StrikeSet))

    @property
    def _is_free(self) -> bool:
        return self._mode is DoorMode.FREE

    def _run_timers(self, now_s: float) -> list[Effect]:
        effects: list[Effect] = []
        while (due := self.deadline_s) is not None and due <= now_s:
            if due == self._release_until_s:
                effects += self._apply(Stimulus.RELEASE_ENDED, due)
            elif due == self._warn_at_s:
                self._warn_at_s = None
                effects += self._apply(Stimulus.WARN_DUE, due)
            else:
                self._held_at_s = None
                effects += self._apply(Stimulus.HELD_DUE, due)
        return effects

    def _release(self, release: Release, now_s: float) -> list[Effect]:
        if not self._is_free:
            self._cause = release.cause
        if release.cause is ReleaseCause.REQUEST_TO_EXIT:
            self._exit_until_s = now_s + self._release_s
        return self._apply(Stimulus.RELEASE, now_s, release)

    def _excuse(self, excuse: Excuse, now_s: float) -> list[Effect]:
        if not self._is_free:
            self._cause = excuse.cause
        self._excused_until_s = now_s + self._release_s + OPENING_GRACE_S
        return _told_release(excuse.cause, None)

    def _contact(self, is_open: bool, now_s: float) -> list[Effect]:
        if is_open == self._contact_open:
            return []
        self._contact_open = is_open
        if not is_open:
            self._excused_until_s = min(self._excused_until_s, now_s + OPENING_GRACE_S)
            return self._apply(Stimulus.CLOSED, now_s)
        is_late = now_s - self._release_ended_s <= OPENING_GRACE_S or now_s <= self._excused_until_s
        rests = self._state in (DoorState.LOCKED, DoorState.UNKNOWN)
        return self._apply(Stimulus.OPENED_LATE if is_late and rests else Stimulus.OPENED, now_s)

    def _set_mode(self, given: ModeSet, now_s: float) -> list[Effect]:
        was_free, self._mode = self._is_free, given.mode
        effects: list[Effect] = []
        if self._is_free and not was_free:
            self._cause = ReleaseCause.FREE_PASSAGE
            effects = self._apply(Stimulus.FREED, now_s)
        elif was_free and not self._is_free:
            self._release_ended_s = now_s
            effects = self._apply(Stimulus.RESTRICTED, now_s)
        elif given.mode is DoorMode.LOCKED:
            effects = self._apply(Stimulus.RESTRICTED, now_s)
        changed = DoorModeChanged(mode=given.mode, cause=given.cause, until=given.until, corr=given.corr)
        return [*effects, Told(changed)]

    def _apply(self, stimulus: Stimulus, now_s: float, release: Release | None = None) -> list[Effect]:
        row = TRANSITIONS.get((self._state, stimulus))
        if row is None:
            return []
        target, actions = row
        effects = [effect for action in actions for effect in self._act(action, now_s, release)]
        self._state = self._rest() if isinstance(target, Rest) else target
        return effects

    def _rest(self) -> DoorState:
        if self.strike_on:
            return DoorState.RELEASED
        return DoorState.UNKNOWN if self._contact_open is None else DoorState.LOCKED

    def _act(self, action: Action, now_s: float, release: Release | None) -> list[Effect]:
        match action:
            case Action.STRIKE_ON if not self._is_free:
                self._release_until_s = now_s + self._release_s
                return [StrikeSet(self._release_s)]
            case Action.STRIKE_ON | Action.STRIKE_ON_FOR_GOOD:
                self._release_until_s = None
                return [StrikeSet(math.inf)]
            case Action.STRIKE_OFF:
                return self._strike_off(now_s)
            case Action.STRIKE_OFF_IF_RELOCKS_ON_OPEN:
                return self._strike_off(now_s) if self._relock is Relock.OPEN else []
            case Action.STRIKE_ON_FOR_EXIT_ALONE:
                return self._strike_for_exit_alone(now_s)
            case Action.TELL_RELEASED:
                return [] if release is None else _told_release(release.cause, release.corr)
            case Action.WARN:
                return [WarnHeld()]
        return self._watch(action, now_s)

    def _strike_off(self, now_s: float) -> list[Effect]:
        self._exit_until_s = -math.inf
        if self._is_free or self._release_until_s is None:
            return []
        self._release_until_s, self._release_ended_s = None, now_s
        return [StrikeSet(None)]

    def _strike_for_exit_alone(self, now_s: float) -> list[Effect]:
        """End what lets people in; somebody who pressed the exit button still gets out."""
        left_s = self._exit_until_s - now_s
        if left_s > 0:
            self._release_until_s, self._cause = self._exit_until_s, ReleaseCause.REQUEST_TO_EXIT
            return [StrikeSet(left_s)]
        if self._release_until_s is not None:
            self._release_until_s, self._release_ended_s = None, now_s
        return [StrikeSet(None)]

    def _watch(self, action: Action, now_s: float) -> list[Effect]:
        """How long it stands open, and what is told of it."""
        match action:
            case Action.NOTE_OPENED:
                self._opened_s = now_s
            case Action.START_HELD_TIMER if self._held_at_s is None and not self._is_free:
                self._held_at_s = now_s + self._held_after_s
                self._warn_at_s = self._held_at_s - self._warn_before_s if self._warn_before_s > 0 else None
            case Action.STOP_HELD_TIMER:
                self._held_at_s = self._warn_at_s = None
            case Action.TELL_OPENED:
                return [Told(DoorOpened(cause=self._cause))]
            case Action.TELL_FOUND_OPEN:
                return [Told(DoorOpened(cause=ReleaseCause.UNKNOWN))]
            case Action.TELL_FORCED:
                return [Told(DoorForced())]
            case Action.TELL_HELD:
                return [Told(DoorHeld(open_s=self._open_s(now_s)))]
            case Action.TELL_CLOSED:
                open_s, self._opened_s = self._open_s(now_s), None
                return [Told(DoorClosed(open_s=open_s))]
        return []

    def _open_s(self, now_s: float) -> float:
        return 0.0 if self._opened_s is None else round(now_s - self._opened_s, 3)


def _told_release(cause: ReleaseCause, corr: UUID | None) -> list[Effect]:
    """Of a credential `access.granted` tells."""
    return [] if cause is ReleaseCause.CREDENTIAL else [Told(DoorReleased(cause=cause, corr=corr))]
