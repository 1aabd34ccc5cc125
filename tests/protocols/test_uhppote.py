"""Packets of UHPPOTE boards: fixtures written from the protocol, the decoder of `uhppoted` as a second opinion."""

from datetime import datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from uhppoted import decode

from protocols.cards import CardFormat, CardNumber, UnreadableCard
from protocols.uhppote import (
    OVERWRITTEN,
    REASONS,
    BrokenPacket,
    Record,
    Status,
    card_of,
    number_of,
    parse_record,
    parse_status,
)

PUSHED = bytes.fromhex(
    "17200000"  # start, function
    "2d553919"  # serial number 423187757
    "4e000000"  # event 78
    "01000302"  # a swipe, denied, door 3, out
    "a07a9900"  # card 10058400
    "20261123084501"  # 2026-11-23 08:45:01
    "06"  # no access rights
    "00010000"  # door 2 stands open
    "00000001"  # the button of door 4 is pressed
    "02"  # system error
    "084502"  # 08:45:02
    "000000000000000000"
    "01"  # relay 1
    "01"  # fire
    "261123"
    "00000000000000000000"
)
RECORD = bytes.fromhex("17b000002d5539194e00000002010101a07a99002026112308450101") + bytes(36)


def test_a_pushed_event_is_read() -> None:
    assert parse_status(PUSHED) == Status(
        serial=423187757,
        record=Record(78, 1, False, 3, True, 10058400, datetime.fromisoformat("2026-11-23 08:45:01"), 6),
        open=(False, True, False, False),
        pressed=(False, False, False, True),
        fire=True,
        error=2,
        at=datetime.fromisoformat("2026-11-23 08:45:02"),
    )


def test_an_event_of_old_firmware_has_another_start_byte() -> None:
    assert parse_status(b"\x19" + PUSHED[1:]) == parse_status(PUSHED)


def test_a_status_without_an_event() -> None:
    assert parse_status(PUSHED[:8] + bytes(20) + PUSHED[28:]).record is None


def test_an_event_record_is_read() -> None:
    record = parse_record(RECORD)
    assert record == Record(78, 2, True, 1, False, 10058400, datetime.fromisoformat("2026-11-23 08:45:01"), 1)
    assert record.is_swipe
    assert record.word == "granted"


def test_a_record_that_was_overwritten_says_so() -> None:
    assert parse_record(RECORD[:8] + bytes(4) + b"\xff" + bytes(51)).kind == OVERWRITTEN


@pytest.mark.parametrize("digits", ["20261323084501", "2026112308450a", "00000000000000", "20260230000000"])
def test_a_time_that_is_none_is_none(digits: str) -> None:
    assert parse_record(RECORD[:20] + bytes.fromhex(digits) + RECORD[27:]).at is None


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        PUSHED[:63],
        PUSHED + b"\0",
        b"\x18" + PUSHED[1:],
        PUSHED[:1] + b"\x21" + PUSHED[2:],
        PUSHED[:4] + bytes(4) + PUSHED[8:],
        RECORD,
    ],
    ids=["empty", "short", "long", "start", "function", "no serial", "a record"],
)
def test_what_is_no_event_is_refused(packet: bytes) -> None:
    with pytest.raises(BrokenPacket):
        parse_status(packet)


def test_a_record_never_starts_as_old_events_do() -> None:
    with pytest.raises(BrokenPacket):
        parse_record(b"\x19" + RECORD[1:])


packets = st.one_of(
    st.binary(max_size=80),
    st.binary(min_size=62, max_size=62).map(lambda rest: b"\x17\x20" + rest),
    st.binary(min_size=62, max_size=62).map(lambda rest: b"\x19\x20" + rest),
    st.binary(min_size=62, max_size=62).map(lambda rest: b"\x17\xb0" + rest),
)


@given(packets)
@example(b"\x17\x20\0\0" + b"\xff" * 60)
def test_no_bytes_raise_anything_else(packet: bytes) -> None:
    for parse in (parse_status, parse_record):
        try:
            parse(packet)
        except BrokenPacket:
            continue


@given(st.binary(min_size=58, max_size=58))
def test_the_library_reads_the_same_from_an_event(rest: bytes) -> None:
    packet = b"\x17\x20\0\0\x01\0" + rest
    ours, theirs = parse_status(packet), decode.event(packet)
    assert ours.serial == theirs.controller
    if ours.record is not None:
        assert ours.record.index == theirs.event_index
        assert (ours.record.kind, ours.record.granted) == (theirs.event_type, theirs.event_access_granted)
        assert (ours.record.door, ours.record.card) == (theirs.event_door, theirs.event_card)
        assert (ours.record.at, ours.record.reason) == (theirs.event_timestamp, theirs.event_reason)
    assert ours.open == (theirs.door_1_open, theirs.door_2_open, theirs.door_3_open, theirs.door_4_open)
    assert ours.pressed == (theirs.door_1_button, theirs.door_2_button, theirs.door_3_button, theirs.door_4_button)
    assert ours.error == theirs.system_error


@given(
    st.datetimes(datetime.fromisoformat("2000-01-01"), datetime.fromisoformat("2099-12-31")).map(
        lambda at: at.replace(microsecond=0)
    ),
)
def test_every_time_is_read_back(at: datetime) -> None:
    digits = bytes.fromhex(at.strftime("%Y%m%d%H%M%S"))
    packet = PUSHED[:20] + digits + PUSHED[27:37] + digits[4:] + PUSHED[40:51] + digits[1:4] + PUSHED[54:]
    status = parse_status(packet)
    assert status.record is not None
    assert status.record.at == at
    assert status.at == at


@pytest.mark.parametrize(
    ("number", "card"),
    [
        (10058400, CardNumber(CardFormat.W26, 100, 58400, 26)),
        (58400, CardNumber(CardFormat.W26, 0, 58400, 26)),
        (25565535, CardNumber(CardFormat.W26, 255, 65535, 26)),
        (0x00640001, CardNumber(CardFormat.W34, 100, 1, 34)),
        (0xFFFFFFFE, CardNumber(CardFormat.W34, 0xFFFF, 0xFFFE, 34)),
        (0x0BADCAFE, CardNumber(CardFormat.RAW, 0, 0x0BADCAFE, 32)),
    ],
)
def test_a_boards_numbers_are_cards(number: int, card: CardNumber) -> None:
    assert card_of(number, card.format) == card
    assert number_of(card) == number


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (10065536, CardFormat.W26),
        (25600000, CardFormat.W26),
        (0, CardFormat.W26),
        (0, CardFormat.RAW),
        (0xFFFFFFFF, CardFormat.W34),
        (10058400, CardFormat.W37),
    ],
)
def test_numbers_that_are_no_card_of_the_format(number: int, expected: CardFormat) -> None:
    with pytest.raises(UnreadableCard):
        card_of(number, expected)


@pytest.mark.parametrize(
    "card",
    [
        CardNumber(CardFormat.W37, 1, 1, 37),
        CardNumber(CardFormat.RAW, 0, 1 << 32, 56),
        CardNumber(CardFormat.RAW, 0, 0xFFFFFFFF, 32),
        CardNumber(CardFormat.W26, 0, 0, 26),
    ],
)
def test_cards_that_a_board_cannot_keep(card: CardNumber) -> None:
    with pytest.raises(UnreadableCard):
        number_of(card)


@given(st.integers(0, 0xFFFFFFFF), st.sampled_from(CardFormat))
def test_cards_and_numbers_are_each_others_inverse(number: int, expected: CardFormat) -> None:
    try:
        card = card_of(number, expected)
    except UnreadableCard:
        return
    assert number_of(card) == number


def test_every_reason_is_a_word() -> None:
    assert all(word.replace("_", "").isalnum() for word in REASONS.values())
    assert Record(1, 1, False, 1, False, 1, None, 200).word == "reason_200"
