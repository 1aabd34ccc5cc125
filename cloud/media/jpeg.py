"""Looks whether bytes are a whole JPEG picture (ITU-T T.81, annex B) of a sensible size, without decoding it."""

import struct
from dataclasses import dataclass

MIN_SIDE = 16
MAX_SIDE = 8192
_START, _END = b"\xff\xd8", b"\xff\xd9"
_SCAN = 0xDA
_FRAMES = frozenset({0xC0, 0xC1, 0xC2})
"""Baseline, extended and progressive DCT: what cameras and browsers use."""


class NotAPicture(ValueError):
    """Bytes that are no whole JPEG; the text says what is wrong with them."""


@dataclass(frozen=True)
class Size:
    """In pixels."""

    width: int
    height: int


def check(data: bytes) -> Size:
    """The size of a JPEG whose segments are in order up to the scan, and which has its end.

    Raises:
        NotAPicture: with the first fault.
    """
    if not data.startswith(_START):
        raise NotAPicture("it does not begin as a JPEG")
    if not data.rstrip(b"\0").endswith(_END):
        raise NotAPicture("its end is missing")
    size: Size | None = None
    position = 2
    while True:
        marker, body, position = _segment(data, position)
        if marker in _FRAMES:
            size = _frame_size(body)
        elif marker == _SCAN:
            break
    if size is None:
        raise NotAPicture("it has a scan without a frame")
    return size


def _segment(data: bytes, position: int) -> tuple[int, bytes, int]:
    """The marker, the body and the position after the segment at `position`."""
    while data[position : position + 2] == b"\xff\xff":  # fill bytes, B.1.1.2
        position += 1
    head = data[position : position + 4]
    if len(head) < 4 or head[0] != 0xFF or head[1] in (0x00, 0xD8, 0xD9):
        raise NotAPicture("its segments are broken")
    length = int.from_bytes(head[2:4], "big")
    end = position + 2 + length
    if length < 2 or end > len(data):
        raise NotAPicture("a segment is longer than the picture")
    return head[1], data[position + 4 : end], end


def _frame_size(body: bytes) -> Size:
    if len(body) < 6:
        raise NotAPicture("its frame header is cut short")
    _precision, height, width = struct.unpack_from(">BHH", body)
    if not (MIN_SIDE <= width <= MAX_SIDE and MIN_SIDE <= height <= MAX_SIDE):
        raise NotAPicture(f"{width}x{height} pixels are not between {MIN_SIDE} and {MAX_SIDE} a side")
    return Size(width, height)
