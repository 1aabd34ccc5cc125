"""H.264 and H.265 byte streams: parameter sets and the two ways of marking where a NAL unit begins.

Sources: ITU-T H.264 and H.265, annex B (start codes); ISO/IEC 14496-15, sections 5.3.3.1 (avcC) and 8.3.3.1 (hvcC),
for length-prefixed units. Looks at the first byte of units alone and decodes nothing.
"""

from collections.abc import Iterator

from edge.keeping.errors import NotKeepable
from edge.video.packets import StreamHead

START_CODE = b"\0\0\0\1"
_SETS = {"h264": frozenset({7, 8}), "hevc": frozenset({32, 33, 34})}
"""NAL unit types of parameter sets: SPS and PPS; VPS, SPS and PPS."""
_LEAST = {"h264": frozenset({7, 8}), "hevc": frozenset({32, 33, 34})}
_HVCC_ARRAYS = 22


class ByteStream:
    """Turns a connection's packets into annex B units with the parameter sets before the first.

    Other codecs (MJPEG) pass as they are.

    Raises:
        NotKeepable: if the head's configuration is broken.
    """

    def __init__(self, head: StreamHead) -> None:
        self._codec = head.codec
        self._prefix_bytes = 0
        self.sets: tuple[bytes, ...] = ()
        """The parameter sets that the head holds."""
        if head.codec not in _SETS or not head.extradata:
            return
        if head.extradata[0] != 1:  # annex B begins with zeros
            self.sets = tuple(
                unit for unit in _units(head.extradata) if _type(unit[0], head.codec) in _SETS[head.codec]
            )
            return
        try:
            read = _avcc if head.codec == "h264" else _hvcc
            self._prefix_bytes, units = read(head.extradata)
        except IndexError:
            raise NotKeepable("the stream's decoder configuration is cut short") from None
        self.sets = tuple(units)

    def first(self, data: bytes) -> bytes:
        """The packet that begins a file: a keyframe with its parameter sets before it.

        Raises:
            NotKeepable: if neither the head nor the packet holds them.
        """
        stream = self.next(data)
        if self._codec not in _SETS or _LEAST[self._codec] <= unit_types(stream, self._codec):
            return stream
        whole = b"".join(START_CODE + unit for unit in self.sets) + stream
        if not _LEAST[self._codec] <= unit_types(whole, self._codec):
            raise NotKeepable("the stream has no parameter sets")
        return whole

    def next(self, data: bytes) -> bytes:
        """Any other packet."""
        if not self._prefix_bytes:
            return data
        return b"".join(START_CODE + unit for unit in _prefixed(data, self._prefix_bytes))


def unit_types(stream: bytes, codec: str) -> frozenset[int]:
    """The types of the parameter sets among an annex B stream's units."""
    found = set()
    position = stream.find(b"\0\0\1")
    while 0 <= position < len(stream) - 3:
        found.add(_type(stream[position + 3], codec))
        position = stream.find(b"\0\0\1", position + 3)
    return frozenset(found & _SETS[codec])


def _type(first_byte: int, codec: str) -> int:
    return first_byte & 0x1F if codec == "h264" else first_byte >> 1 & 0x3F


def _units(stream: bytes) -> Iterator[bytes]:
    """The units of an annex B stream, without start codes and the zeros before them."""
    for unit in stream.split(b"\0\0\1")[1:]:
        if stripped := unit.rstrip(b"\0"):
            yield stripped


def _prefixed(data: bytes, prefix_bytes: int) -> Iterator[bytes]:
    position = 0
    while position + prefix_bytes < len(data):
        length = int.from_bytes(data[position : position + prefix_bytes], "big")
        position += prefix_bytes
        yield data[position : position + length]
        position += length


def _avcc(data: bytes) -> tuple[int, list[bytes]]:
    units, position = [], 5
    for mask in (0x1F, 0xFF):
        count = data[position] & mask
        position += 1
        for _ in range(count):
            unit, position = _unit(data, position)
            units.append(unit)
    return (data[4] & 3) + 1, units


def _hvcc(data: bytes) -> tuple[int, list[bytes]]:
    units, position = [], _HVCC_ARRAYS + 1
    for _ in range(data[_HVCC_ARRAYS]):
        kind = data[position] & 0x3F
        count = int.from_bytes(data[position + 1 : position + 3], "big")
        position += 3
        for _ in range(count):
            unit, position = _unit(data, position)
            if kind in _SETS["hevc"]:
                units.append(unit)
    return (data[21] & 3) + 1, units


def _unit(data: bytes, position: int) -> tuple[bytes, int]:
    end = position + 2 + int.from_bytes(data[position : position + 2], "big")
    if end > len(data) or end == position + 2:
        raise IndexError
    return data[position + 2 : end], end
