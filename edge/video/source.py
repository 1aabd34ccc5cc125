"""One camera's thread: reads its packets, decodes as few as its gear allows, leaves for the detector what is worth it.

Nothing here waits for the detector, the disk or another camera. Each change of what the camera can be used for is one
`camera.online` or `camera.offline` event, however often it is tried in between; so is another size of its picture.
"""

import logging
import threading
from collections.abc import Callable, Sequence

from edge.backoff import Backoff
from edge.clock import Clock, now
from edge.observations import Observation, Recorder
from edge.video.analysis import CameraAnalysis
from edge.video.arrivals import Arrivals
from edge.video.config import CameraConfig
from edge.video.connection import Connection, Timing
from edge.video.decoder import Arrived, Decoder
from edge.video.detection import Candidate, moment_of
from edge.video.errors import StreamFault
from edge.video.eye import Eye, luma_of
from edge.video.feed import PacketFeed
from edge.video.gears import Gear, Gearbox, GearTiming
from edge.video.motion import MotionGate
from edge.video.packets import PacketSink
from edge.video.states import CameraState
from edge.video.stream import Stream, StreamInfo
from edge.video.watcher import WatchCounts, Watcher
from edge.video.worker import Run
from protocols.events import CameraFault, CameraOffline, CameraOnline

_log = logging.getLogger(__name__)


class CameraSource:
    """Reads one camera. `__call__` is the body of a worker's thread; the rest is safe to call from any thread.

    Args:
        camera: where and how it is read.
        analysis: follows what the detector sees in it; asked whether someone is being followed.
        submit: leaves a frame for the detector; returns at once.
        record: takes its online and offline events.
        clock: the gateway's clocks.
        backoff: how long to wait after a fault.
        timing: time constants of connections.
        sinks: who takes its packets as they come; none where a main stream is read for them.
        gear_timing: time constants of the gears.
    """

    def __init__(
        self,
        camera: CameraConfig,
        analysis: CameraAnalysis,
        submit: Callable[[Candidate], None],
        record: Recorder,
        clock: Clock,
        backoff: Backoff,
        timing: Timing,
        sinks: Sequence[PacketSink] = (),
        gear_timing: GearTiming | None = None,
    ) -> None:
        self._camera = camera
        self._analysis = analysis
        self._submit = submit
        self._record = record
        self._clock = clock
        self._timing = timing
        self._gear_timing = gear_timing if gear_timing is not None else GearTiming()
        self._called = threading.Event()
        self._told: CameraFault | StreamInfo | None = None
        self._gears = Gearbox(self._gear_timing.quiet_after_s)
        self.connection = Connection(camera.stream, clock, backoff, timing, self._lost)
        self.feed = PacketFeed(camera.id, sinks)
        self.watched = WatchCounts()
        self.frames_received = 0
        self.frames_decoded = 0
        self.frames_checked = 0
        self.decode_errors = 0

    @property
    def state(self) -> CameraState:
        """Where the connection stands."""
        return self.connection.state

    @property
    def gear(self) -> Gear | None:
        """How much is done about its video; None while none comes."""
        return self._gears.gear if self.state is CameraState.ONLINE else None

    @property
    def gears(self) -> Gearbox:
        """The gears' counters, to be read."""
        return self._gears

    def __call__(self, run: Run) -> None:
        """Read the camera until told to stop."""
        self.connection.keep(run, self._read)

    def wake(self, reason: str) -> None:
        """Something happens there, somebody says (the camera's own motion event, a door): watch from now on."""
        _log.debug("camera %s is called: %s", self._camera.id, reason)
        self._called.set()

    def stuck(self) -> None:
        """The thread makes no progress and is given up: called by the supervisor."""
        self.connection.stuck()

    def stop(self) -> None:
        """The camera is no longer read: the thread has ended or is given up."""
        self.connection.stop()
        self.feed.end()
        self._tell_offline(StreamFault(CameraFault.STOPPED, "the gateway stops"))

    def _read(self, stream: Stream, run: Run) -> None:
        """One connection's packets, until it faults or the run is stopped."""
        decoder, arrivals = stream.decoder(), Arrivals(self._clock, stream)
        camera = self._camera
        gate = MotionGate(camera.motion_sensitivity, (*camera.motion_mask, *camera.privacy_mask))
        eye = Eye(gate, camera.analyses_per_s, camera.busy_looks_per_s)
        watcher = Watcher(decoder, eye, self._gears, self._gear_timing, self._clock.monotonic_s, self.watched)
        head = stream.head()
        self.feed.begin(head)
        try:
            for packet in stream.packets():
                arrived = arrivals.place(packet, run)
                if run.stopped:
                    return
                run.beat()
                self.frames_received += 1
                self.feed.take(arrived)
                self._watch(watcher, arrived, head.codec, run)
                self._count(decoder)
                self._demand_pictures(watcher, decoder)
        except StreamFault as fault:
            if fault.fault is CameraFault.ENDED and decoder.has_erred and watcher.size is None:
                raise _undecodable() from None
            raise
        finally:
            if not run.stopped:  # otherwise a new thread may have begun already; `stop` ends it
                self.feed.end()

    def _watch(self, watcher: Watcher, arrived: Arrived, codec: str, run: Run) -> None:
        called = self._called.is_set()
        if called:
            self._called.clear()
        for sight in watcher.take(arrived, self._analysis.followed, called):
            if not self._pictures(watcher, codec, run):
                return
            run.beat()
            self.frames_checked += 1
            if sight.wanted:
                self._submit(Candidate(sight.picture.image, sight.picture.at_s, sight.late, sight.motion.boxes))
            if self._analysis.rules.wants_glance(sight.picture.at_s):
                self._analysis.rules.glance(luma_of(sight.picture.image), moment_of(sight.picture.at_s, self._clock))

    def _count(self, decoder: Decoder) -> None:
        self.frames_decoded += decoder.decoded
        self.decode_errors += decoder.errors
        decoder.decoded = decoder.errors = 0

    def _demand_pictures(self, watcher: Watcher, decoder: Decoder) -> None:
        """Raises: StreamFault: if packets come and come, and no sound picture."""
        since_s = watcher.starved_since_s
        if since_s is None or self._clock.monotonic_s() - since_s <= self._timing.starved_s:
            return
        raise _undecodable() if decoder.has_erred else StreamFault(CameraFault.SILENT, "packets come, but no picture")

    def _pictures(self, watcher: Watcher, codec: str, run: Run) -> bool:
        """Pictures come: tell so if it is news. False if this thread was told to stop."""
        if watcher.size is None or not self.connection.flows(run):
            return False
        info = StreamInfo(*watcher.size, codec)
        if self._told == info:
            return True
        if isinstance(self._told, StreamInfo):  # the camera sends something else from now on
            self._analysis.lose(now(self._clock))
        self._told = info
        self.feed.resize(info.width, info.height)
        _log.info("camera %s online: %dx%d %s", self._camera.id, info.width, info.height, info.codec)
        data = CameraOnline(width=info.width, height=info.height, codec=info.codec[:40])
        self._record(Observation(self._camera.id, self._camera.place, data, now(self._clock)))
        return True

    def _lost(self, fault: StreamFault) -> None:
        self._analysis.lose(now(self._clock))
        self._tell_offline(fault)

    def _tell_offline(self, fault: StreamFault) -> None:
        is_news = self._told is not fault.fault
        if fault.fault is CameraFault.STOPPED:
            is_news = isinstance(self._told, StreamInfo)
        if not is_news:
            return
        self._told = fault.fault
        _log.warning("camera %s at %s offline: %s", self._camera.id, self._camera.address, fault)
        data = CameraOffline(fault=fault.fault, detail=fault.detail[:300])
        self._record(Observation(self._camera.id, self._camera.place, data, now(self._clock)))


def _undecodable() -> StreamFault:
    return StreamFault(CameraFault.UNDECODABLE, "the video is damaged or of an unknown kind")
