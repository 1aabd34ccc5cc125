"""What passes as a picture."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.media.jpeg import NotAPicture, Size, check


def jpeg(width: int = 64, height: int = 48, progressive: bool = False) -> bytes:
    noise = np.random.default_rng(1).integers(0, 255, (height, width, 3), np.uint8)
    return cv2.imencode(".jpg", noise, [cv2.IMWRITE_JPEG_PROGRESSIVE, int(progressive)])[1].tobytes()


WHOLE = jpeg()


@pytest.mark.parametrize("progressive", [False, True])
def test_a_picture_tells_its_size(progressive: bool) -> None:
    assert check(jpeg(320, 240, progressive)) == Size(320, 240)


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", "begin"),
        (b"\x89PNG\r\n\x1a\n", "begin"),
        (b"<svg onload=alert(1)>", "begin"),
        (WHOLE[:-2], "end is missing"),
        (WHOLE[:100] + b"\xff\xd9", "longer|broken"),
        (b"\xff\xd8\xff\xd9", "broken"),
        (b"\xff\xd8\xff\xda\x00\x02\xff\xd9", "without a frame"),
        (b"\xff\xd8\xff\xc0\x00\x04\x08\x00\xff\xd9", "cut short"),
        (jpeg(8, 8), "8x8 pixels"),
    ],
)
def test_what_is_no_picture_is_named(data: bytes, fault: str) -> None:
    with pytest.raises(NotAPicture, match=fault):
        check(data)


@given(st.binary(max_size=400))
def test_any_bytes_are_a_picture_or_a_named_fault(tail: bytes) -> None:
    try:
        check(b"\xff\xd8" + tail + b"\xff\xd9")
    except NotAPicture:
        return


@given(st.integers(0, len(WHOLE) - 1), st.integers(0, 255))
def test_a_damaged_picture_ends_in_a_size_or_a_named_fault(position: int, value: int) -> None:
    data = bytearray(WHOLE)
    data[position] = value
    try:
        check(bytes(data))
    except NotAPicture:
        return
