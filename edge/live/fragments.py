"""H.264 packets as fragmented MP4 for a browser's Media Source Extensions: each picture a fragment, none held back.

Source: ISO/IEC 14496-12, section 8.8 (movie fragments). Differs from the writer of clips, which is FFmpeg's: that one
holds a picture back, and writes the time since the last picture as a duration. With a camera's jitter, Chrome takes a
gap of more than twice a duration for a hole and stops there; so the duration here is the stream's usual one, and no
step is ever twice as long.
"""

import struct
from collections import deque
from fractions import Fraction
from statistics import median

from edge.video.packets import StreamHead, VideoPacket
from protocols.base import ProtocolError
from protocols.nal_units import (
    avcc,
    codec_string,
    is_set,
    join_prefixed,
    leading_sets,
    read_configuration,
    split_stream,
)

TICKS_PER_S = 90_000
PLAYABLE = "h264"
_FIRST_STEP = TICKS_PER_S // 25
_STEPS = 9
_LONGEST_STEP = 1.9
_MOST_AHEAD_S = 2
_KEY_FLAGS, _DELTA_FLAGS = 0x0200_0000, 0x0101_0000
_UNITY = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x4000_0000)


class NotPlayable(Exception):
    """This stream cannot be shown by a browser; the text says why."""


class Fragmenter:
    """One stream's writer. The first packet is a key frame.

    Raises:
        NotPlayable: if the codec is not H.264, or its parameter sets are nowhere.
    """

    def __init__(self, head: StreamHead, first: VideoPacket) -> None:
        if head.codec != PLAYABLE:
            raise NotPlayable(f"browsers do not play {head.codec}; set the camera's stream to H.264")
        self._head = head
        self._length_bytes, self._avcc = _configuration(head, first.data)
        self._timeline = Timeline(head.time_base)
        self._count = 0

    @property
    def mime(self) -> str:
        """What `MediaSource.isTypeSupported` is asked."""
        return f'video/mp4; codecs="{codec_string(self._avcc)}"'

    def init(self) -> bytes:
        """The initialisation segment."""
        return _box("ftyp", b"iso5", _u32(0x200), b"iso5iso6mp41") + _movie(self._head, self._avcc)

    def fragment(self, packet: VideoPacket) -> bytes:
        """One picture as a fragment of its own."""
        self._count += 1
        at, step = self._timeline.place(packet.dts)
        ahead_s = float(min(max(packet.pts - packet.dts, 0) * self._head.time_base, Fraction(_MOST_AHEAD_S)))
        data = self._units(packet.data)
        flags = _KEY_FLAGS if packet.is_keyframe else _DELTA_FLAGS
        sample = struct.pack(">IIIi", step, len(data), flags, round(ahead_s * TICKS_PER_S))

        def moof(data_offset: int) -> bytes:
            run = _full("trun", 1, 0xF01, _u32(1), struct.pack(">i", data_offset), sample)
            track = _full("tfhd", 0, 0x020000, _u32(1)) + _full("tfdt", 1, 0, struct.pack(">Q", at)) + run
            return _box("moof", _full("mfhd", 0, 0, _u32(self._count)), _box("traf", track))

        return moof(len(moof(0)) + 8) + _box("mdat", data)

    def _units(self, data: bytes) -> bytes:
        """The access unit with a length before each unit, the parameter sets left out."""
        if self._length_bytes:
            return data
        return join_prefixed(unit for unit in split_stream(data) if not is_set(PLAYABLE, unit))


class Timeline:
    """Decoding times and durations in 1/90000 s, from 0 on, without a hole whatever was left out in between."""

    def __init__(self, time_base: Fraction) -> None:
        self._scale = time_base * TICKS_PER_S
        self._steps: deque[int] = deque(maxlen=_STEPS)
        self._last: int | None = None
        self._at = 0
        self._step = _FIRST_STEP

    def place(self, dts: int) -> tuple[int, int]:
        """Where the next packet goes, and for how long."""
        if self._last is not None:
            passed = max(1, int((dts - self._last) * self._scale))
            self._steps.append(passed)
            self._at += min(passed, int(_LONGEST_STEP * self._step))
            self._step = max(1, int(median(self._steps)))
        self._last = dts
        return self._at, self._step


def _configuration(head: StreamHead, data: bytes) -> tuple[int, bytes]:
    """How many bytes of length stand before each unit (0: start codes), and the avcC."""
    try:
        known = read_configuration(PLAYABLE, head.extradata)
        made = avcc((*leading_sets(PLAYABLE, data), *known.sets))
    except ProtocolError as error:
        raise NotPlayable(str(error)) from error
    return known.length_bytes, head.extradata if known.length_bytes else made


def _movie(head: StreamHead, avcc: bytes) -> bytes:
    size = _u16(head.width), _u16(head.height)
    sample = _box(
        "avc1", bytes(6), _u16(1), bytes(16), *size, _u32(0x480000), _u32(0x480000), bytes(4), _u16(1), bytes(32),
        _u16(24), b"\xff\xff", _box("avcC", avcc),
    )  # fmt: skip
    tables = (
        _full("stsd", 0, 0, _u32(1), sample)
        + _full("stts", 0, 0, _u32(0))
        + _full("stsc", 0, 0, _u32(0))
        + _full("stsz", 0, 0, bytes(8))
        + _full("stco", 0, 0, _u32(0))
    )
    data = _box("dinf", _full("dref", 0, 0, _u32(1), _full("url ", 0, 1)))
    media = _box("minf", _full("vmhd", 0, 1, bytes(8)), data, _box("stbl", tables))
    handler = _full("hdlr", 0, 0, bytes(4), b"vide", bytes(12), b"Gatehouse\0")
    header = _full("mdhd", 0, 0, bytes(8), _u32(TICKS_PER_S), bytes(4), b"\x55\xc4\0\0")
    place = bytes(8) + bytes(8) + _UNITY + size[0] + bytes(2) + size[1] + bytes(2)
    track = _full("tkhd", 0, 3, bytes(8), _u32(1), bytes(8), place)
    movie = _full(
        "mvhd", 0, 0, bytes(8), _u32(TICKS_PER_S), bytes(4), _u32(0x10000), _u16(0x100), bytes(10), _UNITY, bytes(24),
        _u32(2),
    )  # fmt: skip
    extends = _box("mvex", _full("trex", 0, 0, _u32(1), _u32(1), bytes(12)))
    return _box("moov", movie, _box("trak", track, _box("mdia", header, handler, media)), extends)


def _box(kind: str, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I4s", len(body) + 8, kind.encode()) + body


def _full(kind: str, version: int, flags: int, *parts: bytes) -> bytes:
    return _box(kind, _u32(version << 24 | flags), *parts)


def _u16(value: int) -> bytes:
    return struct.pack(">H", value)


def _u32(value: int) -> bytes:
    return struct.pack(">I", value)
