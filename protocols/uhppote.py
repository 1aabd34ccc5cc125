"""The packets of UHPPOTE boards that a gateway must read safely: status, pushed events, event records; card numbers.

Every packet has 64 bytes: a start byte (0x17; events of firmware 6.62 have 0x19), the function, two unused bytes and
the board's serial number (32 bits, least significant byte first). Dates and times are binary-coded decimals without a
zone. A pushed event and the reply to get-status have one layout, the reply to get-event a part of it. Requests and the
plain replies are left to `uhppoted`; what anybody may send to the gateway's open port is read here.
"""

import struct
from dataclasses import dataclass
from datetime import datetime

from protocols.base import ProtocolError
from protocols.cards import CardFormat, CardNumber, UnreadableCard

PACKET_BYTES = 64
START = 0x17
START_V6_62 = 0x19
STATUS = 0x20
"""The function of a status reply and of a pushed event."""
EVENT = 0xB0
"""The function of an event record's reply."""
DOORS = 4

NO_EVENT = 0x00
OVERWRITTEN = 0xFF
"""The kind of a record that the ring no longer holds."""
DELETED_CARD = 0xFFFFFFFF

_W26_FACILITY = 100_000
"""A board spells a 26-bit card in decimal: the facility, and five digits for the number."""


class Reason:
    """The reason codes that a driver acts on; `REASONS` names them all."""

    GRANTED = 1
    REMOTE_CONTROL = 5
    """The board asked its remote host, which decides; it opens nothing by itself."""
    WRONG_PASSWORD = 7
    LAST_OF_SWIPES = 18
    BUTTON = 20
    DOOR_OPENED = 23
    DOOR_CLOSED = 24
    SUPERVISOR_PASSWORD = 25
    POWER_ON = 28
    RESET = 29
    REMOTE_OPEN = 44
    REMOTE_OPEN_USB = 45


REASONS = {
    1: "granted",
    5: "remote_control",
    6: "no_access_rights",
    7: "wrong_password",
    8: "anti_passback",
    9: "more_cards",
    10: "first_card",
    11: "door_normally_closed",
    12: "interlock",
    13: "limited_times",
    15: "outside_time_profile",
    18: "unknown_card",
    20: "button",
    23: "door_opened",
    24: "door_closed",
    25: "supervisor_password",
    28: "power_on",
    29: "reset",
    30: "button_disabled",
    31: "button_locked",
    32: "button_offline",
    33: "button_interlock",
    34: "button_threat",
    37: "open_too_long",
    38: "forced_open",
    39: "fire",
    40: "forced_closed",
    41: "theft_prevention",
    42: "zone_24_hours",
    43: "emergency",
    44: "remote_open",
    45: "remote_open_usb",
}
"""A word for each reason code, from the boards' own list."""


class BrokenPacket(ProtocolError):
    """Bytes that are not the packet that was expected."""


@dataclass(frozen=True)
class Record:
    """One event of a board's ring. Boards are at odds about `kind`, so the `reason` says what it is."""

    index: int
    """From 1, rising by one; never reused."""
    kind: int
    granted: bool
    door: int
    exit: bool
    """The swipe was at the door's exit reader."""
    card: int
    at: datetime | None
    """Local time without a zone; None where the board's is no time at all."""
    reason: int

    @property
    def is_swipe(self) -> bool:
        """Whether somebody presented a card or a password."""
        return 0 < self.reason <= Reason.LAST_OF_SWIPES

    @property
    def word(self) -> str:
        """The reason as a word."""
        return REASONS.get(self.reason, f"reason_{self.reason}")


@dataclass(frozen=True)
class Status:
    """A board's state: all of its doors, and its newest event."""

    serial: int
    record: Record | None
    open: tuple[bool, ...]
    """By door: its contact."""
    pressed: tuple[bool, ...]
    """By door: its exit button."""
    fire: bool
    error: int
    at: datetime | None
    """The board's clock: local time without a zone."""


def parse_status(packet: bytes) -> Status:
    """Read a pushed event or the reply to get-status.

    Raises:
        BrokenPacket: if it is neither.
    """
    serial = _check(packet, STATUS, (START, START_V6_62))
    record = _record(packet)
    return Status(
        serial=serial,
        record=record if record.index else None,
        open=tuple(byte != 0 for byte in packet[28:32]),
        pressed=tuple(byte != 0 for byte in packet[32:36]),
        fire=bool(packet[50] & 1),
        error=packet[36],
        at=_datetime(b"\x20" + packet[51:54] + packet[37:40]),
    )


def parse_record(packet: bytes) -> Record:
    """Read the reply to get-event. Its kind is `NO_EVENT` or `OVERWRITTEN` where the board has none of that index.

    Raises:
        BrokenPacket: if it is not one.
    """
    _check(packet, EVENT, (START,))
    return _record(packet)


def card_of(number: int, expected: CardFormat) -> CardNumber:
    """The card behind a board's number: 26 bits as facility and five decimal digits, all else as the plain bits.

    Raises:
        UnreadableCard: if no card of the format has this number.
    """
    if expected is CardFormat.W26:
        facility, rest = divmod(number, _W26_FACILITY)
        if number > 0 and facility < 1 << 8 and rest < 1 << 16:
            return CardNumber(expected, facility, rest, 26)
    elif 0 < number < DELETED_CARD:
        if expected is CardFormat.W34:
            return CardNumber(expected, number >> 16, number & 0xFFFF, 34)
        if expected is CardFormat.RAW:
            return CardNumber(expected, 0, number, 32)
    raise UnreadableCard(f"a board's number {number} is no {expected} card")


def number_of(card: CardNumber) -> int:
    """A board's number for a card: the inverse of `card_of`.

    Raises:
        UnreadableCard: if a board's 32 bits cannot hold it.
    """
    number = card.number
    if card.format is CardFormat.W26:
        number = card.facility * _W26_FACILITY + card.number
    elif card.format is CardFormat.W34:
        number = card.facility << 16 | card.number
    if card.format is CardFormat.W37 or not 0 < number < DELETED_CARD:
        raise UnreadableCard(f"a UHPPOTE board cannot keep this {card.format} card")
    return number


def _check(packet: bytes, function: int, starts: tuple[int, ...]) -> int:
    """The serial number of a packet that is what it should be."""
    if len(packet) != PACKET_BYTES:
        raise BrokenPacket(f"a packet has {PACKET_BYTES} bytes, not {len(packet)}")
    if packet[0] not in starts:
        raise BrokenPacket(f"a packet does not start with 0x{packet[0]:02x}")
    if packet[1] != function:
        raise BrokenPacket(f"function 0x{function:02x} was expected, not 0x{packet[1]:02x}")
    serial = _uint32(packet, 4)
    if not serial:
        raise BrokenPacket("a packet without a serial number")
    return serial


def _record(packet: bytes) -> Record:
    return Record(
        index=_uint32(packet, 8),
        kind=packet[12],
        granted=packet[13] != 0,
        door=packet[14],
        exit=packet[15] == 2,
        card=_uint32(packet, 16),
        at=_datetime(packet[20:27]),
        reason=packet[27],
    )


def _uint32(packet: bytes, offset: int) -> int:
    value: int = struct.unpack_from("<L", packet, offset)[0]
    return value


def _datetime(digits: bytes) -> datetime | None:
    """A time from its 14 decimal digits, YYYYMMDDhhmmss, or None if they are no time."""
    text = digits.hex()
    if not text.isdecimal():
        return None
    try:
        return datetime(  # noqa: DTZ001 - a board knows no zone
            int(text[:4]), int(text[4:6]), int(text[6:8]), int(text[8:10]), int(text[10:12]), int(text[12:])
        )
    except ValueError:
        return None
