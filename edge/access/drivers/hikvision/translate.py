"""What a device's log entries mean to the controller.

The codes are those of the device network SDK (`MAJOR_…`, `MINOR_…`), which ISAPI uses unchanged. A verdict by a face
and something else is told as `face`, one by a finger and something else as `fingerprint`, but for a card.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from edge.access.drivers.interface import (
    DeviceDecided,
    DoorOpenedByDevice,
    DriverEvent,
    InputsReported,
    TamperReported,
)
from protocols.access_events import AccessMethod, DecidedBy
from protocols.cards import MAX_RAW_BITS, CardFormat, CardNumber
from protocols.isapi import AccessEvent, WorkStatus

ALARM, OPERATION, EVENT = 1, 3, 5

OWN_COMMAND_S = 10.0
"""A remote opening that the device tells of within this time of our own command is ours."""

_QR_READER = 3
"""`cardReaderKind`: what was read is a QR code."""

CARD, PIN, CARD_PIN, FACE = AccessMethod.CARD, AccessMethod.PIN, AccessMethod.CARD_PIN, AccessMethod.FACE
FINGER = AccessMethod.FINGERPRINT

GRANTED: Mapping[int, AccessMethod] = {
    0x01: CARD,
    0x02: CARD_PIN,
    0x10: CARD,  # several persons, complete
    0x22: PIN,  # several persons, by the super password
    0x26: FINGER,
    0x28: CARD,
    0x2B: CARD_PIN,
    0x2E: FINGER,
    0x36: FACE,
    0x39: FACE,
    0x3C: CARD,
    0x3F: FACE,
    0x42: CARD,
    0x45: FINGER,
    0x48: FINGER,
    0x4B: FACE,
    0x4D: FACE,
    0x65: PIN,
    0x69: CARD,
    0x99: CARD,
}
"""Minor codes of an EVENT by which the device let somebody in."""

DENIED: Mapping[int, tuple[AccessMethod, str]] = {
    0x03: (CARD_PIN, "wrong_pin"),
    0x04: (CARD_PIN, "pin_timeout"),
    0x05: (CARD_PIN, "too_many_tries"),
    0x06: (CARD, "no_right"),
    0x07: (CARD, "outside_schedule"),
    0x08: (CARD, "expired"),
    0x09: (CARD, "unknown_card"),
    0x0A: (CARD, "anti_passback"),
    0x0B: (CARD, "interlock"),
    0x0C: (CARD, "several_persons"),
    0x0D: (CARD, "several_persons"),
    0x0E: (CARD, "several_persons"),
    0x0F: (CARD, "several_persons"),
    0x23: (CARD, "several_persons"),
    0x24: (CARD, "several_persons"),
    0x27: (FINGER, "not_recognised"),
    0x29: (CARD, "not_recognised"),
    0x2A: (CARD, "timeout"),
    0x2C: (CARD_PIN, "not_recognised"),
    0x2D: (CARD_PIN, "timeout"),
    0x2F: (FINGER, "not_recognised"),
    0x30: (FINGER, "timeout"),
    0x31: (FINGER, "not_recognised"),
    0x37: (FACE, "not_recognised"),
    0x38: (FACE, "timeout"),
    0x3A: (FACE, "not_recognised"),
    0x3B: (FACE, "timeout"),
    0x3D: (CARD, "not_recognised"),
    0x3E: (CARD, "timeout"),
    0x40: (FACE, "not_recognised"),
    0x41: (FACE, "timeout"),
    0x43: (CARD, "not_recognised"),
    0x44: (CARD, "timeout"),
    0x46: (FINGER, "not_recognised"),
    0x47: (FINGER, "timeout"),
    0x49: (FINGER, "not_recognised"),
    0x4A: (FINGER, "timeout"),
    0x4C: (FACE, "not_recognised"),
    0x4E: (FACE, "not_recognised"),
    0x4F: (FACE, "timeout"),
    0x50: (FACE, "not_recognised"),
    0x5E: (CARD, "first_card_missing"),
    0x66: (PIN, "wrong_pin"),
    0x67: (PIN, "timeout"),
    0x68: (FACE, "no_live_person"),
    0x70: (CARD, "not_recognised"),
    0x75: (CARD, "locked"),
    0x77: (CARD, "card_not_genuine"),
    0x97: (PIN, "wrong_pin"),
    0x98: (PIN, "unknown_person"),
    0x9A: (CARD, "timeout"),
    0x9B: (CARD, "method_not_allowed"),
}
"""Minor codes of an EVENT by which it refused, with the word that is told."""

_BUTTON = {0x17: True, 0x18: False}
_CONTACT = {0x19: True, 0x1A: False, 0x1B: True, 0x1C: True}
"""Opened, closed, opened by force, open for too long."""
_FIRE = {0x34: True, 0x35: False}
_TAMPER = {0x404: True, 0x405: False, 0x406: True, 0x407: False, 0x408: True, 0x409: False, 0x40F: True, 0x410: False}
"""Host, card reader, case and door module: minor codes of an ALARM."""
_REMOTE_OPENINGS = frozenset({0x400, 0x402, 0x40F, 0x41D, 0x41E})
"""Minor codes of an OPERATION: by a client, for good by a client, by the unlock password, by a key fob, for good."""


@dataclass(frozen=True)
class _Inputs:
    """A door's inputs as last told: 0 the contact (None: not known), 1 the button, 2 the fire relay."""

    contact: bool | None = None
    button: bool = False
    fire: bool = False
    serial: int = 0
    """Of the entry that told the contact."""
    from_log: bool = False
    """The contact is as the log told it after the fact; anything else knows better."""


class Translator:
    """Turns the entries of one device into driver events.

    Args:
        readers: the reader of each door by its number.
        formats: the card format of each reader.
        zone: of the site, in which a time without zone is meant.
    """

    def __init__(self, readers: Mapping[int, str], formats: Mapping[str, CardFormat], zone: ZoneInfo) -> None:
        self._readers, self._formats, self._zone = readers, formats, zone
        self._inputs = dict.fromkeys(readers, _Inputs())
        self._commanded_s: dict[int, float] = {}
        self.unknown = 0
        """Entries that mean nothing to us."""

    def time_of(self, event: AccessEvent) -> datetime | None:
        """An entry's time in the site's zone."""
        at = event.at
        try:
            return at if at is None else (at.astimezone(self._zone) if at.tzinfo else at.replace(tzinfo=self._zone))
        except (OverflowError, ValueError):
            return None

    def commanded(self, door: int, monotonic_s: float) -> None:
        """We told the device to open a door."""
        self._commanded_s[door] = monotonic_s

    def translate(self, event: AccessEvent, monotonic_s: float, live: bool = True) -> list[DriverEvent]:
        """What an entry means.

        Args:
            live: it happens now. Otherwise it is told after an outage: verdicts count, and the last state of a contact
                is kept for `inputs_of_log`.
        """
        if event.major == ALARM and event.minor in _TAMPER:
            told = [TamperReported(reader, _TAMPER[event.minor]) for reader in self._readers.values()]
            return [*told] if live else []
        door = event.door or min(self._readers)
        reader = self._readers.get(door)
        if reader is None:
            return []
        if event.major == EVENT:
            return self._event(event, door, reader, live)
        if event.major == OPERATION and event.minor in _REMOTE_OPENINGS:
            ours = monotonic_s - self._commanded_s.get(door, -math.inf) < OWN_COMMAND_S
            return [DoorOpenedByDevice(reader)] if live and not ours else []
        self.unknown += 1
        return []

    def forget_inputs(self) -> None:
        """The device was away: what its inputs are is not known."""
        self._inputs = dict.fromkeys(self._readers, _Inputs())

    def inputs_of_log(self) -> list[DriverEvent]:
        """The state of every door whose contact only the log told, after the fact."""
        told = (self._report(door, reader) for door, reader in self._readers.items() if self._inputs[door].from_log)
        return [event for events in told for event in events]

    def status(self, status: WorkStatus) -> list[DriverEvent]:
        """What the device says of its doors and its case."""
        for door, inputs in self._inputs.items():
            contact = status.open_doors[door - 1] if door <= len(status.open_doors) else None
            if contact is not None:
                self._inputs[door] = replace(inputs, contact=contact, from_log=False)
        told = [event for door, reader in self._readers.items() for event in self._report(door, reader)]
        if status.tamper is None:
            return told
        return [*(TamperReported(reader, status.tamper) for reader in self._readers.values()), *told]

    def _event(self, event: AccessEvent, door: int, reader: str, live: bool) -> list[DriverEvent]:
        inputs, minor = self._inputs[door], event.minor
        if minor in _CONTACT:
            return self._contact(event, door, reader, live)
        if minor in _FIRE:
            self._inputs[door] = replace(inputs, fire=_FIRE[minor])
        elif minor in _BUTTON:
            self._inputs[door] = replace(inputs, button=live and _BUTTON[minor])
        else:
            verdict = self._verdict(event, reader)
            self.unknown += not verdict
            return verdict
        if not live:
            return []
        opened: list[DriverEvent] = [DoorOpenedByDevice(reader)] if _BUTTON.get(minor) else []
        return opened + self._report(door, reader)

    def _contact(self, event: AccessEvent, door: int, reader: str, live: bool) -> list[DriverEvent]:
        inputs, serial = self._inputs[door], event.serial or 0
        if live and (inputs.from_log or not serial or serial >= inputs.serial):
            self._inputs[door] = replace(inputs, contact=_CONTACT[event.minor], serial=serial, from_log=False)
            return self._report(door, reader)
        if not live and (inputs.contact is None or inputs.from_log):
            self._inputs[door] = replace(inputs, contact=_CONTACT[event.minor], serial=serial, from_log=True)
        return []

    def _verdict(self, event: AccessEvent, reader: str) -> list[DriverEvent]:
        if event.minor in GRANTED:
            granted, method, reason = True, GRANTED[event.minor], ""
        elif event.minor in DENIED:
            granted = False
            method, reason = DENIED[event.minor]
        else:
            return []
        if event.card_reader_kind == _QR_READER and method is CARD:
            method = AccessMethod.QR
        card = card_number(event.card, self._formats[reader]) if method in (CARD, CARD_PIN) else None
        credential = credential_id(event.employee)
        at = self.time_of(event)
        return [DeviceDecided(reader, granted, method, DecidedBy.TERMINAL, card, credential, at, reason)]

    def _report(self, door: int, reader: str) -> list[DriverEvent]:
        inputs = self._inputs[door]
        if inputs.contact is None and not inputs.fire:
            return []
        return [InputsReported(reader, (bool(inputs.contact), inputs.button, inputs.fire))]


def credential_id(employee: str) -> UUID | None:
    """The credential that an employee number names: 32 hex digits, as the roster writes them."""
    if len(employee) != 32 or not employee.isascii() or not employee.isalnum():
        return None
    try:
        return UUID(hex=employee)
    except ValueError:
        return None


_DATA_BITS = {CardFormat.W26: (8, 16), CardFormat.W34: (16, 16), CardFormat.W37: (16, 19)}


def card_text(card: CardNumber) -> str:
    """A card as the device spells it: its data bits as one decimal number, without parity."""
    if card.format is CardFormat.RAW:
        return str(card.number)
    return str(card.facility << _DATA_BITS[card.format][1] | card.number)


def card_number(text: str, expected: CardFormat) -> CardNumber | None:
    """The card that a device's decimal number is; None where it is none, or too large for the format. A raw one has 32
    bits, or 56 (a long UID) where it needs them."""
    if not (text.isascii() and text.isdigit() and len(text) <= 64):
        return None
    number = int(text)
    if expected is CardFormat.RAW:
        bits = next((bits for bits in (32, 56, MAX_RAW_BITS) if number >> bits == 0), 0)
        return CardNumber(expected, 0, number, bits) if number and bits else None
    facility_bits, number_bits = _DATA_BITS[expected]
    if number >> facility_bits + number_bits or not number:
        return None
    mask = (1 << number_bits) - 1
    return CardNumber(expected, number >> number_bits, number & mask, facility_bits + number_bits + 2)
