"""What is said on a virtual device's socket: one JSON object a line, in both directions.

A line in asks for something (`do`), and is answered with `{"ok": true}` or `{"error": why}`, in order. Between the
answers come reports (`is`): every output that changes, what a reader shows, and at the beginning how all outputs stand.
"""

import json
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from edge.access.drivers.interface import (
    CardPresented,
    CodePresented,
    DeviceDecided,
    DoorOpenedByDevice,
    DriverEvent,
    KeysPressed,
    NumberPresented,
    PlatePresented,
    PowerReported,
    TamperReported,
)
from protocols.access_events import AccessMethod, DecidedBy
from protocols.base import DeviceId, ProtocolError, explain
from protocols.cards import encode_bytes, parse_text

MAX_LINE_BYTES = 16 * 1024
CardText = Annotated[str, Field(max_length=100)]


class _Asked(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    reader: DeviceId


class AskCard(_Asked):
    """A card by its text (`w26:12:345`), as the bits that a reader would send."""

    do: Literal["card"]
    card: CardText


class AskBits(_Asked):
    """A card by its bits, hex, first bit most significant."""

    do: Literal["bits"]
    data: Annotated[str, Field(pattern=r"^([0-9a-f]{2}){1,32}$")]
    bit_count: Annotated[int, Field(ge=1, le=256)]


class AskNumber(_Asked):
    """A card that the device has read by itself."""

    do: Literal["number"]
    card: CardText


class AskKeys(_Asked):
    do: Literal["keys"]
    keys: Annotated[str, Field(pattern=r"^[0-9*#]{1,32}$")]


class AskCode(_Asked):
    do: Literal["code"]
    text: Annotated[str, Field(min_length=1, max_length=4096)]


class AskPlate(_Asked):
    do: Literal["plate"]
    plate: Annotated[str, Field(min_length=1, max_length=16)]
    confidence: Annotated[float, Field(ge=0.0, le=1.0)] = 1.0


class AskVerdict(_Asked):
    """The device decided by itself."""

    do: Literal["verdict"]
    granted: bool
    method: AccessMethod = AccessMethod.FACE
    by: DecidedBy = DecidedBy.TERMINAL
    card: CardText | None = None
    credential: UUID | None = None
    reason: Annotated[str, Field(max_length=64)] = ""


class AskOpened(_Asked):
    """The device lets its door go by itself."""

    do: Literal["opened"]


class AskTamper(_Asked):
    do: Literal["tamper"]
    active: bool


class AskPower(_Asked):
    do: Literal["power"]
    failed: bool


class AskInput(_Asked):
    """An input changes: 0 is the door's contact (active: open), 1 the button. While the reader is away nobody is told
    until it is back."""

    do: Literal["input"]
    input: Annotated[int, Field(ge=0, le=15)]
    active: bool


class AskOnline(_Asked):
    """The reader is lost, or found again."""

    do: Literal["online"]
    online: bool


Presented = AskCard | AskBits | AskNumber | AskKeys | AskCode | AskPlate | AskVerdict | AskOpened | AskTamper | AskPower
Asked = Presented | AskInput | AskOnline
_ASKED: TypeAdapter[Asked] = TypeAdapter(Annotated[Asked, Field(discriminator="do")])


def read_line(line: bytes) -> Asked:
    """What a line asks for.

    Raises:
        ProtocolError: if it is nothing that can be asked.
    """
    try:
        return _ASKED.validate_json(line)
    except ValidationError as error:
        raise ProtocolError(explain(error)) from None


def write_line(message: dict[str, Any]) -> bytes:
    """A line for the other side."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def event_of(asked: Presented, now_ns: int) -> DriverEvent:
    """What the driver delivers for it.

    Raises:
        ProtocolError: if a card's text is none.
    """
    match asked:
        case AskCard() | AskBits() | AskNumber():
            return _card(asked, now_ns)
        case AskKeys():
            return KeysPressed(asked.reader, asked.keys, now_ns)
        case AskCode():
            return CodePresented(asked.reader, asked.text, now_ns)
        case AskPlate():
            return PlatePresented(asked.reader, asked.plate, asked.confidence, now_ns)
        case AskVerdict():
            return _verdict(asked)
        case AskOpened():
            return DoorOpenedByDevice(asked.reader)
        case AskTamper():
            return TamperReported(asked.reader, asked.active)
        case AskPower():
            return PowerReported(asked.reader, asked.failed)


def _card(asked: AskCard | AskBits | AskNumber, now_ns: int) -> CardPresented | NumberPresented:
    if isinstance(asked, AskBits):
        return CardPresented(asked.reader, bytes.fromhex(asked.data), asked.bit_count, now_ns)
    card = parse_text(asked.card)
    if isinstance(asked, AskNumber):
        return NumberPresented(asked.reader, card, now_ns)
    return CardPresented(asked.reader, encode_bytes(card), card.bit_count, now_ns)


def _verdict(asked: AskVerdict) -> DeviceDecided:
    card = None if asked.card is None else parse_text(asked.card)
    return DeviceDecided(
        asked.reader, asked.granted, asked.method, asked.by, card=card, credential=asked.credential, reason=asked.reason
    )
