"""One connection to a camera through FFmpeg: opened, decoded frame by frame, closed. Retries nothing, starts no thread.

What FFmpeg says when something fails holds the address with the password in it, so its text is never passed on.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import av
import av.container
import av.error
from av.video.frame import VideoFrame

from edge.video.errors import StreamFault
from edge.video.faults import open_fault, read_fault
from protocols.events import CameraFault

OPEN_TIMEOUT_S = 5.0
"""For connecting, describing and the first packets; a slow camera needs 2 to 3 s."""

READ_TIMEOUT_S = 3.0
"""The longest silence. A camera sends several frames a second; measured to end a frozen stream after 3.01 s."""

_OPTIONS = {
    "rtsp_transport": "tcp",
    "fpsprobesize": "0",  # opens in 0.8 s where the default takes 2.8 s on 10 frames a second
}
_NETWORK = {
    "rtsp": "tcp,rtp,rtsp,udp",
    "rtsps": "tcp,tls,rtp,rtsp,udp",
    "http": "http,tcp",
    "https": "https,tls,tcp,http",
}


@dataclass(frozen=True)
class DecodedFrame:
    """A frame and the camera's own time stamp in seconds, which starts anywhere and need not rise; None if absent."""

    image: VideoFrame
    stamp_s: float | None


@dataclass(frozen=True)
class StreamInfo:
    """What a camera sends."""

    width: int
    height: int
    codec: str


class Stream:
    """An open stream. Use as a context manager.

    Args:
        location: what FFmpeg is to open, password included.
        scheme: the address's scheme.
        monotonic_s: the gateway's monotonic clock.
        open_timeout_s: how long opening may take.
        read_timeout_s: how long no video frame may come.

    Raises:
        StreamFault: if it cannot be opened.
    """

    def __init__(
        self,
        location: str,
        scheme: str,
        monotonic_s: Callable[[], float],
        open_timeout_s: float = OPEN_TIMEOUT_S,
        read_timeout_s: float = READ_TIMEOUT_S,
    ) -> None:
        self._scheme = scheme
        self._monotonic_s = monotonic_s
        self._read_timeout_s = read_timeout_s
        self._has_pictures = False
        self.decode_errors = 0
        """Packets that could not be decoded."""
        options = dict(_OPTIONS) if scheme.startswith("rtsp") else {}
        options["protocol_whitelist"] = _NETWORK.get(scheme, "file")  # a playlist must not lead elsewhere
        try:
            container = av.open(location, options=options, timeout=(open_timeout_s, read_timeout_s))
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise open_fault(error, open_timeout_s) from None
        if not isinstance(container, av.container.InputContainer):
            raise StreamFault(CameraFault.UNDECODABLE, "the address does not give a stream")
        self._container = container
        if not container.streams.video:
            container.close()
            raise StreamFault(CameraFault.UNDECODABLE, "the stream has no video")
        self._video = container.streams.video[0]
        self._video.thread_type = "NONE"
        self._video.codec_context.thread_count = 1

    @property
    def is_recording(self) -> bool:
        """Whether it is a file of known length, that would be read faster than it was filmed."""
        return not self._scheme.startswith("rtsp") and bool(self._container.duration)

    @property
    def info(self) -> StreamInfo:
        """Size and codec, known once a frame was decoded."""
        context = self._video.codec_context
        return StreamInfo(context.width, context.height, context.name)

    def frames(self) -> Iterator[DecodedFrame]:
        """The frames as they come, corrupt ones left out and counted.

        Raises:
            StreamFault: when the stream ends, falls silent or gives nothing that can be decoded.
        """
        last_good_s = self._monotonic_s()
        packets = self._container.demux(self._video)
        while True:
            errors_before = self.decode_errors
            for image in self._next_images(packets):
                last_good_s = self._monotonic_s()
                self._has_pictures = True
                stamp_s = None if image.pts is None or image.time_base is None else float(image.pts * image.time_base)
                yield DecodedFrame(image, stamp_s)
            if self._monotonic_s() - last_good_s > self._read_timeout_s:
                if self.decode_errors > errors_before:
                    raise StreamFault(CameraFault.UNDECODABLE, "the video is damaged or of an unknown kind")
                raise StreamFault(CameraFault.SILENT, f"no picture for {self._read_timeout_s:g} s")

    def _next_images(self, packets: "Iterator[av.Packet[av.VideoStream]]") -> list[VideoFrame]:
        try:
            packet = next(packets)
        except StopIteration:
            raise self._ended() from None
        except (av.error.FFmpegError, OSError) as error:
            raise (
                self._ended() if isinstance(error, av.error.EOFError) else read_fault(error, self._read_timeout_s)
            ) from None
        try:
            return [frame for frame in packet.decode() if isinstance(frame, VideoFrame)]
        except av.error.EOFError:
            raise self._ended() from None
        except (av.error.FFmpegError, OSError):
            self.decode_errors += 1
            return []

    def _ended(self) -> StreamFault:
        if not self._has_pictures and self.decode_errors:
            return StreamFault(CameraFault.UNDECODABLE, "the video is damaged or of an unknown kind")
        return StreamFault(CameraFault.ENDED, "the stream ended")

    def close(self) -> None:
        """Close the connection."""
        self._container.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
