"""A door as one state machine: inputs and time in, effects out. It never waits, and touches no device.

States are those that the console shows. What each input does in each state is the table `TRANSITIONS`; an input that
the table does not list for a state changes nothing there.
"""

from dataclasses import dataclass
from enum import Enum, StrEnum, auto
from uuid import UUID

from edge.access.config import Relock
from protocols.access_events import DoorClosed, DoorForced, DoorHeld, DoorOpened, DoorReleased, ReleaseCause
from protocols.event_data import EventData

OPENING_GRACE_S = 1.0
"""An opening that is reported this soon after the strike's time ended was the released one: the report travels too."""


class DoorState(StrEnum):
    UNKNOWN = "unknown"
    """Locked, and the contact has not reported yet."""
    LOCKED = "locked"
    RELEASED = "released"
    OPEN = "open"
    HELD = "held"
    FORCED = "forced"


@dataclass(frozen=True)
class Release:
    """Somebody may pass."""

    cause: ReleaseCause
    corr: UUID | None = None


@dataclass(frozen=True)
class ContactReport:
    """The door contact's state; repeating it does nothing."""

    is_open: bool


@dataclass(frozen=True)
class Tick:
    """Time passed; nothing else did."""


DoorInput = Release | ContactReport | Tick


@dataclass(frozen=True)
class StrikeSet:
    """Switch the strike on for so many seconds; None is off."""

    for_s: float | None


@dataclass(frozen=True)
class Told:
    """An event to record."""

    data: EventData


Effect = StrikeSet | Told


class Stimulus(Enum):
    """What the table is asked about."""

    RELEASE = auto()
    OPENED = auto()
    OPENED_LATE = auto()
    """Opened within `OPENING_GRACE_S` of the strike's end."""
    CLOSED = auto()
    RELEASE_ENDED = auto()
    HELD_DUE = auto()


class Action(Enum):
    STRIKE_ON = auto()
    STRIKE_OFF = auto()
    STRIKE_OFF_IF_RELOCKS_ON_OPEN = auto()
    START_HELD_TIMER = auto()
    TELL_RELEASED = auto()
    TELL_OPENED = auto()
    TELL_FOUND_OPEN = auto()
    TELL_CLOSED = auto()
    TELL_HELD = auto()
    TELL_FORCED = auto()


class Rest(Enum):
    """A target that depends on the contact: locked, or unknown when it never reported."""

    REST = auto()


_RELEASE = (Action.STRIKE_ON, Action.TELL_RELEASED)
_OPENED = (Action.STRIKE_OFF_IF_RELOCKS_ON_OPEN, Action.START_HELD_TIMER, Action.TELL_OPENED)
_CLOSED = (Action.STRIKE_OFF, Action.TELL_CLOSED)

TRANSITIONS: dict[tuple[DoorState, Stimulus], tuple[DoorState | Rest, tuple[Action, ...]]] = {
    (DoorState.UNKNOWN, Stimulus.RELEASE): (DoorState.RELEASED, _RELEASE),
    (DoorState.UNKNOWN, Stimulus.OPENED): (DoorState.OPEN, (Action.START_HELD_TIMER, Action.TELL_FOUND_OPEN)),
    (DoorState.UNKNOWN, Stimulus.OPENED_LATE): (DoorState.OPEN, _OPENED),
    (DoorState.UNKNOWN, Stimulus.CLOSED): (DoorState.LOCKED, (Action.TELL_CLOSED,)),
    (DoorState.LOCKED, Stimulus.RELEASE): (DoorState.RELEASED, _RELEASE),
    (DoorState.LOCKED, Stimulus.OPENED): (DoorState.FORCED, (Action.TELL_FORCED,)),
    (DoorState.LOCKED, Stimulus.OPENED_LATE): (DoorState.OPEN, _OPENED),
    (DoorState.RELEASED, Stimulus.RELEASE): (DoorState.RELEASED, _RELEASE),
    (DoorState.RELEASED, Stimulus.OPENED): (DoorState.OPEN, _OPENED),
    (DoorState.RELEASED, Stimulus.RELEASE_ENDED): (Rest.REST, (Action.STRIKE_OFF,)),
    (DoorState.OPEN, Stimulus.RELEASE): (DoorState.OPEN, _RELEASE),
    (DoorState.OPEN, Stimulus.RELEASE_ENDED): (DoorState.OPEN, (Action.STRIKE_OFF,)),
    (DoorState.OPEN, Stimulus.HELD_DUE): (DoorState.HELD, (Action.TELL_HELD,)),
    (DoorState.OPEN, Stimulus.CLOSED): (DoorState.LOCKED, _CLOSED),
    (DoorState.HELD, Stimulus.RELEASE): (DoorState.HELD, _RELEASE),
    (DoorState.HELD, Stimulus.RELEASE_ENDED): (DoorState.HELD, (Action.STRIKE_OFF,)),
    (DoorState.HELD, Stimulus.CLOSED): (DoorState.LOCKED, _CLOSED),
    (DoorState.FORCED, Stimulus.RELEASE): (DoorState.FORCED, _RELEASE),
    (DoorState.FORCED, Stimulus.RELEASE_ENDED): (DoorState.FORCED, (Action.STRIKE_OFF,)),
    (DoorState.FORCED, Stimulus.CLOSED): (DoorState.LOCKED, _CLOSED),
}


class DoorMachine:
    """One door. Times are monotonic seconds and never go back; `deadline_s` says when a `Tick` is due.

    Args:
        release_s: how long the strike stays on after a release.
        held_after_s: how long the door may stand open.
        has_contact: without one the door only knows locked and released.
    """

    def __init__(self, release_s: float, held_after_s: float, relock: Relock, *, has_contact: bool) -> None:
        self._release_s = release_s
        self._held_after_s = held_after_s
        self._relock = relock
        self._state = DoorState.UNKNOWN if has_contact else DoorState.LOCKED
        self._contact_open: bool | None = None if has_contact else False
        self._release_until_s: float | None = None
        self._release_ended_s: float | None = None
        self._held_at_s: float | None = None
        self._opened_s: float | None = None
        self._cause = ReleaseCause.UNKNOWN

    @property
    def state(self) -> DoorState:
        return self._state

    @property
    def contact_open(self) -> bool | None:
        """None: the contact has not reported yet."""
        return self._contact_open

    @property
    def strike_on(self) -> bool:
        return self._release_until_s is not None

    @property
    def deadline_s(self) -> float | None:
        """When the next timer falls due."""
        return min((due for due in (self._release_until_s, self._held_at_s) if due is not None), default=None)

    def strike_left_s(self, now_s: float) -> float | None:
        """For how long the strike is still to be on; None: it is off."""
        return None if self._release_until_s is None else max(0.0, self._release_until_s - now_s)

    def receive(self, given: DoorInput, now_s: float) -> list[Effect]:
        """Take an input at its time, after every timer that fell due before it. Strike effects come first."""
        effects = self._run_timers(now_s)
        if isinstance(given, Release):
            effects += self._release(given, now_s)
        elif isinstance(given, ContactReport):
            effects += self._contact(given.is_open, now_s)
        return sorted(effects, key=lambda effect: isinstance(effect, Told))

    def _run_timers(self, now_s: float) -> list[Effect]:
        effects: list[Effect] = []
        while (due := self.deadline_s) is not None and due <= now_s:
            if due == self._release_until_s:
                effects += self._apply(Stimulus.RELEASE_ENDED, due)
            else:
                self._held_at_s = None
                effects += self._apply(Stimulus.HELD_DUE, due)
        return effects

    def _release(self, release: Release, now_s: float) -> list[Effect]:
        self._cause = release.cause
        return self._apply(Stimulus.RELEASE, now_s, release.corr)

    def _contact(self, is_open: bool, now_s: float) -> list[Effect]:
        if is_open == self._contact_open:
            return []
        self._contact_open = is_open
        if not is_open:
            return self._apply(Stimulus.CLOSED, now_s)
        ended = self._release_ended_s
        is_late = ended is not None and now_s - ended <= OPENING_GRACE_S
        rests = self._state in (DoorState.LOCKED, DoorState.UNKNOWN)
        return self._apply(Stimulus.OPENED_LATE if is_late and rests else Stimulus.OPENED, now_s)

    def _apply(self, stimulus: Stimulus, now_s: float, corr: UUID | None = None) -> list[Effect]:
        row = TRANSITIONS.get((self._state, stimulus))
        if row is None:
            return []
        target, actions = row
        if isinstance(target, Rest):
            target = DoorState.UNKNOWN if self._contact_open is None else DoorState.LOCKED
        self._state = target
        return [effect for action in actions for effect in self._act(action, now_s, corr)]

    def _act(self, action: Action, now_s: float, corr: UUID | None) -> list[Effect]:
        match action:
            case Action.STRIKE_ON:
                self._release_until_s = now_s + self._release_s
                return [StrikeSet(self._release_s)]
            case Action.STRIKE_OFF:
                return self._strike_off(now_s)
            case Action.STRIKE_OFF_IF_RELOCKS_ON_OPEN:
                return self._strike_off(now_s) if self._relock is Relock.OPEN else []
            case Action.START_HELD_TIMER:
                self._opened_s, self._held_at_s = now_s, now_s + self._held_after_s
                return []
        return self._tell(action, now_s, corr)

    def _strike_off(self, now_s: float) -> list[Effect]:
        if self._release_until_s is None:
            return []
        self._release_until_s, self._release_ended_s = None, now_s
        return [StrikeSet(None)]

    def _tell(self, action: Action, now_s: float, corr: UUID | None) -> list[Effect]:
        match action:
            case Action.TELL_RELEASED if self._cause is ReleaseCause.CREDENTIAL:
                return []  # access.granted tells it
            case Action.TELL_RELEASED:
                return [Told(DoorReleased(cause=self._cause, corr=corr))]
            case Action.TELL_OPENED:
                return [Told(DoorOpened(cause=self._cause))]
            case Action.TELL_FOUND_OPEN:
                return [Told(DoorOpened(cause=ReleaseCause.UNKNOWN))]
            case Action.TELL_HELD:
                return [Told(DoorHeld(open_s=self._held_after_s))]
            case Action.TELL_FORCED:
                self._opened_s = now_s
                return [Told(DoorForced())]
            case _:
                opened_s, self._opened_s, self._held_at_s = self._opened_s, None, None
                return [Told(DoorClosed(open_s=0.0 if opened_s is None else now_s - opened_s))]
