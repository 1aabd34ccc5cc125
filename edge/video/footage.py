"""Video read by a person's tools: a clip from its beginning to its end, or a stream for as long as somebody looks.

Everything that comes is decoded or counted, in the caller's thread. The gateway itself reads its cameras elsewhere,
with more thrift. What FFmpeg says when something fails holds the address with its password; it is never passed on.
"""

from collections.abc import Iterator
from types import TracebackType
from typing import Self, cast

import av
import av.container
import av.error
from av.video.frame import VideoFrame

from edge.video.errors import StreamFault
from edge.video.faults import open_fault, read_fault
from edge.video.snapshot import Image
from protocols.events import CameraFault

OPEN_S, SILENCE_S = 6.0, 4.0
"""So long opening may take, and so long nothing may come."""

_OPTIONS = {"rtsp_transport": "tcp", "fpsprobesize": "0", "allowed_media_types": "video"}
_ALLOWED = {
    "rtsp": "tcp,rtp,rtsp,udp",
    "rtsps": "tcp,tls,rtp,rtsp,udp",
    "http": "http,tcp",
    "https": "https,tls,tcp,http",
}
"""What FFmpeg may open for an address: a playlist must not lead elsewhere."""


class Footage:
    """Open video. Use as a context manager.

    Args:
        location: a path, or an address with its account in it.
        scheme: the address's scheme; `file` for a path.

    Raises:
        StreamFault: if it cannot be opened.
    """

    def __init__(self, location: str, scheme: str) -> None:
        options = dict(_OPTIONS) if scheme.startswith("rtsp") else {}
        options["protocol_whitelist"] = _ALLOWED.get(scheme, "file")
        try:
            container = av.open(location, options=options, timeout=(OPEN_S, SILENCE_S))
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise open_fault(error, OPEN_S) from None
        if not isinstance(container, av.container.InputContainer) or not container.streams.video:
            container.close()
            raise StreamFault(CameraFault.UNDECODABLE, "there is no video in it")
        self._container = container
        self._video = container.streams.video[0]
        self._video.thread_type = "NONE"
        self._video.codec_context.thread_count = 1
        self.damaged = 0
        """Packets that could not be decoded."""

    @property
    def codec(self) -> str:
        """FFmpeg's name."""
        return self._video.codec_context.name

    @property
    def size(self) -> tuple[int, int]:
        """Width and height; 0 before the first picture where the stream does not say."""
        return self._video.codec_context.width, self._video.codec_context.height

    @property
    def length_s(self) -> float | None:
        """How long a clip says that it is."""
        return self._container.duration / av.time_base if self._container.duration else None

    def packets(self) -> "Iterator[av.Packet[av.VideoStream]]":
        """The compressed pictures; the last of a clip is empty and flushes the decoder. Ends where the video ends.

        Raises:
            StreamFault: when a stream falls silent or breaks.
        """
        packets = self._container.demux(self._video)
        while True:
            try:
                packet = next(packets)
            except (StopIteration, av.error.EOFError):
                return
            except (av.error.FFmpegError, OSError, ValueError) as error:
                raise read_fault(error, SILENCE_S) from None
            yield packet

    def frames(self) -> Iterator[tuple[VideoFrame, float | None]]:
        """The pictures with their time stamps in seconds (None if absent), damaged ones left out and counted.

        Raises:
            StreamFault: when a stream falls silent or breaks, and for video in which nothing can be decoded.
        """
        seen = False
        for packet in self.packets():
            for image in self.decode(packet):
                seen = True
                stamp_s = None if image.pts is None or image.time_base is None else float(image.pts * image.time_base)
                yield image, stamp_s
        if not seen:
            raise StreamFault(CameraFault.UNDECODABLE, "the video is damaged or of an unknown kind")

    def decode(self, packet: "av.Packet[av.VideoStream]") -> list[VideoFrame]:
        """The pictures that a packet completes; none, and counted, if it is damaged."""
        try:
            return [frame for frame in packet.decode() if isinstance(frame, VideoFrame)]
        except av.error.EOFError:
            return []
        except (av.error.FFmpegError, OSError):
            self.damaged += 1
            return []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._container.close()


def bgr_of(frame: VideoFrame) -> Image:
    """A picture as OpenCV has it, BGR [H,W,3], to be drawn on."""
    return cast(Image, frame.to_ndarray(format="bgr24"))
