"""What a driver of readers offers to the access controller, and what it delivers.

A driver owns its devices, recovers by itself, and never blocks its caller. What it delivers are frozen values; the
controller's `deliver` takes them from any thread. "Reader" is everything with an id in a `[[reader]]` table: an OSDP
reader, one door of a board, a terminal, the relays of an intercom camera, a barrier's coils. Inputs and outputs belong
to a reader and are numbered from 0.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Protocol
from uuid import UUID
from zoneinfo import ZoneInfo

from edge.clock import Clock
from protocols.access_events import AccessMethod, DecidedBy, ReaderOfflineReason
from protocols.cards import CardNumber


@dataclass(frozen=True)
class CardPresented:
    """A card's packed bits, first bit most significant, padded at the end; `read_ns` is when its bytes were taken from
    the line, on the machine's monotonic clock."""

    reader: str
    data: bytes
    bit_count: int
    read_ns: int


@dataclass(frozen=True)
class NumberPresented:
    """A card whose number the device has already read from its bits; the gateway decides."""

    reader: str
    card: CardNumber
    read_ns: int


@dataclass(frozen=True)
class KeysPressed:
    """Keys of a keypad, one or more: digits, `*` (clear) and `#` (enter)."""

    reader: str
    keys: str
    read_ns: int


@dataclass(frozen=True)
class CodePresented:
    """The text of a QR code."""

    reader: str
    text: str
    read_ns: int


@dataclass(frozen=True)
class PlatePresented:
    """A number plate as a camera read it; `confidence` from 0 to 1."""

    reader: str
    plate: str
    confidence: float
    read_ns: int


@dataclass(frozen=True)
class DeviceDecided:
    """What a device decided by itself: a face terminal, or a board from its own list.

    `at` is the device's time in the site's zone, possibly long ago (a device catches up after an outage); None is now.
    The driver delivers each of the device's events once, also after a restart.
    """

    reader: str
    granted: bool
    method: AccessMethod
    by: DecidedBy
    card: CardNumber | None = None
    credential: UUID | None = None
    """Where the device names a credential by the id that the roster gave it."""
    at: datetime | None = None
    reason: str = ""
    """The device's own reason for a refusal, as a word."""


@dataclass(frozen=True)
class InputsReported:
    """The state of a reader's input contacts, by input number: true is active."""

    reader: str
    active: tuple[bool, ...]


@dataclass(frozen=True)
class DoorOpenedByDevice:
    """The device let its door go by itself (its button, its intercom, its own verdict): an opening is no force then."""

    reader: str


@dataclass(frozen=True)
class TamperReported:
    """The state of a reader's tamper switch."""

    reader: str
    active: bool


@dataclass(frozen=True)
class PowerReported:
    """Whether a reader's power failed."""

    reader: str
    failed: bool


@dataclass(frozen=True)
class ReaderUp:
    """A reader answers; `secure_channel` tells whether its line is encrypted."""

    reader: str
    secure_channel: bool


@dataclass(frozen=True)
class ReaderDown:
    """A reader cannot be used, and why; `detail` is a sentence for a person."""

    reader: str
    reason: ReaderOfflineReason
    detail: str


@dataclass(frozen=True)
class OutputsForgotten:
    """A reader (again) takes commands, and what its outputs are is not known: say it anew."""

    reader: str


@dataclass(frozen=True)
class OutputDone:
    """What became of the output command with this ticket, and when it was handed to the line (monotonic clock)."""

    ticket: int
    done: bool
    detail: str
    submitted_ns: int | None


@dataclass(frozen=True)
class DriverRestarted:
    """The driver's worker failed and was started again, for the `attempt`-th time in a row."""

    driver: str
    reason: str
    attempt: int


DriverEvent = (
    CardPresented
    | NumberPresented
    | KeysPressed
    | CodePresented
    | PlatePresented
    | DeviceDecided
    | DoorOpenedByDevice
    | InputsReported
    | TamperReported
    | PowerReported
    | ReaderUp
    | ReaderDown
    | OutputsForgotten
    | OutputDone
    | DriverRestarted
)
Deliver = Callable[[DriverEvent], None]
"""Takes what a driver saw. Never blocks and never raises."""


class Feedback(StrEnum):
    """What a reader shows and sounds to the person before it."""

    GRANTED = "granted"
    DENIED = "denied"
    WAIT = "wait"
    """Something is still missing: a PIN, or the second person."""
    HELD_SOON = "held_soon"
    """The door has stood open for nearly too long."""


@dataclass(frozen=True)
class DriverContext:
    """What every driver is given."""

    state_dir: Path
    """Its own folder (mode 700, made by whoever starts the driver) for what must outlive a restart."""
    zone: ZoneInfo
    clock: Clock
    pulses_s: Mapping[str, float] = field(default_factory=dict)
    """For each reader whose output 0 is a door's strike: how long it lets the door go (`release_s`)."""


class Driver(Protocol):
    """The readers of one line or device."""

    @property
    def name(self) -> str: ...

    def start(self, deliver: Deliver) -> None:
        """Begin, in threads or processes of its own."""
        ...

    def stop(self) -> None:
        """Release every output and end, within a few seconds."""
        ...

    def set_output(self, reader: str, output: int, for_s: float | None, ticket: int) -> bool:
        """Switch an output on for `for_s` seconds (None: off; infinity: until further notice) and answer later with
        `OutputDone`.

        Returns:
            False when the command could not even be handed over; no `OutputDone` follows then.
        """
        ...

    def feedback(self, reader: str, feedback: Feedback) -> None:
        """Show and sound the outcome, as far as the reader can."""
        ...


@dataclass(frozen=True)
class DriverReport:
    """What a driver has to tell beside its events, for metrics and health."""

    counts: Mapping[str, int]
    """Since the start: whatever was dropped, lost, refused or went wrong, by name (a metric's label)."""
    complaints: tuple[str, ...] = ()
    """What at the device is not as the site file wants it, and could not be changed: a sentence each."""


class ReportingDriver(Driver, Protocol):
    """A driver that counts."""

    def report(self) -> DriverReport:
        """How it stands now. Safe from any thread, never blocks."""
        ...


class SlowDriver(Driver, Protocol):
    """A driver whose device fetches its commands, so that `OutputDone` comes late."""

    @property
    def answer_s(self) -> float:
        """How long after `set_output` an operator may have to wait for `OutputDone`."""
        ...


@dataclass(frozen=True)
class Rotated:
    """What became of the change of a reader's key; `sentence` says for a person which key the reader holds."""

    done: bool
    sentence: str


class RekeyingDriver(Driver, Protocol):
    """A driver whose readers hold keys that it can change while they work."""

    def rotate_key(self, reader: str, say: Callable[[str], None]) -> Rotated:
        """Change a reader's key; for a thread that may wait some seconds. `say` takes sentences on the way."""
        ...


@dataclass(frozen=True)
class RosterEntry:
    """A credential that a device keeps in its own list: when it is valid, and where."""

    credential: UUID
    card: CardNumber
    since: datetime | None
    """In the site's zone, as `until`; None: without bound."""
    until: datetime | None
    schedules: tuple[tuple[str, str], ...]
    """(reader, schedule id) for each reader of the device where it opens; one reader may stand there several times."""


@dataclass(frozen=True)
class Roster:
    """Everybody whom a device may let in by itself, and the weekly hours meant: for each schedule id, (weekday with
    Monday 0, first minute, end minute)."""

    entries: Sequence[RosterEntry]
    schedules: dict[str, tuple[tuple[int, int, int], ...]]


class RosterDriver(Driver, Protocol):
    """A driver whose devices keep a list of their own, for when the gateway is away or always."""

    def set_roster(self, roster: Roster) -> None:
        """Make the devices' lists this one, in the background, sending what differs. Never blocks; the newest counts.

        A device that is away gets it when it is back.
        """
        ...
