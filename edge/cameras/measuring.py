"""What a stream really is: read for some seconds and counted, nothing kept."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from edge.video.address import Address
from edge.video.errors import StreamFault
from edge.video.footage import Footage
from protocols.events import CameraFault

MOST_STEP_S = 5.0
"""Time stamps further apart than this have leapt."""


@dataclass(frozen=True)
class Measured:
    """A stream, watched for `seconds`.

    `keyframe_every_s` is None where fewer than two keyframes came; `opened_s` is the time to the first packet.
    """

    codec: str
    width: int
    height: int
    fps: float
    keyframe_every_s: float | None
    bitrate_kbps: float
    opened_s: float
    seconds: float
    damaged: int


def measure(address: Address, seconds: float, progress: Callable[[float], None] = lambda _: None) -> Measured:
    """Read a stream for `seconds` of wall time, or a file to its end.

    Args:
        address: the stream, password included.
        progress: told how long it has been watched.

    Raises:
        StreamFault: if it cannot be read.
    """
    began_s = time.monotonic()
    with Footage(address) as footage:
        tally = _Tally()
        first_s: float | None = None
        for packet in footage.packets():
            now_s = time.monotonic()
            first_s = now_s if first_s is None else first_s
            stamp = packet.pts if packet.pts is not None else packet.dts
            at_s = None if stamp is None or packet.time_base is None else float(stamp * packet.time_base)
            tally.add(packet.size, packet.is_keyframe, at_s, now_s)
            if not tally.has_picture:
                tally.has_picture = bool(footage.decode(packet))
            progress(now_s - first_s)
            if now_s - first_s >= seconds:
                break
        if not tally.has_picture or first_s is None:
            raise StreamFault(CameraFault.UNDECODABLE, "the video is damaged or of an unknown kind")
        width, height = footage.size
        return tally.total(footage.codec, width, height, first_s - began_s, footage.damaged)


class _Tally:
    """Counts by the stream's own time stamps, for the network's hurry at the start is not the camera's rate. Where they
    are absent or leap (the first ones of a connection do) the time of arrival counts."""

    def __init__(self) -> None:
        self.has_picture = False
        self._bytes = 0
        self._times: list[float] = []
        self._keyframes: list[float] = []
        self._last: tuple[float | None, float] = None, 0.0

    def add(self, size: int, is_keyframe: bool, stamp_s: float | None, now_s: float) -> None:
        if not size:
            return
        last_stamp_s, last_now_s = self._last
        step_s = stamp_s - last_stamp_s if stamp_s is not None and last_stamp_s is not None else -1.0
        if not 0 < step_s <= MOST_STEP_S:
            step_s = now_s - last_now_s
        self._times.append(self._times[-1] + step_s if self._times else 0.0)
        self._last = stamp_s, now_s
        self._bytes += size
        if is_keyframe:
            self._keyframes.append(self._times[-1])

    def total(self, codec: str, width: int, height: int, opened_s: float, damaged: int) -> Measured:
        steps = [after - before for before, after in pairwise(self._times)]
        step_s = median(steps) if steps else 0.0
        span_s = self._times[-1] + step_s
        gaps = [after - before for before, after in pairwise(self._keyframes)]
        return Measured(
            codec=codec,
            width=width,
            height=height,
            fps=1 / step_s if step_s > 0 else 0.0,
            keyframe_every_s=median(gaps) if gaps else None,
            bitrate_kbps=self._bytes * 8 / 1000 / span_s if span_s > 0 else 0.0,
            opened_s=opened_s,
            seconds=span_s,
            damaged=damaged,
        )
