"""One picture of a camera, now: decoded from the last group of pictures, its privacy masks painted black.

Works whatever the codec is. A camera's picture is made at most once a second and given to whoever asks within it.
"""

import contextlib
from dataclasses import dataclass

import av
import av.error
from av.codec.context import CodecContext
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from edge.clock import Clock
from edge.live.tap import LiveTap
from edge.video.footage import bgr_of
from edge.video.masks import Polygons, black_out
from edge.video.packets import StreamHead, VideoPacket
from edge.video.snapshot import encode

MOST_BYTES, MOST_SIDE = 400_000, 1280
FRESH_S = 1.0
_STALE_S = 30.0
"""Older than this it is not what the camera sees now."""


class NoPicture(Exception):
    """There is no picture to be had; the text says why."""


@dataclass(frozen=True)
class StillPicture:
    """A JPEG, and when it was taken (monotonic seconds)."""

    data: bytes
    at_s: float


class Stills:
    """Makes pictures. Used by one thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._made: dict[str, tuple[float, StillPicture]] = {}
        self.decoded = 0

    def take(self, camera: str, tap: LiveTap, masks: Polygons) -> StillPicture:
        """The camera's picture, at most a second older than its newest.

        Raises:
            NoPicture: if it sends none, or none that can be decoded.
        """
        now_s = self._clock.monotonic_s()
        made_s, known = self._made.get(camera, (float("-inf"), None))
        if known is not None and now_s - made_s < FRESH_S:
            return known
        group = tap.group()
        if group is None or now_s - group[1][-1].at_s > _STALE_S:
            raise NoPicture("the camera sends no video just now")
        frame = _newest(*group)
        if frame is None:
            raise NoPicture("the camera's video cannot be decoded")
        self.decoded += 1
        image = black_out(bgr_of(frame), masks)
        picture = StillPicture(encode(image, MOST_BYTES, MOST_SIDE).data, group[1][-1].at_s)
        self._made[camera] = now_s, picture
        return picture


def _newest(head: StreamHead, packets: tuple[VideoPacket, ...]) -> VideoFrame | None:
    """The last sound picture of a group, which begins with a key frame."""
    context = CodecContext.create(head.codec, "r")
    if not isinstance(context, VideoCodecContext):
        return None
    context.thread_count = 1
    if head.extradata:
        context.extradata = head.extradata
    newest = None
    for data in (*(packet.data for packet in packets), None):
        with contextlib.suppress(av.error.FFmpegError, OSError):
            for frame in context.decode(None if data is None else av.Packet(data)):
                newest = newest if frame.is_corrupt else frame
    return newest
