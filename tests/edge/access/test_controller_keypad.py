"""What is typed at a reader: entries, the card that waits, and a slow model that reads the whole history."""

import math

from hypothesis import given
from hypothesis import strategies as st

from edge.access.keypad import IDLE_S, PIN_AFTER_CARD_S, Keypad
from edge.access.presentations import Card, CardAndPin, Pin

A, B = Card(b"\x01", 8), Card(b"\x02", 8)


def test_an_entry_ends_with_enter_or_its_eighth_digit() -> None:
    keypad = Keypad()

    assert keypad.press("12", 0.0) == []
    assert keypad.press("34#", 1.0) == [Pin("1234")]
    assert keypad.press("12345678", 2.0) == [Pin("12345678")]
    assert keypad.press("##", 3.0) == []
    assert keypad.deadline_s == math.inf


def test_an_asterisk_clears_and_letters_are_nothing() -> None:
    assert Keypad().press("99*12a34#", 0.0) == [Pin("1234")]


def test_four_digits_that_nobody_ended_count_after_a_while_and_fewer_are_forgotten() -> None:
    long, short = Keypad(), Keypad()
    long.press("1234", 0.0)
    short.press("123", 0.0)

    assert long.due(IDLE_S - 0.1) == []
    assert long.due(IDLE_S) == [Pin("1234")]
    assert short.due(IDLE_S) == []
    assert short.press("4#", IDLE_S) == [Pin("4")]


def test_a_card_gets_the_pin_that_follows_and_what_was_typed_before_does_not_count() -> None:
    keypad = Keypad()
    keypad.press("99", 0.0)
    keypad.wait_for_pin(A, 0.1)

    assert keypad.press("1234#", 5.0) == [CardAndPin(A, "1234")]
    assert keypad.press("1234#", 6.0) == [Pin("1234")]


def test_a_card_waits_ten_seconds_and_longer_for_who_still_types() -> None:
    idle, typing = Keypad(), Keypad()
    for keypad in (idle, typing):
        keypad.wait_for_pin(A, 0.0)
    typing.press("12", PIN_AFTER_CARD_S - 1)

    assert idle.due(PIN_AFTER_CARD_S) == [CardAndPin(A, None)]
    assert typing.due(PIN_AFTER_CARD_S) == []
    assert typing.press("34#", PIN_AFTER_CARD_S + 1) == [CardAndPin(A, "1234")]


def test_another_card_ends_the_wait_of_the_first() -> None:
    keypad = Keypad()
    keypad.wait_for_pin(A, 0.0)

    assert keypad.take_card() == CardAndPin(A, None)
    keypad.wait_for_pin(B, 1.0)
    assert keypad.press("1234#", 2.0) == [CardAndPin(B, "1234")]
    assert keypad.take_card() is None


def slow(text: str) -> list[str]:
    """Every entry of keys that were all pressed at once, read from the text as a person would."""
    entries, digits = [], ""
    for key in text:
        if key == "*":
            digits = ""
        elif key in "0123456789":
            digits += key
        if digits and (key == "#" or len(digits) == 8):
            entries.append(digits)
            digits = ""
    return entries


@given(st.lists(st.text("0123456789*#AB", max_size=20), max_size=20))
def test_however_keys_arrive_they_read_the_same(pieces: list[str]) -> None:
    keypad = Keypad()

    entered = [entry for piece in pieces for entry in keypad.press(piece, 0.0)]

    assert entered == [Pin(digits) for digits in slow("".join(pieces))]


@given(st.lists(st.tuples(st.sampled_from(["card", "keys", "time"]), st.text("0123456789#*", max_size=9)), max_size=40))
def test_a_keypad_is_at_rest_in_the_end_and_every_card_is_answered(steps: list[tuple[str, str]]) -> None:
    keypad, now_s, waiting, answered = Keypad(), 0.0, 0, 0
    for what, keys in steps:
        now_s += 1.0
        entered = []
        if what == "card":
            unfinished = keypad.take_card()
            entered = [] if unfinished is None else [unfinished]
            keypad.wait_for_pin(A, now_s)
            waiting += 1
        elif what == "keys":
            entered = list(keypad.press(keys, now_s))
        else:
            now_s += 3.0
            entered = list(keypad.due(now_s))
        answered += sum(isinstance(entry, CardAndPin) for entry in entered)
    while keypad.deadline_s < math.inf:
        now_s = max(now_s, keypad.deadline_s)
        answered += sum(isinstance(entry, CardAndPin) for entry in keypad.due(now_s))

    assert answered == waiting
