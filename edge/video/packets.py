"""Compressed video as it comes from a camera, for whoever keeps it or passes it on without decoding it."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol


@dataclass(frozen=True, slots=True)
class StreamHead:
    """What a player must know before the first packet.

    `codec` is FFmpeg's name (`h264`, `hevc`, `mjpeg`); `extradata` the decoder's configuration as FFmpeg holds it
    (parameter sets), empty where the packets carry it; `time_base` the seconds that one tick of a packet's times is.
    """

    codec: str
    width: int
    height: int
    extradata: bytes
    time_base: Fraction


@dataclass(frozen=True, slots=True)
class VideoPacket:
    """One access unit. `pts` and `dts` are in ticks of the head's `time_base`; `at_s` is monotonic seconds, rising."""

    data: bytes
    pts: int
    dts: int
    is_keyframe: bool
    at_s: float


class PacketSink(Protocol):
    """Takes a camera's packets in the camera's thread: returns at once, never raises, copies nothing it need not.

    `begin` comes before the first packet of a connection, and again when the stream's head changes; `end` when the
    connection is lost or closed. Times of packets start anew with each `begin`.
    """

    def begin(self, head: StreamHead) -> None:
        """A connection stands: packets of this kind follow."""
        ...

    def take(self, packet: VideoPacket) -> None:
        """The next packet, in decoding order."""
        ...

    def end(self) -> None:
        """The connection is gone; nothing follows until the next `begin`."""
        ...
