"""H.264 and H.265 as cameras send it: where NAL units begin, which are parameter sets, and what describes a stream.

Sources: ITU-T Rec. H.264, 7.3.1, table 7-1 and annex B; ITU-T Rec. H.265, 7.3.1.2, table 7-1 and annex B; ISO/IEC
14496-15, 5.3.3.1 (avcC) and 8.3.3.1 (hvcC); RFC 6381, 3.3 (the codec string). Looks at the first byte of units and at
the records alone, and decodes nothing. Codecs go by FFmpeg's names, `h264` and `hevc`; others have no NAL units.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from protocols.base import ProtocolError

START_CODE = b"\0\0\0\1"
SETS = {"h264": frozenset({7, 8}), "hevc": frozenset({32, 33, 34})}
"""Types of parameter sets, each of which a decoder needs: SPS and PPS; VPS, SPS and PPS."""

_START = b"\0\0\1"
_SLICES = {"h264": frozenset(range(1, 6)), "hevc": frozenset(range(32))}
_SEARCHED_BYTES = 4096
"""Parameter sets stand at the beginning of an access unit; the picture after them is not searched."""
_RECORD_VERSION = 1
_AVCC_HEAD_BYTES, _HVCC_HEAD_BYTES = 5, 22
_LENGTHS_BYTES = (1, 2, 4)
_LONGEST_SET_BYTES = 0xFFFF
_SPS, _PPS = 7, 8
_HIGH_PROFILE = 100


def unit_type(codec: str, first_byte: int) -> int:
    """`nal_unit_type`, of a unit's first byte."""
    return first_byte & 0x1F if codec == "h264" else first_byte >> 1 & 0x3F


def is_set(codec: str, unit: bytes) -> bool:
    """Whether a unit, which is not empty, is a parameter set."""
    return unit_type(codec, unit[0]) in SETS[codec]


def split_stream(stream: bytes) -> list[bytes]:
    """The units of a byte stream (annex B), without start codes, padding and what stands before the first."""
    return [unit for padded in stream.split(_START)[1:] if (unit := padded.rstrip(b"\0"))]


def split_prefixed(data: bytes, length_bytes: int) -> Iterator[bytes]:
    """The units of an access unit in which each has its length before it; one that is cut short as far as it goes."""
    position = 0
    while position + length_bytes < len(data):
        begin = position + length_bytes
        position = begin + int.from_bytes(data[position:begin], "big")
        if unit := data[begin:position]:
            yield unit


def join_stream(units: Iterable[bytes]) -> bytes:
    """A byte stream (annex B) of units."""
    return b"".join(START_CODE + unit for unit in units)


def join_prefixed(units: Iterable[bytes]) -> bytes:
    """Units with their lengths of 4 bytes before them."""
    return b"".join(len(unit).to_bytes(4, "big") + unit for unit in units)


def set_types(codec: str, stream: bytes) -> frozenset[int]:
    """The types of the parameter sets anywhere in a byte stream."""
    found = set()
    position = stream.find(_START)
    while 0 <= position < len(stream) - len(_START):
        found.add(unit_type(codec, stream[position + len(_START)]))
        position = stream.find(_START, position + len(_START))
    return SETS[codec] & found


def leading_sets(codec: str, data: bytes) -> tuple[bytes, ...]:
    """The parameter sets before an access unit's picture, if it is a byte stream, as RTSP brings it."""
    if codec not in SETS or not data.startswith((_START, START_CODE)):
        return ()
    found = []
    for unit in split_stream(data[:_SEARCHED_BYTES]):
        if unit_type(codec, unit[0]) in _SLICES[codec]:
            break
        if is_set(codec, unit):
            found.append(unit)
    return tuple(found)


@dataclass(frozen=True)
class Configuration:
    """What is known of a stream before its first picture.

    `length_bytes` is how long the lengths before its units are; 0: they have start codes.
    """

    length_bytes: int = 0
    sets: tuple[bytes, ...] = ()


def read_configuration(codec: str, data: bytes) -> Configuration:
    """Read what FFmpeg calls extradata: an avcC or hvcC record, a byte stream, or nothing.

    Raises:
        ProtocolError: if it is a record that is cut short or breaks the rules.
    """
    if codec not in SETS or not data:
        return Configuration()
    if data[0] != _RECORD_VERSION:  # a byte stream begins with zeros
        return Configuration(0, tuple(unit for unit in split_stream(data) if is_set(codec, unit)))
    record = _Record(data)
    length_bytes, units = _avcc_units(record) if codec == "h264" else _hvcc_units(record)
    if length_bytes not in _LENGTHS_BYTES:
        raise ProtocolError(f"the stream's decoder configuration has lengths of {length_bytes} bytes, not 1, 2 or 4")
    return Configuration(length_bytes, tuple(unit for unit in units if is_set(codec, unit)))


def avcc(units: Iterable[bytes]) -> bytes:
    """The avcC of an H.264 stream whose units get lengths of 4 bytes, made of the first SPS and PPS among `units`.

    Raises:
        ProtocolError: if one of them is missing, or is too short or too long for a record.
    """
    known = [unit for unit in units if unit]
    sps = next((unit for unit in known if unit_type("h264", unit[0]) == _SPS and len(unit) >= 4), None)
    pps = next((unit for unit in known if unit_type("h264", unit[0]) == _PPS), None)
    if sps is None or pps is None:
        raise ProtocolError("the stream has no parameter sets")
    if max(len(sps), len(pps)) > _LONGEST_SET_BYTES:
        raise ProtocolError(f"a parameter set of more than {_LONGEST_SET_BYTES} bytes")
    record = bytes((_RECORD_VERSION, *sps[1:4], 0xFF, 0xE1)) + _sized(sps) + b"\x01" + _sized(pps)
    return record + (b"\xfd\xf8\xf8\x00" if sps[1] == _HIGH_PROFILE else b"")  # 4:2:0 of 8 bits


def codec_string(record: bytes) -> str:
    """The `codecs` parameter of a stream with this avcC: profile, constraints and level."""
    return f"avc1.{record[1:4].hex().upper()}"


def _sized(unit: bytes) -> bytes:
    return len(unit).to_bytes(2, "big") + unit


class _Record:
    """A decoder configuration record, read from its beginning on."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def take(self, count: int) -> bytes:
        taken = self._data[self._at : self._at + count]
        if len(taken) < count:
            raise ProtocolError("the stream's decoder configuration is cut short")
        self._at += count
        return taken

    def number(self, count: int = 1) -> int:
        return int.from_bytes(self.take(count), "big")

    def unit(self) -> bytes:
        unit = self.take(self.number(2))
        if not unit:
            raise ProtocolError("the stream's decoder configuration has an empty parameter set")
        return unit


def _avcc_units(record: _Record) -> tuple[int, list[bytes]]:
    length_bytes = (record.take(_AVCC_HEAD_BYTES)[4] & 3) + 1
    sps = [record.unit() for _ in range(record.number() & 0x1F)]
    return length_bytes, sps + [record.unit() for _ in range(record.number())]


def _hvcc_units(record: _Record) -> tuple[int, list[bytes]]:
    length_bytes = (record.take(_HVCC_HEAD_BYTES)[21] & 3) + 1
    units = []
    for _ in range(record.number()):
        record.take(1)  # the type, which each unit says itself
        units += [record.unit() for _ in range(record.number(2))]
    return length_bytes, units
