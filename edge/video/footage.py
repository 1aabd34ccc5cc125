"""Video read by a person's tools: a clip from its beginning to its end, or a stream for as long as somebody looks.

Everything that comes is decoded or counted, in the caller's thread. The gateway itself reads its cameras elsewhere,
with more thrift.
"""

import time
from collections.abc import Iterator
from typing import cast

import av
import av.error
from av.video.frame import VideoFrame

from edge.video.address import Address
from edge.video.errors import StreamFault
from edge.video.snapshot import Image
from edge.video.stream import Stream
from protocols.events import CameraFault

OPEN_S, SILENCE_S = 6.0, 4.0
"""So long opening may take, and so long nothing may come."""


class Footage(Stream):
    """Open video. Use as a context manager.

    Raises:
        StreamFault: if it cannot be opened.
    """

    def __init__(self, address: Address) -> None:
        super().__init__(address, time.monotonic, OPEN_S, SILENCE_S)
        self._context = self._video.codec_context
        self._context.thread_type = "NONE"
        self._context.thread_count = 1
        self.damaged = 0
        """Packets that could not be decoded, and pictures that came out damaged."""

    @property
    def codec(self) -> str:
        """FFmpeg's name."""
        return self._context.name

    @property
    def size(self) -> tuple[int, int]:
        """Width and height; 0 before the first picture where the stream does not say."""
        return self._context.width, self._context.height

    @property
    def length_s(self) -> float | None:
        """How long a clip says that it is."""
        return self._container.duration / av.time_base if self._container.duration else None

    def packets(self) -> "Iterator[av.Packet[av.VideoStream]]":
        """The compressed pictures, to the end of the video.

        Raises:
            StreamFault: when a stream falls silent or breaks.
        """
        try:
            yield from super().packets()
        except StreamFault as fault:
            if fault.fault is not CameraFault.ENDED:
                raise

    def frames(self) -> Iterator[tuple[VideoFrame, float | None]]:
        """The pictures with their time stamps in seconds (None if absent), damaged ones left out and counted.

        Raises:
            StreamFault: when a stream falls silent or breaks, and for video in which nothing can be decoded.
        """
        seen = False
        for packet in self._packets_and_end():
            for image in self.decode(packet):
                seen = True
                stamp_s = None if image.pts is None or image.time_base is None else float(image.pts * image.time_base)
                yield image, stamp_s
        if not seen:
            raise StreamFault(CameraFault.UNDECODABLE, "the video is damaged or of an unknown kind")

    def decode(self, packet: "av.Packet[av.VideoStream] | None") -> list[VideoFrame]:
        """The sound pictures that a packet completes, or that still waited at the end (None)."""
        try:
            frames = list(self._context.decode(packet))
        except (av.error.FFmpegError, OSError):
            self.damaged += packet is not None
            return []
        sound = [frame for frame in frames if not frame.is_corrupt]
        self.damaged += len(frames) - len(sound)
        return sound

    def _packets_and_end(self) -> "Iterator[av.Packet[av.VideoStream] | None]":
        yield from self.packets()
        yield None


def bgr_of(frame: VideoFrame) -> Image:
    """A picture as OpenCV has it, BGR [H,W,3], to be drawn on."""
    return cast(Image, frame.to_ndarray(format="bgr24"))
