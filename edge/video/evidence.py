"""A camera's main stream, for evidence: received and handed on, never decoded. Its faults are the camera's own, apart.

Analysis goes on with the sub stream whatever becomes of this one, and this one whatever becomes of analysis.
"""

import logging
from collections.abc import Sequence

from edge.backoff import Backoff
from edge.clock import Clock
from edge.video.arrivals import Arrivals
from edge.video.config import CameraConfig
from edge.video.connection import Connection, Timing
from edge.video.errors import StreamFault
from edge.video.feed import PacketFeed
from edge.video.packets import PacketSink
from edge.video.stream import Stream
from edge.video.worker import Run

_log = logging.getLogger(__name__)


class EvidenceSource:
    """Reads one camera's main stream. `__call__` is the body of a worker's thread; the rest is safe from any thread.

    Args:
        camera: where its main stream is; it has one.
        sinks: who takes its packets.
        clock: the gateway's clocks.
        backoff: how long to wait after a fault.
        timing: time constants of connections.
    """

    def __init__(
        self, camera: CameraConfig, sinks: Sequence[PacketSink], clock: Clock, backoff: Backoff, timing: Timing
    ) -> None:
        self._camera = camera
        self._clock = clock
        self._last: StreamFault | None = None
        self.connection = Connection(camera.main_stream, clock, backoff, timing, self._lost)
        self.feed = PacketFeed(camera.id, sinks)
        self.packets = 0

    def __call__(self, run: Run) -> None:
        """Read the stream until told to stop."""
        self.connection.keep(run, self._read)

    def stuck(self) -> None:
        """The thread makes no progress and is given up: called by the supervisor."""
        self.connection.stuck()

    def stop(self) -> None:
        """The stream is no longer read: the thread has ended or is given up."""
        self.connection.stop()
        self.feed.end()

    def _read(self, stream: Stream, run: Run) -> None:
        arrivals = Arrivals(self._clock, stream)
        self.feed.begin(stream.head())
        try:
            for packet in stream.packets():
                arrived = arrivals.place(packet, run)
                if not self.connection.flows(run):
                    return
                run.beat()
                self._last = None
                self.packets += 1
                self.feed.take(arrived)
        finally:
            if not run.stopped:
                self.feed.end()

    def _lost(self, fault: StreamFault) -> None:
        if self._last is None or self._last.fault is not fault.fault:
            _log.warning("camera %s, main stream: %s", self._camera.id, fault)
        self._last = fault
