"""The parameter sets that an H.264 or H.265 key frame carries: what tells that a camera changed its picture's size.

H.264: ITU-T Rec. H.264, 7.3.1 and table 7-1 (types 7 and 8). H.265: ITU-T Rec. H.265, 7.3.1.2 and table 7-1 (types 32
to 34). Byte-stream format (annex B of each), as RTSP brings it.
"""

_START = b"\x00\x00\x01"
_SEARCHED = 4096
"""Parameter sets stand at the beginning; the picture after them is not searched."""


def parameter_sets(codec: str, data: bytes) -> bytes:
    """The parameter sets at the beginning of an access unit in byte-stream format, start codes included; may be b"".

    Args:
        codec: FFmpeg's name; other codecs than `h264` and `hevc` have none.
        data: the access unit.
    """
    if codec not in ("h264", "hevc") or not data.startswith((_START, b"\x00" + _START)):
        return b""
    head, found = data[:_SEARCHED], []
    for unit in head.split(_START)[1:]:
        if not unit:
            continue
        is_set = unit[0] & 0x1F in (7, 8) if codec == "h264" else (unit[0] >> 1) & 0x3F in (32, 33, 34)
        if is_set:
            found.append(b"\x00" + _START + unit.rstrip(b"\x00"))
        elif is_picture(codec, unit[0]):
            break
    return b"".join(found)


def is_picture(codec: str, first_byte: int) -> bool:
    """Whether a NAL unit that begins with this byte holds a part of a picture."""
    return first_byte & 0x1F in (1, 2, 3, 4, 5) if codec == "h264" else (first_byte >> 1) & 0x3F < 32
