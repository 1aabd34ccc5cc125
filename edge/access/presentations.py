"""What a person can present at a reader, and how the door stands at that moment: all that a decision is made of."""

from dataclasses import dataclass

from protocols.access_events import DoorMode
from protocols.cards import CardNumber


@dataclass(frozen=True)
class Card:
    """A card's packed bits and their count, as the reader sent them."""

    data: bytes
    bit_count: int


@dataclass(frozen=True)
class Number:
    """A card that its device has read."""

    card: CardNumber


@dataclass(frozen=True)
class Pin:
    """Digits that were typed and entered."""

    digits: str


@dataclass(frozen=True)
class CardAndPin:
    """A card, and the digits that followed it in time; None: none did."""

    card: Card | Number
    digits: str | None


@dataclass(frozen=True)
class Code:
    """The text of a QR code."""

    text: str


@dataclass(frozen=True)
class Plate:
    """A number plate as it was read."""

    plate: str


Presentation = Card | Number | Pin | CardAndPin | Code | Plate


@dataclass(frozen=True)
class DoorStanding:
    """How a door stands when somebody presents something."""

    mode: DoorMode = DoorMode.NORMAL
    lockdown: bool = False
    interlocked: bool = False
    """Another door of its interlock is open or released."""
