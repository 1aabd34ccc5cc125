"""Frames, reports and orders of live video: what is written is read, and nothing else is."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.base import ProtocolError
from protocols.live import (
    HEAD_BYTES,
    MAX_PAYLOAD_BYTES,
    Ended,
    Frame,
    Hello,
    Kind,
    LiveCode,
    Quality,
    Start,
    Started,
    channel,
    decode_frame,
    encode_frame,
    read_order,
    read_report,
)

FRAMES = st.builds(
    Frame,
    kind=st.sampled_from(Kind),
    stream=st.integers(1, 2**32 - 1),
    number=st.integers(0, 2**32 - 1),
    at_ms=st.integers(0, 2**64 - 1),
    payload=st.binary(min_size=1, max_size=64),
    economy=st.booleans(),
)


def test_a_frame_has_the_layout_that_the_contract_says() -> None:
    frame = Frame(Kind.KEY, stream=7, number=3, at_ms=1_700_000_000_123, payload=b"moof", economy=True)
    assert encode_frame(frame) == bytes.fromhex("01 02 0001 00000007 00000003 0000018bcfe5687b") + b"moof"


@given(FRAMES)
def test_what_is_written_is_read(frame: Frame) -> None:
    assert decode_frame(encode_frame(frame)) == frame


@given(st.binary(max_size=200))
def test_any_bytes_are_a_frame_or_refused(data: bytes) -> None:
    try:
        frame = decode_frame(data)
    except ProtocolError:
        return
    assert frame.payload == data[HEAD_BYTES:]


@given(FRAMES, st.integers(0, HEAD_BYTES - 1), st.integers(0, 255))
def test_one_changed_byte_of_the_head_never_does_more_than_be_refused(frame: Frame, at: int, value: int) -> None:
    data = bytearray(encode_frame(frame))
    data[at] = value
    try:
        assert decode_frame(bytes(data)).payload == frame.payload
    except ProtocolError:
        assert at in (0, 1, 4, 5, 6, 7)


@pytest.mark.parametrize("kind", Kind)
def test_a_payload_beyond_its_kinds_bound_is_refused_on_both_sides(kind: Kind) -> None:
    largest = Frame(kind, 1, 0, 0, bytes(MAX_PAYLOAD_BYTES[kind]))
    data = encode_frame(largest)
    with pytest.raises(ProtocolError, match="are allowed"):
        decode_frame(data + b"\0")
    with pytest.raises(ProtocolError, match="are allowed"):
        encode_frame(Frame(kind, 1, 0, 0, largest.payload + b"\0"))


@pytest.mark.parametrize("fault", [{"stream": 0}, {"stream": 2**32}, {"at_ms": -1}])
def test_a_field_out_of_bounds_is_not_written(fault: dict[str, int]) -> None:
    fields = {"stream": 1, "number": 0, "at_ms": 0, **fault}
    with pytest.raises(ProtocolError):
        encode_frame(Frame(Kind.KEY, payload=b"x", **fields))


def test_reports_are_told_apart_by_their_op_and_unknown_fields_are_left_out() -> None:
    mime = 'video/mp4; codecs="avc1.64001F"'
    reports = [
        Hello(nonce="0" * 32),
        Started(stream=1, quality=Quality.SUB, mime=mime, width=640, height=360),
        Ended(stream=2, code=LiveCode.CODEC_UNPLAYABLE, reason="H.265", offer=Quality.SUB),
    ]
    for report in reports:
        newer = json.dumps(json.loads(report.model_dump_json()) | {"news": 1})
        assert read_report(newer) == report


def test_an_order_is_read_by_its_op_and_checked() -> None:
    order = Start(n=1, stream=1, camera="c-east", quality=Quality.MAIN, ticket="t-1", lease_s=12)
    assert read_order(order.model_dump_json().encode()) == order
    for wrong in ({"lease_s": 3600}, {"camera": "../c"}, {"op": "open"}, {"n": 0}, {"ticket": "a b"}):
        with pytest.raises(ProtocolError):
            read_order(json.dumps(json.loads(order.model_dump_json()) | wrong).encode())


@given(st.one_of(st.text(max_size=300), st.dictionaries(st.text(max_size=8), st.integers()).map(json.dumps)))
def test_any_text_is_a_report_or_refused(text: str) -> None:
    for read, given_ in ((read_report, text), (read_order, text.encode("utf-8", "surrogatepass"))):
        with pytest.raises(ProtocolError):
            read(given_)


def test_a_report_too_long_is_refused_before_it_is_read() -> None:
    with pytest.raises(ProtocolError, match="larger"):
        read_report(" " * 5000)


def test_each_connection_has_a_channel_of_its_own() -> None:
    assert channel("gw-quiet", "0" * 32) != channel("gw-quiet", "1" * 32) != channel("gw-noisy", "1" * 32)
