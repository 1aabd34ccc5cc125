"""Packets into pictures, only those that somebody wants. Knows the decoder; why a picture is wanted, it does not.

Each picture has the time of its own packet, however long after it was decoded: the time travels through FFmpeg as the
packet's `opaque`. That must be a bare number, for a cycle of references through FFmpeg is never collected.
"""

from dataclasses import dataclass

import av
import av.error
from av.codec.context import CodecContext
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

_INTRA_CODECS = ("mjpeg",)


@dataclass(frozen=True, slots=True)
class Arrived:
    """A packet and when its picture was taken (monotonic seconds, never later than its arrival)."""

    packet: "av.Packet[av.VideoStream]"
    size: int
    is_keyframe: bool
    at_s: float
    shown_s: float
    """The time of its picture: earlier than `at_s` only where the encoder reorders pictures."""
    ahead: int = 0
    """How many ticks of the stream's time base its picture is shown after it is decoded."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded picture and when it was taken (monotonic seconds)."""

    image: VideoFrame
    at_s: float


class Decoder:
    """One connection's decoder. Not shared between threads."""

    def __init__(self, context: VideoCodecContext) -> None:
        self._context = context
        context.thread_type = "NONE"
        context.thread_count = 1
        context.copy_opaque = True
        self.is_intra = context.name in _INTRA_CODECS
        """Whether every packet is a picture by itself, so that any can be left out."""
        self.decoded = 0
        """Pictures that came out."""
        self.errors = 0
        """Packets that could not be decoded, and pictures that came out damaged."""
        self.has_erred = False
        """Whether one ever did."""

    def decode(self, arrived: Arrived, wanted: bool = True) -> list[Picture]:
        """The sound pictures that come out when the next packet goes in; none if it is damaged.

        A picture that is not `wanted` is not made at all where no other needs it.
        """
        self._context.skip_frame = "DEFAULT" if wanted else "NONREF"
        arrived.packet.opaque = arrived.shown_s
        return self._sound(self._put(arrived.packet))

    def decode_alone(self, keyframe: Arrived) -> tuple[Picture | None, bool]:
        """A key frame's picture, out of turn; and whether decoding can go on after it. If not, begin with it anew."""
        self.restart()
        pictures = self.decode(keyframe)
        if pictures:
            return pictures[-1], True
        pictures = self._sound(self._put(None))
        self.restart()
        return (pictures[-1] if pictures else None), False

    def restart(self) -> None:
        """Forget what came before: the next packet is a key frame."""
        self._context.flush_buffers()

    def _put(self, packet: "av.Packet[av.VideoStream] | None") -> list[VideoFrame]:
        try:
            return list(self._context.decode(packet))
        except (av.error.FFmpegError, OSError):
            self._err()
            return []

    def _sound(self, frames: list[VideoFrame]) -> list[Picture]:
        pictures = []
        for frame in frames:
            taken_s = frame.opaque
            if frame.is_corrupt or not isinstance(taken_s, float):
                self._err()
            else:
                self.decoded += 1
                pictures.append(Picture(frame, taken_s))
        return pictures

    def _err(self) -> None:
        self.errors += 1
        self.has_erred = True


def size_of_keyframe(codec: str, extradata: bytes, data: bytes) -> tuple[int, int] | None:
    """Width and height of a key frame, found by decoding it in a decoder of its own; None if it cannot be decoded."""
    context = CodecContext.create(codec, "r")
    if not isinstance(context, VideoCodecContext):
        return None
    if extradata:
        context.extradata = extradata
    try:
        frames = [*context.decode(av.Packet(data)), *context.decode(None)]
    except (av.error.FFmpegError, OSError):
        return None
    return (frames[0].width, frames[0].height) if frames else None
