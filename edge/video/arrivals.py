"""When each packet of one connection was taken. A recording is held back to the speed at which it was filmed."""

from fractions import Fraction

import av
from av.video.stream import VideoStream

from edge.clock import Clock
from edge.video.decoder import Arrived
from edge.video.stream import Stream
from edge.video.timeline import MOST_LATE_S, Timeline
from edge.video.worker import Run


class Arrivals:
    """One connection's times. Make a new one for each."""

    def __init__(self, clock: Clock, stream: Stream) -> None:
        self._clock = clock
        self._time_base: Fraction = stream.time_base
        self._has_stamps = stream.has_stamps
        self._is_recording = stream.is_recording
        self._timeline = Timeline()
        self._began: tuple[float, float] | None = None
        self._most_ahead_s = 0.0

    def place(self, packet: "av.Packet[VideoStream]", run: Run) -> Arrived:
        """The packet with its time; a recording's waits until it is due."""
        pts, dts = packet.pts, packet.dts
        ticks = dts if dts is not None else pts
        stamp_s = float(ticks * self._time_base) if ticks is not None and self._has_stamps else None
        if self._is_recording and stamp_s is not None:
            self._wait_for(stamp_s, run)
        at_s = self._timeline.place(stamp_s, self._clock.monotonic_s())
        ahead = max(0, pts - dts) if pts is not None and dts is not None else 0
        ahead_s = float(ahead * self._time_base)
        if ahead_s > MOST_LATE_S:
            ahead, ahead_s = 0, 0.0
        self._most_ahead_s = max(self._most_ahead_s, ahead_s)
        shown_s = at_s + ahead_s - self._most_ahead_s
        return Arrived(packet, packet.size, packet.is_keyframe, at_s, shown_s, ahead)

    def _wait_for(self, stamp_s: float, run: Run) -> None:
        if self._began is None:
            self._began = self._clock.monotonic_s(), stamp_s
        due_s = self._began[0] + stamp_s - self._began[1]
        run.pause(max(0.0, due_s - self._clock.monotonic_s()))
