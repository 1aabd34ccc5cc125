"""What the access controller tells about itself: frozen values for health, metrics and the console."""

from collections.abc import Mapping
from dataclasses import dataclass

from edge.access.door import DoorState
from protocols.access_events import DenialReason, ReaderOfflineReason
from protocols.commands import FailureCode


@dataclass(frozen=True)
class DoorStatus:
    """One door; `contact_open` is None while its contact has not reported."""

    id: str
    place: str
    state: DoorState
    strike_on: bool
    contact_open: bool | None


@dataclass(frozen=True)
class ReaderStatus:
    """One reader; `online` is None until it was heard of for the first time."""

    id: str
    bus: str
    online: bool | None
    secure_channel: bool
    reason: ReaderOfflineReason | None
    detail: str


@dataclass(frozen=True)
class AccessCounters:
    """Since the start."""

    card_reads: int
    granted: int
    denied: Mapping[DenialReason, int]
    strike_failures: int
    worker_restarts: int
    dropped_inputs: int
    faults: int
    """Inputs whose handling failed; each is in the log with its cause."""


@dataclass(frozen=True)
class AccessStatus:
    """The doors now. `card_to_strike_us` has the newest latencies: from a card's bytes to its strike command."""

    doors: tuple[DoorStatus, ...]
    readers: tuple[ReaderStatus, ...]
    counters: AccessCounters
    policy_version: int
    card_to_strike_us: tuple[int, ...]


@dataclass(frozen=True)
class ReleaseOutcome:
    """What became of a command to release a door; if it is not done, `reason` is a sentence and `code` its kind."""

    done: bool
    reason: str = ""
    code: FailureCode | None = None
