"""PINs as both sides spell them before hashing. A PIN has four to eight digits; it is stored as a keyed hash alone."""

import hmac
import re
from uuid import UUID

from protocols.base import ProtocolError

MIN_DIGITS, MAX_DIGITS = 4, 8
_PIN = re.compile(rf"[0-9]{{{MIN_DIGITS},{MAX_DIGITS}}}")


class BadPin(ProtocolError):
    """Not four to eight digits. The text never holds what was typed."""


def pin_text(pin: str) -> str:
    """What the keyed hash of a PIN that opens by itself is made of.

    Raises:
        BadPin: if it is none.
    """
    return f"pin:{_checked(pin)}"


def pin_of_card_text(card: UUID, pin: str) -> str:
    """What the keyed hash of a PIN that goes with a card is made of: the card's `ref` too, so that equal PINs differ.

    Raises:
        BadPin: if it is none.
    """
    return f"card-pin:{card.hex}:{_checked(pin)}"


def keyed_hash_of(key: bytes, text: str) -> str:
    """128 bits of HMAC-SHA256 under the gateway's card key, as 32 hex digits: the hash of a PIN, plate or holder."""
    return hmac.digest(key, text.encode(), "sha256")[:16].hex()


def holder_text(person: UUID) -> str:
    """What `CredentialRow.holder` is the keyed hash of."""
    return f"holder:{person.hex}"


def _checked(pin: str) -> str:
    if _PIN.fullmatch(pin) is None:
        raise BadPin(f"a PIN has {MIN_DIGITS} to {MAX_DIGITS} digits")
    return pin
