"""From what was presented to the credentials that it may be: a hash is looked up, a QR code's signature is checked.

A claim is judged by `edge.access.decision`. PINs are compared in constant time and never leave this module.
"""

import hmac
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from edge.access.calendar import LocalMinute
from edge.access.credential_index import ALWAYS_US, NEVER_US, Kind, StoredCredential
from edge.access.presentations import Card, CardAndPin, Code, Number, Pin, Plate, Presentation
from edge.access.rights import CompiledRules, DoorTerms
from edge.access.store import CredentialStore
from protocols.access_events import AccessMethod, DenialReason
from protocols.cards import CardFormat, CardNumber, UnreadableCard, decode_bytes
from protocols.passes import BadToken, PassToken, read_token
from protocols.pins import BadPin, pin_of_card_text, pin_text
from protocols.plates import BadPlate, plate_text
from protocols.sealing import Verify

SKEW = timedelta(minutes=5)
"""By how much the hub's clock and the gateway's may differ for the window of a QR code."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_DAY = timedelta(days=1)
_NARROWS_NOTHING = StoredCredential(UUID(int=0), ALWAYS_US, NEVER_US, (), Kind.PASS)
"""In the place of the row that a pass does not have."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A credential that fits what was presented; the bounds are in microseconds since the epoch."""

    ref: UUID
    since_us: int
    until_us: int
    ends_s: float | None
    """When it ends, in wall seconds; None: never."""
    needs_clock: bool
    """Cannot be judged while the clock is not trusted."""
    holder: bytes | None
    uses: int | None
    offline_s: int | None
    first: bool
    duress: bool
    pin: DenialReason | None
    """Why the PIN keeps it out, if it does."""
    right: DenialReason | None
    """Why it has no right at this door in this minute, if so."""

    @property
    def who(self) -> bytes:
        """Who holds it, as far as is known: for telling one holder from another."""
        return self.holder or self.ref.bytes


@dataclass(frozen=True, slots=True)
class Reading:
    """What a presentation came to: claims, or the reason for there being none."""

    method: AccessMethod
    claims: tuple[Claim, ...] = ()
    hash: str | None = None
    why_none: DenialReason = DenialReason.UNKNOWN_CREDENTIAL


@dataclass(frozen=True, slots=True)
class Asked:
    """Where and when something is presented."""

    door: str
    rules: CompiledRules
    terms: DoorTerms
    at: LocalMinute


class Claims:
    """Reads presentations.

    Args:
        gateway: the name that a QR code has to carry as its site.
        card_formats: by reader, how the bits of its cards are laid out; Wiegand 26 for one that is not named.
    """

    def __init__(
        self, store: CredentialStore, gateway: str, verify: Verify, card_formats: Mapping[str, CardFormat]
    ) -> None:
        self._store, self._gateway, self._verify, self._formats = store, gateway, verify, card_formats

    def read(self, reader: str, presented: Presentation, asked: Asked) -> Reading:
        """The claims in what was presented, PINs judged."""
        match presented:
            case Card() | Number():
                return self._card(reader, presented, None, AccessMethod.CARD, asked)
            case CardAndPin(card, digits):
                method = AccessMethod.CARD if digits is None else AccessMethod.CARD_PIN
                return self._card(reader, card, digits, method, asked)
            case Pin(digits):
                return self._text(AccessMethod.PIN, Kind.PIN, digits, asked)
            case Plate(plate):
                return self._text(AccessMethod.PLATE, Kind.PLATE, plate, asked)
            case Code(text):
                return self._code(text, asked)

    def of_card(self, card: CardNumber, asked: Asked) -> Reading:
        """The claims of a card that a device has judged by itself."""
        card_hash = self._store.hash_of(card)
        rows = [row for row in self._store.find(card_hash) if row.kind is Kind.CARD]
        return Reading(AccessMethod.CARD, tuple(_of_row(row, asked) for row in rows), card_hash)

    def of_credential(self, ref: UUID, asked: Asked) -> Claim | None:
        """The claim of a credential that a device names by its id; None: no device keeps it any more."""
        row = self._store.find_numbered(ref)
        return None if row is None else _of_row(row, asked)

    def _card(
        self, reader: str, shown: Card | Number, digits: str | None, method: AccessMethod, asked: Asked
    ) -> Reading:
        try:
            card = shown.card if isinstance(shown, Number) else self._decoded(reader, shown)
        except UnreadableCard:
            return Reading(method, why_none=DenialReason.UNREADABLE)
        card_hash = self._store.hash_of(card)
        rows = [row for row in self._store.find(card_hash) if row.kind is Kind.CARD]
        wanted = bool(rows) and asked.terms.wants_pin(asked.at)
        claims = tuple(self._with_pin(row, digits, wanted, asked) for row in rows)
        return Reading(method, claims, card_hash)

    def _decoded(self, reader: str, shown: Card) -> CardNumber:
        return decode_bytes(shown.data, shown.bit_count, self._formats.get(reader, CardFormat.W26))

    def _with_pin(self, row: StoredCredential, digits: str | None, wanted: bool, asked: Asked) -> Claim:
        """A card with the digits that came with it: judged if the door wants them, or if the card has a PIN at all."""
        if digits is None:
            return _of_row(row, asked, pin=DenialReason.PIN_MISSING if wanted else None)
        if not wanted and row.pin is None and row.duress_pin is None:
            return _of_row(row, asked)
        try:
            typed = bytes.fromhex(self._store.hash_of_text(pin_of_card_text(row.ref, digits)))
        except BadPin:
            return _of_row(row, asked, pin=DenialReason.WRONG_PIN)
        right, under_duress = _same(typed, row.pin), _same(typed, row.duress_pin)
        return _of_row(
            row,
            asked,
            pin=None if right or under_duress else DenialReason.WRONG_PIN,
            duress=under_duress,
        )

    def _text(self, method: AccessMethod, kind: Kind, given: str, asked: Asked) -> Reading:
        try:
            text = pin_text(given) if kind is Kind.PIN else plate_text(given)
        except (BadPin, BadPlate):
            return Reading(method, why_none=DenialReason.UNREADABLE)
        text_hash = self._store.hash_of_text(text)
        rows = [row for row in self._store.find(text_hash) if row.kind is kind]
        return Reading(method, tuple(_of_row(row, asked) for row in rows), text_hash)

    def _code(self, text: str, asked: Asked) -> Reading:
        try:
            token = read_token(text, self._verify)
        except (BadToken, UnicodeEncodeError):  # a reader may deliver characters that UTF-8 does not have
            return Reading(AccessMethod.QR, why_none=DenialReason.BAD_TOKEN)
        if token.site != self._gateway:
            return Reading(AccessMethod.QR, why_none=DenialReason.OTHER_SITE)
        return Reading(AccessMethod.QR, (_of_token(token, self._store.find_pass(token.ref), asked),))


def _same(typed: bytes, kept: bytes | None) -> bool:
    return hmac.compare_digest(typed, kept or bytes(len(typed)))


def _of_row(row: StoredCredential, asked: Asked, pin: DenialReason | None = None, duress: bool = False) -> Claim:
    ends_s = row.not_after_us / 1_000_000 if row.expires else None
    return Claim(
        ref=row.ref,
        since_us=row.not_before_us,
        until_us=row.not_after_us,
        ends_s=ends_s,
        needs_clock=row.expires,
        holder=row.holder,
        uses=row.uses,
        offline_s=row.offline_s,
        first=row.first,
        duress=duress or row.duress,
        pin=pin,
        right=_right_of_row(row, asked),
    )


def _right_of_row(row: StoredCredential, asked: Asked) -> DenialReason | None:
    schedules = asked.rules.schedules_at(asked.door, row.groups)
    if not schedules:
        return DenialReason.NO_RIGHT_AT_DOOR
    return None if any(schedule.covers(asked.at) for schedule in schedules) else DenialReason.OUTSIDE_SCHEDULE


def _of_token(token: PassToken, row: StoredCredential | None, asked: Asked) -> Claim:
    """What a token grants, narrowed by its row where it has one (a pass that was taken back has one that ended)."""
    since_us = (token.since - _EPOCH - SKEW) // _MICROSECOND
    until_us = (token.until - _EPOCH + SKEW) // _MICROSECOND
    row = row or _NARROWS_NOTHING
    return Claim(
        ref=token.ref,
        since_us=max(since_us, row.not_before_us),
        until_us=min(until_us, row.not_after_us),
        ends_s=until_us / 1_000_000,
        needs_clock=True,
        holder=bytes.fromhex(token.holder) if token.holder else row.holder,
        uses=_least(token.uses, row.uses),
        offline_s=_least(token.offline_s, row.offline_s),
        first=row.first,
        duress=row.duress,
        pin=None,
        right=_right_of_token(token, asked),
    )


def _right_of_token(token: PassToken, asked: Asked) -> DenialReason | None:
    if asked.door not in token.doors:
        return DenialReason.NO_RIGHT_AT_DOOR
    return None if any(_days_covered(token, asked.at)) else DenialReason.OUTSIDE_SCHEDULE


def _days_covered(token: PassToken, at: LocalMinute) -> Iterator[bool]:
    """Whether the hours of today cover the minute, and whether yesterday's do, where they cross midnight."""
    since, until = token.hours or (0, 24 * 60)
    for day, minute in ((at.day, at.minute), (at.day - _DAY, at.minute + 24 * 60)):
        in_hours = since <= minute < (until if since <= until else until + 24 * 60)
        yield in_hours and (not token.days or day.weekday() in token.days)


def _least(one: int | None, other: int | None) -> int | None:
    return min((each for each in (one, other) if each is not None), default=None)
