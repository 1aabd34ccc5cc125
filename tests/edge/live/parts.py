"""Packets for tests of live video, from a real clip of the demo, and made up where only their size counts."""

from fractions import Fraction
from pathlib import Path

import av

from edge.video.packets import StreamHead, VideoPacket
from tests.support.rtsp import CLIPS

MADE_UP = StreamHead("h264", 640, 360, b"", Fraction(1, 1000))


def packet(number: int, is_keyframe: bool = False, size: int = 100, at_s: float | None = None) -> VideoPacket:
    """A made-up packet; ten come a second."""
    at = 1000 + number / 10 if at_s is None else at_s
    return VideoPacket(bytes(size), number * 100, number * 100, is_keyframe, at)


def clip_packets(path: Path = CLIPS / "gate-east.mp4", first_s: float = 1000.0) -> tuple[StreamHead, list[VideoPacket]]:
    """What a clip holds, as a camera's thread would bring it."""
    packets = []
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        base = Fraction(video.time_base or Fraction(1, 90_000))
        context = video.codec_context
        head = StreamHead(context.name, context.width, context.height, context.extradata or b"", base)
        for each in container.demux(video):
            if each.size:
                dts = each.dts if each.dts is not None else round(len(packets) / 10 / base)  # a raw stream has no times
                pts = each.pts if each.pts is not None else dts
                packets.append(VideoPacket(bytes(each), pts, dts, each.is_keyframe, first_s + float(dts * base)))
    return head, packets
