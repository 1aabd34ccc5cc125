"""NAL units and decoder configurations, from real encoders and from bytes written here after the standards."""

from pathlib import Path

import av
import pytest
from av.bitstream import BitStreamFilterContext
from hypothesis import given
from hypothesis import strategies as st

from edge.video.decoder import size_of_keyframe
from protocols.base import ProtocolError
from protocols.nal_units import (
    SETS,
    START_CODE,
    Configuration,
    avcc,
    codec_string,
    join_prefixed,
    join_stream,
    leading_sets,
    read_configuration,
    set_types,
    split_prefixed,
    split_stream,
)
from tests.edge.video.watching import Encoding, encode, scene

SPS, PPS, SEI, IDR = b"\x67\x42\x00\x1f\xaa", b"\x68\xce\x3c\x80\x01", b"\x06\x05\x01\x80", b"\x65\x88\x84\x67"
HEVC_VPS, HEVC_SPS, HEVC_PPS = b"\x40\x01\x0c", b"\x42\x01\x01", b"\x44\x01\xc0"

CODECS = st.sampled_from(["h264", "hevc"])
UNITS = st.lists(
    st.binary(min_size=1, max_size=30).filter(lambda unit: b"\0\0\1" not in unit and unit[-1] != 0 and unit[0] != 0)
)


def sized(unit: bytes) -> bytes:
    return len(unit).to_bytes(2, "big") + unit


def hvcc(*arrays: tuple[int, tuple[bytes, ...]], lengths: int = 4) -> bytes:
    body = b"".join(
        bytes((0x80 | kind,)) + len(units).to_bytes(2, "big") + b"".join(map(sized, units)) for kind, units in arrays
    )
    return b"\x01" + bytes(20) + bytes((0xFC | lengths - 1, len(arrays))) + body


def test_sets_before_the_picture_are_found_and_nothing_else() -> None:
    stream = START_CODE + b"\x09\xf0" + START_CODE + SPS + b"\x00\x00\x01" + PPS + START_CODE + SEI + START_CODE + IDR
    assert leading_sets("h264", stream) == (SPS, PPS)
    assert leading_sets("h264", START_CODE + IDR + START_CODE + SPS) == (), "what follows the picture is the next one's"
    assert leading_sets("mjpeg", stream) == ()
    assert leading_sets("h264", b"\x00\x00\x00\x19" + SPS) == (), "lengths, not start codes"
    assert set_types("h264", stream) == SETS["h264"]
    assert set_types("h264", START_CODE + IDR + START_CODE + SPS) == {7}


@pytest.mark.parametrize(("codec", "name"), [("libx264", "h264"), ("libx265", "hevc")])
def test_a_real_encoder_s_record_and_its_byte_stream_tell_the_same(codec: str, name: str, tmp_path: Path) -> None:
    clip = encode(tmp_path / "clip.mp4", scene(width=208, height=128), 1, Encoding(codec=codec))
    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        record = bytes(stream.codec_context.extradata)
        to_bytes = BitStreamFilterContext(f"{name}_mp4toannexb", stream)
        packets = [packet for packet in container.demux(stream) if packet.size]
        prefixed = bytes(packets[0])
        (unit,) = [bytes(part) for packet in packets for part in to_bytes.filter(packet)]
    sets = leading_sets(name, unit)
    assert {each[0] & 0x1F if name == "h264" else each[0] >> 1 for each in sets} == SETS[name]
    assert size_of_keyframe(name, join_stream(sets), unit) == (208, 128)
    assert size_of_keyframe(name, b"", b"\x00\x00\x00\x01\x65garbage") is None

    known = read_configuration(name, record)
    assert (known.length_bytes, set(known.sets)) == (4, set(sets))
    assert read_configuration(name, join_stream(known.sets)) == Configuration(0, known.sets)
    assert list(split_prefixed(prefixed, 4))[-1] == split_stream(unit)[-1]
    if name == "h264":
        made = avcc(sets)
        assert codec_string(made) == codec_string(record)
        assert read_configuration(name, made) == known


def test_an_hvcc_record_gives_its_sets_and_leaves_the_rest() -> None:
    record = hvcc((32, (HEVC_VPS,)), (33, (HEVC_SPS,)), (34, (HEVC_PPS, HEVC_PPS)), (39, (b"\x4e\x01\x05",)), lengths=2)
    assert read_configuration("hevc", record) == Configuration(2, (HEVC_VPS, HEVC_SPS, HEVC_PPS, HEVC_PPS))
    assert read_configuration("hevc", join_stream((HEVC_VPS, HEVC_SPS))) == Configuration(0, (HEVC_VPS, HEVC_SPS))
    assert read_configuration("mjpeg", record) == read_configuration("hevc", b"") == Configuration()


@pytest.mark.parametrize(
    ("codec", "record"),
    [("h264", avcc((SPS, PPS))), ("hevc", hvcc((32, (HEVC_VPS,)), (33, (HEVC_SPS,)), (34, (HEVC_PPS,))))],
)
def test_a_record_that_is_cut_short_anywhere_is_refused(codec: str, record: bytes) -> None:
    assert len(read_configuration(codec, record).sets) == len(SETS[codec])
    for size in range(1, len(record)):
        with pytest.raises(ProtocolError, match="cut short"):
            read_configuration(codec, record[:size])


def test_a_record_that_breaks_the_rules_is_refused() -> None:
    record = avcc((SPS, PPS))
    with pytest.raises(ProtocolError, match="lengths of 3 bytes"):
        read_configuration("h264", record[:4] + b"\xfe" + record[5:])
    with pytest.raises(ProtocolError, match="empty"):
        read_configuration("h264", record[:6] + b"\x00\x00" + record[8:])


@pytest.mark.parametrize(
    ("units", "why"),
    [
        ((), "no parameter sets"),
        ((SPS,), "no parameter sets"),
        ((PPS, b"\x67\x42"), "no parameter sets"),
        ((SPS + bytes(65_535), PPS), "65535"),
    ],
)
def test_no_avcc_without_both_sets_at_their_possible_lengths(units: tuple[bytes, ...], why: str) -> None:
    with pytest.raises(ProtocolError, match=why):
        avcc(units)


def test_the_codec_string_names_profile_constraints_and_level() -> None:
    assert codec_string(avcc((b"\x67\x64\x00\x1f\xac", PPS))) == "avc1.64001F"
    assert avcc((b"\x67\x64\x00\x1f\xac", PPS)).endswith(PPS + b"\xfd\xf8\xf8\x00"), "the high profile says its depth"


@given(UNITS)
def test_units_that_are_joined_come_apart_again(units: list[bytes]) -> None:
    assert split_stream(join_stream(units)) == units
    assert list(split_prefixed(join_prefixed(units), 4)) == units


@given(CODECS, st.binary(max_size=6000), st.sampled_from([b"", b"\0\0\1", START_CODE]))
def test_no_stream_confuses_it(codec: str, data: bytes, start: bytes) -> None:
    stream = start + data
    sets = leading_sets(codec, stream)
    assert sum(map(len, sets)) <= len(data)
    units = split_stream(stream)
    assert all(units)
    assert set_types(codec, stream) >= set_types(codec, join_stream(sets))
    assert len(join_stream(units)) <= 4 * (len(stream) // 3 + 1) + len(stream)


@given(st.binary(max_size=200), st.integers(1, 4))
def test_lengths_that_lie_read_no_more_than_there_is(data: bytes, length_bytes: int) -> None:
    units = list(split_prefixed(data, length_bytes))
    assert all(units)
    assert sum(map(len, units)) + length_bytes * len(units) <= len(data)


@given(CODECS, st.binary(max_size=200))
def test_any_configuration_is_read_or_refused_by_name(codec: str, data: bytes) -> None:
    for extradata in (data, b"\x01" + data):
        try:
            known = read_configuration(codec, extradata)
        except ProtocolError:
            continue
        assert sum(map(len, known.sets)) <= len(extradata)


@given(st.integers(0, 60), st.binary(min_size=1, max_size=4), st.booleans())
def test_a_record_with_some_bytes_changed_is_read_or_refused_by_name(at: int, bytes_: bytes, is_h264: bool) -> None:
    codec = "h264" if is_h264 else "hevc"
    record = avcc((SPS, PPS)) if is_h264 else hvcc((32, (HEVC_VPS,)), (33, (HEVC_SPS,)), (34, (HEVC_PPS,)))
    at %= len(record)
    changed = record[:at] + bytes_ + record[at + len(bytes_) :]
    try:
        known = read_configuration(codec, changed)
    except ProtocolError:
        return
    assert all(each in changed for each in known.sets)
