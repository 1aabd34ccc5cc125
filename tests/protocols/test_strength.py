"""A credential's strength is what its format and its PIN make of it."""

import pytest

from protocols.cards import parse_text
from protocols.strength import Strength, strength_of_card, strength_of_pin


@pytest.mark.parametrize(
    ("card", "alone"),
    [
        ("w26:12:345", Strength.WEAK),
        ("w34:12:345", Strength.FAIR),
        ("w37:12:345", Strength.FAIR),
        ("raw24:0badca", Strength.WEAK),
        ("raw32:0badcafe", Strength.FAIR),
        ("raw56:04a1b2c3d4e5f6", Strength.FAIR),
    ],
)
def test_a_card_is_as_strong_as_its_number_is_hard_to_guess(card: str, alone: Strength) -> None:
    assert strength_of_card(parse_text(card), has_pin=False) is alone
    assert strength_of_card(parse_text(card), has_pin=True) is Strength.GOOD


def test_a_short_pin_is_weak() -> None:
    assert [strength_of_pin(pin) for pin in ("1234", "12345", "123456", "12345678")] == [
        Strength.WEAK,
        Strength.WEAK,
        Strength.FAIR,
        Strength.FAIR,
    ]
