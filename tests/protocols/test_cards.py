"""Card formats: known vectors, round trips, and bits that are no card."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.cards import (
    MAX_RAW_BITS,
    CardFormat,
    CardNumber,
    UnreadableCard,
    decode,
    decode_bytes,
    encode,
    encode_bytes,
    keyed_hash,
    parse_text,
)

SIZES = {CardFormat.W26: (8, 16, 26), CardFormat.W34: (16, 16, 34), CardFormat.W37: (16, 19, 37)}


def wiegand(kind: CardFormat) -> st.SearchStrategy[CardNumber]:
    facility_bits, number_bits, bit_count = SIZES[kind]
    return st.builds(
        CardNumber,
        st.just(kind),
        st.integers(0, 2**facility_bits - 1),
        st.integers(0, 2**number_bits - 1),
        st.just(bit_count),
    )


raw = st.integers(1, MAX_RAW_BITS).flatmap(
    lambda bits: st.builds(CardNumber, st.just(CardFormat.RAW), st.just(0), st.integers(0, 2**bits - 1), st.just(bits))
)
cards = st.one_of(*(wiegand(kind) for kind in SIZES), raw)


@pytest.mark.parametrize(
    ("text", "bits"),
    [
        ("w26:0:0", "00000000000000000000000001"),
        ("w26:12:345", "00000110000000001010110010"),
        ("w26:255:65535", "01111111111111111111111111"),
        ("w34:1:1", "1000000000000000100000000000000010"),
        ("w37:0:0", "0" * 36 + "1"),
    ],
)
def test_known_cards_have_known_bits(text: str, bits: str) -> None:
    card = parse_text(text)

    assert f"{encode(card):0{card.bit_count}b}" == bits
    assert decode(int(bits, 2), len(bits), card.format) == card


def slow_parities(bits: str) -> tuple[int, int]:
    """First and last bit as the layouts say, counted one by one over the data between them."""
    data = bits[1:-1]
    half = {24: 12, 32: 16, 35: 18}[len(data)]
    return data[:half].count("1") % 2, 1 - data[-half:].count("1") % 2


@given(st.one_of(*(wiegand(kind) for kind in SIZES)))
def test_parity_is_as_counted_one_by_one(card: CardNumber) -> None:
    bits = f"{encode(card):0{card.bit_count}b}"

    assert (int(bits[0]), int(bits[-1])) == slow_parities(bits)


@given(cards)
def test_a_card_comes_back_from_bits_bytes_and_text(card: CardNumber) -> None:
    assert decode(encode(card), card.bit_count, card.format) == card
    assert decode_bytes(encode_bytes(card), card.bit_count, card.format) == card
    assert parse_text(card.text) == card
    assert parse_text(f"  {card.text.upper()} ") == card


@given(st.one_of(*(wiegand(kind) for kind in SIZES)), st.data())
def test_one_flipped_bit_is_never_the_same_card(card: CardNumber, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, card.bit_count - 1))

    with pytest.raises(UnreadableCard, match="parity"):
        decode(encode(card) ^ 1 << place, card.bit_count, card.format)


@given(st.binary(max_size=40), st.integers(-5, 400), st.sampled_from(CardFormat))
def test_any_bytes_are_a_card_or_unreadable(data: bytes, bit_count: int, kind: CardFormat) -> None:
    try:
        card = decode_bytes(data, bit_count, kind)
    except UnreadableCard:
        return
    assert parse_text(card.text) == card


@pytest.mark.parametrize(
    "text",
    [
        "",
        "w26",
        "w26:1",
        "w26:256:1",
        "w26:1:65536",
        "w26:-1:1",
        "w99:1:1",
        "raw0:0",
        "raw8:100",
        "raw257:0",
        "raw:ff",
        "1:2:3",
    ],
)
def test_a_text_that_is_no_card_says_what_was_expected(text: str) -> None:
    with pytest.raises(UnreadableCard):
        parse_text(text)


def test_a_hash_depends_on_the_key_and_the_card_and_tells_neither() -> None:
    card = parse_text("w26:12:345")

    assert keyed_hash(b"a" * 32, card) != keyed_hash(b"b" * 32, card)
    assert keyed_hash(b"a" * 32, card) != keyed_hash(b"a" * 32, parse_text("w26:12:346"))
    assert len(keyed_hash(b"a" * 32, card)) == 32
    assert keyed_hash(b"a" * 32, parse_text("raw26:0")) != keyed_hash(b"a" * 32, parse_text("raw27:0"))
