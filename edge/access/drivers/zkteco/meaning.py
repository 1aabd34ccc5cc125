"""What a device's records mean at the doors: event codes, ways of verification and card numbers.

Codes are those of appendices 2 and 3 of the Security PUSH protocol: 0 to 19 and 200 to 253 are normal, 20 to 99 are
refusals and errors, 100 to 199 are alarms.
"""

from dataclasses import dataclass
from enum import Enum, auto

from edge.access.drivers.interface import DriverEvent, InputsReported, PowerReported, TamperReported
from protocols.access_events import BIOMETRIC_METHODS, AccessMethod, DecidedBy
from protocols.cards import CardFormat, CardNumber, UnreadableCard, encode, parse_text
from protocols.zk_push_records import (
    ALARM_BATTERY_FAILED,
    ALARM_MAINS_FAILED,
    ALARM_READER_REMOVED,
    ALARM_TAMPER,
    DoorStates,
)


class Kind(Enum):
    GRANTED = auto()
    DENIED = auto()
    OPENED_BY_DEVICE = auto()
    """The device let the door go and no person is known: its button, a fire input, its own schedule."""
    CONTACT_OPEN = auto()
    CONTACT_CLOSED = auto()
    TAMPER = auto()
    TAMPER_ENDED = auto()
    POWER_FAILED = auto()
    NOTHING = auto()
    """Of no meaning to the gateway, or reported by the doors' states anyway."""
    UNKNOWN = auto()


@dataclass(frozen=True)
class Meaning:
    kind: Kind
    reason: str = ""
    """A word for a refusal, or `duress`."""


_GRANTS = (0, 1, 2, 3, 14, 15, 16, 17, 18, 19, 203, 207, 208, 215, 216, 218, 232)
_DURESS = (101, 103)
_OPENED = (4, 5, 11, 202, 205, 210)
_DENIALS = {
    20: "too_soon",
    21: "outside_schedule",
    22: "outside_schedule",
    23: "no_right",
    24: "anti_passback",
    25: "interlock",
    26: "second_person_missing",
    27: "unknown",
    29: "expired",
    30: "wrong_password",
    31: "too_soon",
    32: "second_person_missing",
    33: "expired",
    34: "unknown",
    35: "outside_schedule",
    38: "lost_card",
    39: "blacklisted",
    40: "second_person_refused",
    41: "wrong_method",
    42: "unreadable",
    45: "remote_timeout",
    48: "second_person_refused",
    49: "outside_schedule",
    50: "too_soon",
    51: "second_person_missing",
    52: "second_person_refused",
    53: "expired",
    60: "locked",
    61: "repeated",
    62: "prohibited",
    63: "locked",
    68: "temperature",
    69: "mask",
    73: "bad_qr",
    74: "expired_qr",
    75: "combination_timeout",
    104: "unknown_repeatedly",
}
_QR_DENIALS = (73, 74)
_OTHERS = {
    100: Kind.TAMPER,
    109: Kind.TAMPER,
    236: Kind.TAMPER_ENDED,
    102: Kind.CONTACT_OPEN,
    200: Kind.CONTACT_OPEN,
    201: Kind.CONTACT_CLOSED,
    106: Kind.POWER_FAILED,
    107: Kind.POWER_FAILED,
}
_ANSWERED = (44, 222)
"""The device tells that the server refused or granted what it asked for: told already, as the gateway's own verdict."""
_ASKS, _UNKNOWN_CARD = 223, 27
_OF_NO_MEANING = (
    6, 7, 8, 9, 10, 12, 13, 28, 36, 37, 204, 206, 209, 214, 220, 221, 223, 224, 225, 226, 233, 234, 237, 255,
    *_ANSWERED,
)  # fmt: skip
_LAST_REFUSAL, _FIRST_REFUSAL = 99, 20

MEANINGS: dict[int, Meaning] = {
    **{code: Meaning(Kind.GRANTED) for code in _GRANTS},
    **{code: Meaning(Kind.GRANTED, "duress") for code in _DURESS},
    **{code: Meaning(Kind.OPENED_BY_DEVICE) for code in _OPENED},
    **{code: Meaning(Kind.DENIED, reason) for code, reason in _DENIALS.items()},
    **{code: Meaning(kind) for code, kind in _OTHERS.items()},
    **{code: Meaning(Kind.NOTHING) for code in _OF_NO_MEANING},
}


def meaning_of(event: int, *, has_person: bool) -> Meaning:
    """What an event code means. An unlisted code of the band of refusals is one if a person or card stands in it."""
    known = MEANINGS.get(event)
    if known is not None:
        return known
    if has_person and _FIRST_REFUSAL <= event <= _LAST_REFUSAL:
        return Meaning(Kind.DENIED, f"event_{event}")
    return Meaning(Kind.UNKNOWN)


def asks_for_verdict(event: int) -> bool:
    """Whether the gateway may judge what a device asks about: what it would let in, or a card that it does not know.
    What it refuses for reasons of its own, and a duress code, it judges alone."""
    return event in (_ASKS, _UNKNOWN_CARD) or event in _GRANTS


_CARD_MODES = frozenset((4, 10, 14, 23, 26))
_PIN_MODES = frozenset((2, 3))
_CARD_PIN_MODES = frozenset((11,))
_CARD_OR_PIN = 7
_SEVERAL_MODES = frozenset((0, 5, 6, _CARD_OR_PIN))
_BIOMETRIC_MODES = {
    **dict.fromkeys((1, 5, 6, 8, 9, 12, 13), AccessMethod.FINGERPRINT),
    **dict.fromkeys((15, 16, 17, 18, 19, 20, 27, 29), AccessMethod.FACE),
    **dict.fromkeys((21, 22, 24), AccessMethod.VEIN),
    **dict.fromkeys((25, 28), AccessMethod.PALM),
}
_NEW_STYLE_DIGITS = 16
_NEW_STYLE_BIOMETRIC = (
    (1 << 1, AccessMethod.FACE),
    (1 << 2, AccessMethod.PALM),
    (1 << 4, AccessMethod.FINGERPRINT),
    (1 << 3 | 1 << 5, AccessMethod.VEIN),
    (1 << 6 | 1 << 7 | 1 << 8, AccessMethod.FACE),  # voice, iris, retina, for which the contract has no word
)
_NEW_STYLE_PASSWORD, _NEW_STYLE_CARD = 1 << 9, 1 << 11


def method_of(verify: str, event: int, *, has_card: bool) -> AccessMethod:
    """How the person was verified (appendix 3).

    Of several biometric ways one is told: a face before a palm, a finger, a vein. Where the device names several ways,
    a card number in the record tells that it was the card.
    """
    if event in _QR_DENIALS:
        return AccessMethod.QR
    if len(verify) == _NEW_STYLE_DIGITS and not verify.strip("01"):
        return _new_style_method(int(verify, 2))
    mode = int(verify) if verify.isascii() and verify.isdigit() and len(verify) <= 3 else 0
    if mode in _CARD_PIN_MODES:
        return AccessMethod.CARD_PIN
    if mode in _CARD_MODES or (mode in _SEVERAL_MODES and has_card):
        return AccessMethod.CARD
    if mode in _PIN_MODES or mode == _CARD_OR_PIN:
        return AccessMethod.PIN
    return _BIOMETRIC_MODES.get(mode, AccessMethod.CARD)


def _new_style_method(ways: int) -> AccessMethod:
    for bits, method in _NEW_STYLE_BIOMETRIC:
        if ways & bits:
            return method
    if ways & _NEW_STYLE_CARD:
        return AccessMethod.CARD_PIN if ways & _NEW_STYLE_PASSWORD else AccessMethod.CARD
    return AccessMethod.PIN if ways & _NEW_STYLE_PASSWORD else AccessMethod.CARD


def decided_by(method: AccessMethod) -> DecidedBy:
    """A biometric verdict is a terminal's; everything else comes from the list in the board."""
    return DecidedBy.TERMINAL if method in BIOMETRIC_METHODS else DecidedBy.BOARD


_NUMBER_BITS = {CardFormat.W26: 16, CardFormat.W34: 16, CardFormat.W37: 19}


def number_of(card: CardNumber) -> int:
    """The number that a device knows a card by: its data bits, without parity."""
    if card.format is CardFormat.RAW:
        return card.number
    return encode(card) >> 1 & (1 << card.bit_count - 2) - 1


def card_of(number: int, expected: CardFormat) -> CardNumber | None:
    """The inverse, for readers of one format; None if the number is too large for it. A raw card has as many bytes as
    its number needs, four at least."""
    if expected is CardFormat.RAW:
        bits = max(32, (number.bit_length() + 7) // 8 * 8)
        return CardNumber(CardFormat.RAW, 0, number, bits)
    width = _NUMBER_BITS[expected]
    try:
        return parse_text(f"{expected}:{number >> width}:{number & (1 << width) - 1}")
    except UnreadableCard:
        return None


def door_reports(reader: str, channel: int, states: DoorStates) -> list[DriverEvent]:
    """What the doors' states say about the door of one reader."""
    reports: list[DriverEvent] = []
    contact = states.open[channel - 1] if channel <= len(states.open) else None
    if contact is not None:
        reports.append(InputsReported(reader, (contact,)))
    if channel <= len(states.alarms):
        alarms = states.alarms[channel - 1]
        reports.append(TamperReported(reader, bool(alarms & (ALARM_TAMPER | ALARM_READER_REMOVED))))
        reports.append(PowerReported(reader, bool(alarms & (ALARM_MAINS_FAILED | ALARM_BATTERY_FAILED))))
    return reports
