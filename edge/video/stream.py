"""One connection to a camera through FFmpeg: opened, read packet by packet, closed. Retries nothing, starts no thread.

What FFmpeg says when something fails holds the address with the password in it, so its text is never passed on.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from types import TracebackType
from typing import Self, cast

import av
import av.container
import av.error
from av.video.stream import VideoStream

from edge.video.address import Address, Transport
from edge.video.decoder import Decoder
from edge.video.errors import StreamFault
from edge.video.faults import open_fault, read_fault
from edge.video.packets import StreamHead
from protocols.events import CameraFault

OPEN_TIMEOUT_S = 5.0
"""For connecting, describing and the first packets; a slow camera needs 2 to 3 s."""

READ_TIMEOUT_S = 3.0
"""The longest silence. A camera sends several frames a second."""


_RTSP_OPTIONS = {
    "fpsprobesize": "0",  # opens in 0.8 s where the default takes 2.8 s on 10 frames a second
    "allowed_media_types": "video",  # sound would hide that the pictures have stopped
}
_TRANSPORT_OPTIONS = {
    Transport.TCP: {"rtsp_transport": "tcp"},
    Transport.UDP: {"rtsp_transport": "udp", "buffer_size": str(1 << 20)},  # a key frame comes as one burst
}
_NETWORK = {
    "rtsp": "tcp,rtp,rtsp,udp",
    "rtsps": "tcp,tls,rtp,rtsp,udp",
    "http": "http,tcp",
    "https": "https,tls,tcp,http",
}
_STAMPLESS = ("mpjpeg", "mjpeg", "h264", "hevc")
"""Formats without time stamps: FFmpeg makes them up from a frame rate that it guesses."""


@dataclass(frozen=True)
class StreamInfo:
    """What a camera sends."""

    width: int
    height: int
    codec: str


class Stream:
    """An open stream. Use as a context manager.

    Args:
        address: what is opened.
        monotonic_s: the gateway's monotonic clock.
        open_timeout_s: how long opening may take.
        read_timeout_s: how long no video packet may come.

    Raises:
        StreamFault: if it cannot be opened.
    """

    def __init__(
        self,
        address: Address,
        monotonic_s: Callable[[], float],
        open_timeout_s: float = OPEN_TIMEOUT_S,
        read_timeout_s: float = READ_TIMEOUT_S,
    ) -> None:
        self._scheme = address.scheme
        self._monotonic_s = monotonic_s
        self._read_timeout_s = read_timeout_s
        is_rtsp = address.scheme.startswith("rtsp")
        options = {**_RTSP_OPTIONS, **_TRANSPORT_OPTIONS[address.transport]} if is_rtsp else {}
        options["protocol_whitelist"] = _NETWORK.get(address.scheme, "file")  # a playlist must not lead elsewhere
        try:
            container = av.open(address.location, options=options, timeout=(open_timeout_s, read_timeout_s))
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise open_fault(error, open_timeout_s) from None
        if not isinstance(container, av.container.InputContainer):
            raise StreamFault(CameraFault.UNDECODABLE, "the address does not give a stream")
        self._container = container
        if not container.streams.video:
            container.close()
            raise StreamFault(CameraFault.UNDECODABLE, "the stream has no video")
        self._video: VideoStream = container.streams.video[0]

    @property
    def is_recording(self) -> bool:
        """Whether it is a file of known length, that would be read faster than it was filmed."""
        return not self._scheme.startswith("rtsp") and bool(self._container.duration)

    @property
    def has_stamps(self) -> bool:
        """Whether its time stamps are the sender's."""
        return not set(self._container.format.name.split(",")) & set(_STAMPLESS)

    @property
    def time_base(self) -> Fraction:
        """The seconds that one tick of a packet's times is."""
        return self._video.time_base or Fraction(1, 90_000)

    def decoder(self) -> Decoder:
        """What makes pictures of its packets."""
        return Decoder(self._video.codec_context)

    def head(self) -> StreamHead:
        """What a player must know before the first packet, as far as it is known without decoding."""
        context = self._video.codec_context
        return StreamHead(context.name, context.width, context.height, context.extradata or b"", self.time_base)

    def packets(self) -> "Iterator[av.Packet[VideoStream]]":
        """The video packets as they come, empty ones left out.

        Raises:
            StreamFault: when the stream ends or falls silent.
        """
        heard_s = self._monotonic_s()
        packets = cast("Iterator[av.Packet[VideoStream]]", self._container.demux())  # the others are left out below
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                raise StreamFault(CameraFault.ENDED, "the stream ended") from None
            except (av.error.FFmpegError, OSError) as error:
                raise read_fault(error, self._read_timeout_s) from None
            is_silent = self._monotonic_s() - heard_s > self._read_timeout_s
            if packet.stream is self._video and packet.size:
                yield packet  # after a silence too: when its time is up, RTSP first hands out what it has left
                heard_s = self._monotonic_s()
            if is_silent:
                raise StreamFault(CameraFault.SILENT, f"no picture for {self._read_timeout_s:g} s")

    def close(self) -> None:
        """Close the connection."""
        self._container.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
