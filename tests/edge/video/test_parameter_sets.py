"""Parameter sets at the beginning of key frames, from real encoders and from bytes written here."""

from pathlib import Path

import av
import pytest
from av.bitstream import BitStreamFilterContext
from hypothesis import given
from hypothesis import strategies as st

from edge.video.decoder import size_of_keyframe
from edge.video.parameter_sets import parameter_sets
from tests.edge.video.watching import Encoding, encode, scene

START = b"\x00\x00\x00\x01"


def test_sets_before_the_picture_are_found_and_nothing_else() -> None:
    sps, pps, sei, idr = b"\x67\x42\x00\x1f\xaa", b"\x68\xce\x3c\x80\x01", b"\x06\x05\x01\x80", b"\x65\x88\x84\x67"
    unit = START + b"\x09\xf0" + START + sps + b"\x00\x00\x01" + pps + START + sei + START + idr
    assert parameter_sets("h264", unit) == START + sps + START + pps
    assert parameter_sets("h264", START + idr + START + sps) == b""  # what follows the picture is the next one's
    assert parameter_sets("mjpeg", unit) == b""
    assert parameter_sets("h264", b"\x00\x00\x00\x19" + sps) == b""  # lengths, not start codes


@pytest.mark.parametrize(("codec", "name"), [("libx264", "h264"), ("libx265", "hevc")])
def test_a_real_encoder_s_sets_tell_the_picture_s_size(codec: str, name: str, tmp_path: Path) -> None:
    clip = encode(tmp_path / "clip.mp4", scene(width=208, height=128), 1, Encoding(codec=codec))
    with av.open(str(clip)) as container:
        stream = container.streams.video[0]
        to_bytes = BitStreamFilterContext(f"{name}_mp4toannexb", stream)
        (unit,) = [bytes(part) for packet in container.demux(stream) if packet.size for part in to_bytes.filter(packet)]
    sets = parameter_sets(name, unit)
    assert 20 < len(sets) < len(unit)
    assert size_of_keyframe(name, sets, unit) == (208, 128)
    assert size_of_keyframe(name, b"", b"\x00\x00\x00\x01\x65garbage") is None


@given(st.sampled_from(["h264", "hevc"]), st.binary(max_size=6000), st.booleans())
def test_no_bytes_confuse_it(codec: str, data: bytes, has_start: bool) -> None:
    sets = parameter_sets(codec, (START if has_start else b"") + data)
    assert len(sets) <= 2 * (len(data) + 4)
