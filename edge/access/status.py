"""What the access controller tells about itself: frozen values for health, metrics and the console."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from edge.access.door import DoorState
from protocols.access_events import DenialReason, DoorMode, ModeCause, ReaderOfflineReason
from protocols.commands import FailureCode


@dataclass(frozen=True)
class DoorStatus:
    """One door; `contact_open` is None while its contact has not reported, `mode_cause` while it is normal."""

    id: str
    place: str
    state: DoorState
    strike_on: bool
    contact_open: bool | None
    mode: DoorMode
    mode_cause: ModeCause | None


@dataclass(frozen=True)
class ReaderStatus:
    """One reader; `online` is None until it was heard of for the first time."""

    id: str
    line: str
    online: bool | None
    secure_channel: bool
    reason: ReaderOfflineReason | None
    detail: str


class DeviceState(StrEnum):
    """How the readers of one device or bus stand."""

    ONLINE = "online"
    PARTLY = "partly"
    """Some of its readers answer."""
    OFFLINE = "offline"
    UNHEARD = "unheard"
    """Nothing was heard of it since the start."""


@dataclass(frozen=True)
class DeviceStatus:
    """One `[[device]]` or `[[reader_bus]]`; `reason` and `detail` are those of its first reader that is offline."""

    id: str
    state: DeviceState
    reason: ReaderOfflineReason | None
    detail: str
    counts: Mapping[str, int]
    """What its driver counted, by name."""
    complaints: tuple[str, ...]
    """What at the device is not as the site file wants it."""


@dataclass(frozen=True)
class AccessCounters:
    """Since the start."""

    presented: Mapping[str, int]
    """What was presented, by kind: card, number, pin, card_and_pin, code, plate."""
    granted: int
    denied: Mapping[DenialReason, int]
    decided_by_devices: int
    duress: int
    lock_outs: int
    """How often a reader was locked out for wrong tries."""
    unsure_plates: int
    """Number plates that were read with too little confidence."""
    strike_failures: int
    worker_restarts: int
    dropped_inputs: int
    faults: int
    """Inputs whose handling failed; each is in the log with its cause."""

    @property
    def card_reads(self) -> int:
        return self.presented.get("card", 0) + self.presented.get("number", 0)


@dataclass(frozen=True)
class AccessStatus:
    """The doors now. `card_to_strike_us` has the newest latencies: from a card's bytes to its strike command."""

    doors: tuple[DoorStatus, ...]
    readers: tuple[ReaderStatus, ...]
    devices: tuple[DeviceStatus, ...]
    counters: AccessCounters
    policy_version: int
    card_to_strike_us: tuple[int, ...]
    lockdown: bool
    stale: bool
    """The hub is away for so long that some credentials are no longer taken."""
    drivers: Mapping[str, int]
    """What went wrong with drivers, by name."""
    modes_off_disk: str | None
    """Why the doors' modes and the lockdown are kept in memory alone; None: they are on disk."""
    modes_fault: str | None
    """Why the modes of before the start are not known; None: they are."""


@dataclass(frozen=True)
class Outcome:
    """What became of a command to the doors; if it is not done, `reason` is a sentence and `code` its kind."""

    done: bool
    reason: str = ""
    code: FailureCode | None = None
