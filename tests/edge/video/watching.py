"""Scenes drawn for tests, their clips, and a watcher run over a clip's packets in no time."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from edge.video.analysis import Followed
from edge.video.decoder import Arrived, Decoder
from edge.video.eye import Eye
from edge.video.gears import Gearbox, GearTiming
from edge.video.motion import MotionGate
from edge.video.packet_buffer import BufferLimits
from edge.video.watcher import Sight, WatchCounts, Watcher

Picture = np.ndarray
RATE = 10
NEVER_SLEEPS = GearTiming(quiet_after_s=float("inf"))


def scene(seed: int = 1, width: int = 192, height: int = 144, noise: float = 2.0) -> Callable[[int], Picture]:
    """A still place, BGR [H,W,3], with a sensor's noise that differs from frame to frame."""
    random = np.random.default_rng(seed)
    cells = random.integers(50, 190, (height // 8, width // 8, 1), dtype=np.uint8)
    place = cells.repeat(8, 0).repeat(8, 1).repeat(3, 2).astype(np.float32)

    def picture(i: int) -> Picture:
        grain = np.random.default_rng(seed * 100_003 + i).normal(0.0, noise, place.shape[:2])
        return np.clip(place + grain[..., None], 0, 255).astype(np.uint8)

    return picture


def with_walker(place: Callable[[int], Picture], enters: int, speed: float = 3.0) -> Callable[[int], Picture]:
    """The place, and from frame `enters` on somebody who walks in from the left, `speed` pixels a frame."""

    def picture(i: int) -> Picture:
        drawn = place(i).copy()
        right = int((i - enters + 1) * speed)
        if right > 0:
            height, width = drawn.shape[:2]
            left = max(0, right - height // 10)
            drawn[height // 3 : 2 * height // 3, left : min(width, right)] = (20, 30, 240)
        return drawn

    return picture


@dataclass(frozen=True)
class Encoding:
    """How a camera encodes: FFmpeg's encoder, frames between key frames, reordered frames, options."""

    codec: str = "libx264"
    group: int = 20
    reordered: int = 0
    rate: int = RATE
    options: tuple[tuple[str, str], ...] = ()


def encode(path: Path, picture: Callable[[int], Picture], frames: int, how: Encoding) -> Path:
    """A clip of `picture(i)`."""
    options = {
        "preset": "ultrafast" if how.codec == "libx265" else "veryfast",
        "bf": str(how.reordered),
        "g": str(how.group),
        "sc_threshold": "0",
    }
    if how.codec == "libx265":
        options |= {"x265-params": f"keyint={how.group}:min-keyint={how.group}:bframes={how.reordered}:log-level=error"}
    if how.codec == "mjpeg":
        options = {"q:v": "5"}
    options |= dict(how.options)
    with av.open(str(path), "w") as container:
        first = picture(0)
        stream = container.add_stream(how.codec, rate=how.rate, options=options)
        stream.height, stream.width = first.shape[:2]
        stream.pix_fmt = "yuvj420p" if how.codec == "mjpeg" else "yuv420p"
        for i in range(frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(i), format="bgr24")))
        container.mux(stream.encode())
    return path


@dataclass
class Watched:
    """What a watcher made of a clip."""

    sights: list[tuple[float, Sight]]
    """Each with the time of the packet that was there when it was seen."""
    gears: Gearbox
    counts: WatchCounts
    received: int
    decoded: int
    cpu_s: float
    is_starved: bool
    """Whether at the end no picture that was wanted came."""

    @property
    def wanted_s(self) -> list[float]:
        """When the pictures for the detector were taken."""
        return [sight.picture.at_s for _, sight in self.sights if sight.wanted]

    def onset_s(self, after_s: float) -> float | None:
        """When the first picture for the detector after a time was taken."""
        return next((at_s for at_s in self.wanted_s if at_s >= after_s), None)


def arrivals(container: "av.container.InputContainer") -> Iterator[Arrived]:
    """A clip's packets as they would have come."""
    stream, most_ahead_s = container.streams.video[0], 0.0
    tick_s = float(stream.time_base)
    for packet in container.demux(stream):
        if not packet.size:
            continue
        at_s = packet.dts * tick_s
        ahead_s = (packet.pts - packet.dts) * tick_s
        most_ahead_s = max(most_ahead_s, ahead_s)
        yield Arrived(packet, packet.size, packet.is_keyframe, at_s, at_s + ahead_s - most_ahead_s)


def watch(
    clip: Path,
    timing: GearTiming | None = None,
    called_s: float | None = None,
    followed: Followed | None = None,
    from_s: float = 0.0,
    limits: BufferLimits | None = None,
    spoil: Callable[[Arrived], Arrived | None] = lambda arrived: arrived,
    looks_per_s: float = 5.0,
) -> Watched:
    """Run a watcher over a clip, as if its first packets had been seen at time 0.

    Args:
        clip: what it sees.
        timing: the gears' time constants.
        called_s: when somebody calls for the camera, if ever.
        followed: whom it believes to be followed all the time.
        from_s: when the connection begins: perhaps in the middle of a group of pictures.
        limits: of the packets that wait.
        spoil: what becomes of each packet on its way; None loses it.
        looks_per_s: how often it looks while awake.
    """
    timing = timing if timing is not None else GearTiming()
    gears, counts = Gearbox(timing.quiet_after_s), WatchCounts()
    with av.open(str(clip)) as container:
        decoder = Decoder(container.streams.video[0].codec_context)
        watcher = Watcher(decoder, Eye(MotionGate(), looks_per_s), gears, timing, time.thread_time, counts, limits)
        sights: list[tuple[float, Sight]] = []
        received, began_s = 0, time.thread_time()
        for sent in arrivals(container):
            arrived = spoil(sent) if sent.at_s >= from_s else None
            if arrived is None:
                continue
            received += 1
            called = called_s is not None and arrived.at_s >= called_s
            called_s = None if called else called_s
            sights += [(arrived.at_s, sight) for sight in watcher.take(arrived, followed or Followed(), called)]
        cpu_s = time.thread_time() - began_s
        is_starved = watcher.starved_since_s is not None
        return Watched(sights, gears, counts, received, decoder.decoded, cpu_s, is_starved)
