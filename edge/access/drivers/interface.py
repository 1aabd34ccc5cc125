"""What a driver of readers offers to the access controller, and what it delivers.

A driver owns its devices, recovers by itself, and never blocks its caller. What it delivers are frozen values; the
controller's `deliver` takes them from any thread.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from protocols.events import ReaderOfflineReason


@dataclass(frozen=True)
class CardPresented:
    """A card's packed bits, first bit most significant, padded at the end; `read_ns` is when its bytes were taken from
    the line, on the machine's monotonic clock."""

    reader: str
    data: bytes
    bit_count: int
    read_ns: int


@dataclass(frozen=True)
class InputsReported:
    """The state of a reader's input contacts, by input number: true is active."""

    reader: str
    active: tuple[bool, ...]


@dataclass(frozen=True)
class TamperReported:
    """The state of a reader's tamper switch."""

    reader: str
    active: bool


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
    | InputsReported
    | TamperReported
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


class Driver(Protocol):
    """The readers of one line."""

    @property
    def name(self) -> str: ...

    def start(self, deliver: Deliver) -> None:
        """Begin, in threads or processes of its own."""
        ...

    def stop(self) -> None:
        """Release every output and end, within a few seconds."""
        ...

    def set_output(self, reader: str, output: int, for_s: float | None, ticket: int) -> bool:
        """Switch an output on for `for_s` seconds (None: off) and answer later with `OutputDone`.

        Returns:
            False when the command could not even be handed over; no `OutputDone` follows then.
        """
        ...

    def feedback(self, reader: str, feedback: Feedback) -> None:
        """Show and sound the outcome, as far as the reader can."""
        ...
