"""Hands a connection's packets, as they come and not decoded, to those who keep them or pass them on.

Times are the gateway's own in ticks of the stream's time base, so that they rise whatever the camera's clock does.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from edge.video.decoder import Arrived, size_of_keyframe
from edge.video.packets import PacketSink, StreamHead, VideoPacket
from protocols.nal_units import join_stream, leading_sets

_log = logging.getLogger(__name__)


@dataclass
class _Outlet:
    sink: PacketSink
    is_open: bool = False


class PacketFeed:
    """One camera's sinks. Used by the camera's thread alone; the counters may be read by any.

    A sink that raises is left out for the rest of the connection and begun anew with the next.

    Args:
        camera: its name, for the log.
        sinks: who takes packets.
    """

    def __init__(self, camera: str, sinks: Sequence[PacketSink]) -> None:
        self._camera = camera
        self._outlets = [_Outlet(sink) for sink in sinks]
        self._head: StreamHead | None = None
        self._sets = b""
        self._began_s: float | None = None
        self._last_dts = -1
        self.faults = 0
        """How often a sink raised and was left out."""
        self.heads = 0
        """How often packets of a new kind began."""

    def begin(self, head: StreamHead) -> None:
        """A connection stands; one before it whose end was not told is over."""
        self.end()
        self._sets = b""
        self._begin(head)

    def take(self, arrived: Arrived) -> None:
        """The connection's next packet."""
        if not any(outlet.is_open for outlet in self._outlets):
            return
        data = bytes(arrived.packet)
        if arrived.is_keyframe:
            self._look_at_head(data)
        if self._head is None:
            return
        packet = self._placed(arrived, data, self._head)
        self._each(lambda sink: sink.take(packet))

    def resize(self, width: int, height: int) -> None:
        """The pictures have this size: news where it is not in the parameter sets."""
        head = self._head
        if head is not None and (head.width, head.height) != (width, height):
            self._begin(replace(head, width=width, height=height))

    def end(self) -> None:
        """The connection is gone."""
        if self._head is not None:
            self._head = None
            self._each(lambda sink: sink.end())
            for outlet in self._outlets:
                outlet.is_open = False

    def _begin(self, head: StreamHead) -> None:
        self._head, self._last_dts = head, -1
        self._began_s = None
        self.heads += 1
        for outlet in self._outlets:
            outlet.is_open = True
        self._each(lambda sink: sink.begin(head))

    def _look_at_head(self, data: bytes) -> None:
        """Begin anew when a key frame brings other parameter sets than the last that had any."""
        head = self._head
        sets = join_stream(leading_sets(head.codec, data)) if head is not None else b""
        if head is None or not sets or sets == self._sets:
            return
        is_first = not self._sets
        if is_first and head.width and head.height:
            self._sets = sets
            return
        size = size_of_keyframe(head.codec, sets, data)
        if size is not None:
            self._sets = sets
            self._begin(replace(head, width=size[0], height=size[1], extradata=sets))

    def _placed(self, arrived: Arrived, data: bytes, head: StreamHead) -> VideoPacket:
        if self._began_s is None:
            self._began_s = arrived.at_s
        dts = max(self._last_dts + 1, round((arrived.at_s - self._began_s) / head.time_base))
        self._last_dts = dts
        return VideoPacket(data, dts + arrived.ahead, dts, arrived.is_keyframe, arrived.at_s)

    def _each(self, tell: Callable[[PacketSink], None]) -> None:
        for outlet in self._outlets:
            if not outlet.is_open:
                continue
            try:
                tell(outlet.sink)
            except Exception:  # noqa: BLE001 a keeper's fault must not end the camera: it is counted and left out
                outlet.is_open = False
                self.faults += 1
                _log.exception("camera %s: %s is left out", self._camera, type(outlet.sink).__name__)
