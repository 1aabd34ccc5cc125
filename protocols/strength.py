"""How hard a credential is to copy or to guess, for the person who gives it out.

A card's bits are all that a reader sends, so whoever has read a card once can make another; encryption on the reader's
line (OSDP secure channel) protects the line and not the card. What differs is how easily a number is guessed.
"""

from enum import StrEnum

from protocols.cards import CardFormat, CardNumber

_HARD_TO_GUESS_BITS = 32
_LONG_PIN_DIGITS = 6


class Strength(StrEnum):
    """From what a passer-by can do to what takes the hub's key."""

    WEAK = "weak"
    """Guessed or read off: a Wiegand 26 card (24 bits, numbered in a row), a PIN of fewer than six digits, a plate."""
    FAIR = "fair"
    """Copied by whoever held it for a moment, but hard to guess: a longer card number or UID; a PIN of six digits."""
    GOOD = "good"
    """Two things at once: a card and its PIN."""
    SIGNED = "signed"
    """A code that only the hub can make, for a short time."""


def strength_of_card(card: CardNumber, *, has_pin: bool) -> Strength:
    """That of a card, alone or with a PIN that its doors ask for."""
    if has_pin:
        return Strength.GOOD
    is_short = card.format is CardFormat.W26 or card.bit_count < _HARD_TO_GUESS_BITS
    return Strength.WEAK if is_short else Strength.FAIR


def strength_of_pin(pin: str) -> Strength:
    """That of a PIN that opens by itself."""
    return Strength.FAIR if len(pin) >= _LONG_PIN_DIGITS else Strength.WEAK
