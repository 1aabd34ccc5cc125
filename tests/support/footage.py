"""Compressed packets for tests of keeping: demuxed from a file by FFmpeg, or from a real RTSP server."""

import hashlib
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av

from edge.video.packets import PacketSink, StreamHead, VideoPacket
from tests.support.rtsp import CLIPS

GATE_EAST = CLIPS / "gate-east.mp4"


@dataclass(frozen=True)
class Footage:
    """A stream's head and its packets; `at_s` of the first is 0."""

    head: StreamHead
    packets: list[VideoPacket]

    def times(self, count: int) -> "Footage":
        """The same `count` times, one after the other."""
        step = self.packets[-1].dts - self.packets[0].dts + self.packets[1].dts - self.packets[0].dts
        step_s = float(step * self.head.time_base)
        return Footage(
            self.head,
            [
                replace(each, pts=each.pts + step * n, dts=each.dts + step * n, at_s=each.at_s + step_s * n)
                for n in range(count)
                for each in self.packets
            ],
        )


def read(location: str, seconds: float = float("inf"), **options: str) -> Footage:
    """Demux a file or address; `at_s` follows the decoding times."""
    packets = []
    with av.open(location, options=options, timeout=10.0) as container:
        video = container.streams.video[0]
        context, base = video.codec_context, video.time_base
        assert base is not None
        first: int | None = None
        for packet in container.demux(video):
            if packet.dts is None or not packet.size:
                continue
            first = packet.dts if first is None else first
            at_s = float((packet.dts - first) * base)
            if at_s > seconds:
                break
            packets.append(VideoPacket(bytes(packet), packet.pts or 0, packet.dts, packet.is_keyframe, at_s))
        head = StreamHead(context.name, context.width, context.height, context.extradata or b"", Fraction(base))
    return Footage(head, packets)


def rendered(folder: Path, encoder: str, seconds: int = 30, *options: str) -> Path:
    """A moving test picture of 160x120 at 10 frames a second, a keyframe each 2 s, encoded by Debian's ffmpeg."""
    path = folder / f"{encoder}.mkv"
    source = f"testsrc=size=160x120:rate=10:duration={seconds}"
    command = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", source, "-pix_fmt", "yuv420p", "-c:v", encoder, "-g", "20"]
    subprocess.run([*command, *options, "-y", str(path)], check=True, timeout=60)
    return path


class Feed:
    """Gives a sink footage up to a time, as a camera's thread does; `base_s` is the monotonic time of its start."""

    def __init__(self, sink: PacketSink, footage: Footage, base_s: float) -> None:
        self._sink, self._footage, self._base_s = sink, footage, base_s
        self._left: Iterator[VideoPacket] = iter(footage.packets)
        self._next: VideoPacket | None = next(self._left, None)
        sink.begin(footage.head)

    def until(self, at_s: float) -> None:
        """Every packet before `at_s` seconds of the footage."""
        while self._next is not None and self._next.at_s < at_s:
            self._sink.take(replace(self._next, at_s=self._base_s + self._next.at_s))
            self._next = next(self._left, None)


@dataclass(frozen=True)
class Played:
    """What a decoder makes of a file."""

    codec: str
    frames: int
    seconds: float
    first_is_keyframe: bool


def play(path: Path) -> Played:
    """Decode every frame.

    Raises:
        av.error.FFmpegError: if it does not play.
    """
    times, keyframe = [], False
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        video.codec_context.thread_count = 1
        for frame in container.decode(video):
            if not times:
                keyframe = frame.key_frame
            times.append(float(frame.time or 0.0))
        codec = video.codec_context.name
    return Played(codec, len(times), times[-1] - times[0] if times else 0.0, keyframe)


def ffprobe_errors(path: Path) -> str:
    """What ffmpeg, as another player, complains of when it decodes the file; empty: nothing.

    Frames keep their times: rounded to a usual rate, two that came in a burst would have the same, which it reports.
    """
    done = subprocess.run(
        [
            "ffmpeg",
            "-v",
            "error",
            "-xerror",
            "-i",
            str(path),
            "-fps_mode",
            "passthrough",
            "-enc_time_base",
            "-1",
            "-f",
            "null",
            "-",
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stderr


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
