"""A decider with a clock that stands still, for the tests of rules."""

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.access.decision import Decider, Decision
from edge.access.ledgers import Ledgers
from edge.access.presentations import Code, DoorStanding, Number, Presentation
from edge.access.store import CredentialStore
from protocols.cards import parse_text
from protocols.credentials import CredentialKind, CredentialRow
from protocols.passes import PassToken, write_token
from protocols.pins import holder_text, keyed_hash_of, pin_of_card_text, pin_text
from protocols.plates import plate_text
from protocols.rules import Rules
from tests.support.doors import CARD_KEY, ZONE, row, whole_set

SITE = "gate-house"
HUB = Ed25519PrivateKey.from_private_bytes(b"h" * 32)
STANDING = DoorStanding()
MONDAY_0930 = datetime(2026, 3, 2, 9, 30, tzinfo=ZONE)


def verify(key_id: str, data: bytes, signature: bytes) -> bool:
    """What `HubKey.verify` does."""
    try:
        HUB.public_key().verify(signature, data)
    except InvalidSignature:
        return False
    return key_id == "hub"


@dataclass
class FakeClock:
    """Both clocks, moved by hand."""

    at: datetime = MONDAY_0930
    monotonic: float = 1000.0

    def wall_s(self) -> float:
        return self.at.timestamp()

    def monotonic_s(self) -> float:
        return self.monotonic

    def advance(self, **span: float) -> None:
        """Let time pass, on both."""
        self.at += timedelta(**span)
        self.monotonic += timedelta(**span).total_seconds()

    def set(self, at: datetime) -> None:
        """Go to a moment, on both; never back on the monotonic one."""
        self.monotonic += max(0.0, (at - self.at).total_seconds())
        self.at = at


class Deciding:
    """A store, its ledgers and a decider. `again` is a restart of the gateway."""

    def __init__(self, folder: Path, zone: ZoneInfo = ZONE) -> None:
        self.folder, self.zone, self.clock = folder, zone, FakeClock()
        self.version = 0
        self._open()

    def _open(self) -> None:
        self.store = CredentialStore(self.folder / "credentials.db", CARD_KEY)
        self.ledgers = Ledgers(self.folder / "access.db")
        self.decider = Decider(self.store, self.ledgers, SITE, verify, self.clock, self.zone)

    def permit(self, rules: Rules, *rows: CredentialRow) -> None:
        """Put these in force."""
        self.version = self.store.head().version + 1
        self.store.replace(whole_set(self.version, rules, *rows))

    def ask(
        self, presented: Presentation | str, door: str = "d1", reader: str = "r1", standing: DoorStanding = STANDING
    ) -> Decision:
        """Decide now; a text is a card's spelling."""
        shown = Number(parse_text(presented)) if isinstance(presented, str) else presented
        return self.decider.decide(door, reader, shown, standing)

    def go(self, presented: Presentation | str, door: str = "d1", reader: str = "r1") -> Decision:
        """Decide, and pass if the door opens."""
        decision = self.ask(presented, door, reader)
        if decision.granted:
            self.decider.passed(door, reader, decision)
        return decision

    def again(self) -> None:
        """End the gateway and start it again."""
        self.close()
        self._open()

    def close(self) -> None:
        self.ledgers.close()
        self.store.close()


def holder(person: int) -> str:
    """The keyed hash of a person."""
    return keyed_hash_of(CARD_KEY, holder_text(uuid.UUID(int=person)))


def card_row(text: str, *groups: str, pin: str | None = None, duress_pin: str | None = None, **more: Any) -> Any:
    """A card's row; PINs as digits."""
    made = row(text, *groups)
    pins = {"pin": pin, "duress_pin": duress_pin}
    hashed = {
        name: keyed_hash_of(CARD_KEY, pin_of_card_text(made.ref, digits)) for name, digits in pins.items() if digits
    }
    return CredentialRow.model_validate(made.model_dump() | more | hashed)


def pin_row(digits: str, *groups: str, **more: Any) -> CredentialRow:
    """A PIN that opens by itself."""
    return CredentialRow(
        ref=uuid.uuid4(),
        hash=keyed_hash_of(CARD_KEY, pin_text(digits)),
        kind=CredentialKind.PIN,
        groups=groups,
        **more,
    )


def plate_row(plate: str, *groups: str, **more: Any) -> CredentialRow:
    """A number plate."""
    return CredentialRow(
        ref=uuid.uuid4(),
        hash=keyed_hash_of(CARD_KEY, plate_text(plate)),
        kind=CredentialKind.PLATE,
        groups=groups,
        **more,
    )


def pass_row(ref: uuid.UUID, **more: Any) -> CredentialRow:
    """The row of a pass."""
    return CredentialRow(ref=ref, hash=keyed_hash_of(CARD_KEY, str(ref)), kind=CredentialKind.PASS, **more)


def token(**fields: Any) -> PassToken:
    """A pass for door d1 from MONDAY_0930 for an hour."""
    plain: dict[str, Any] = {
        "ref": uuid.uuid4(),
        "site": SITE,
        "doors": ("d1",),
        "since": MONDAY_0930,
        "until": MONDAY_0930 + timedelta(hours=1),
    }
    return PassToken(**plain | fields)


def code(made: PassToken, key: Ed25519PrivateKey = HUB) -> Code:
    """The QR code of a pass."""
    return Code(write_token(made, "hub", key.sign))
