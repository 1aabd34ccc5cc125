"""One camera's thread: connects, reads, decides which frames the detector sees, and connects again after every fault.

Nothing here waits for the detector, the disk or another camera. The state table is in `states`; each change of what the
camera can be used for is one `camera.online` or `camera.offline` event, however often it is tried in between.
"""

import logging
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import numpy as np
from av.video.frame import VideoFrame

from edge.backoff import Backoff
from edge.clock import Clock, now
from edge.observations import Observation, Recorder
from edge.video.analysis import CameraAnalysis, Followed
from edge.video.attention import Attention
from edge.video.config import CameraConfig
from edge.video.detection import Candidate
from edge.video.errors import StreamFault, VideoError
from edge.video.motion import Luma, Motion, MotionGate
from edge.video.states import CameraState, Signal, after
from edge.video.stream import OPEN_TIMEOUT_S, READ_TIMEOUT_S, DecodedFrame, Stream, StreamInfo
from edge.video.timeline import Timeline
from edge.video.worker import Run
from protocols.events import CameraFault, CameraOffline, CameraOnline

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Timing:
    """The time constants of reading cameras, in seconds.

    `stuck_s` is above what opening and reading may take together, so that only a decoder or a name look-up that hangs
    is given up; `calm_s` of pictures make the next fault a first one.
    """

    open_s: float = OPEN_TIMEOUT_S
    read_s: float = READ_TIMEOUT_S
    retry_first_s: float = 1.0
    retry_most_s: float = 60.0
    calm_s: float = 10.0
    stuck_s: float = 20.0


class CameraSource:
    """Reads one camera. `__call__` is the body of a worker's thread; the rest is safe to call from any thread.

    Args:
        camera: where and how it is read.
        analysis: follows what the detector sees in it; asked whether someone is being followed.
        submit: leaves a frame for the detector; returns at once.
        record: takes its online and offline events.
        clock: the gateway's clocks.
        backoff: how long to wait after a fault.
        timing: time constants.
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
    ) -> None:
        self._camera = camera
        self._analysis = analysis
        self._submit = submit
        self._record = record
        self._clock = clock
        self._backoff = backoff
        self._timing = timing
        self._lock = threading.Lock()
        self._state = CameraState.CONNECTING
        self._told: CameraFault | StreamInfo | None = None
        self.fault: StreamFault | None = None
        """The last fault, until pictures come again."""
        self.faults: Counter[CameraFault] = Counter()
        self.frames_decoded = 0
        self.frames_checked = 0
        self.decode_errors = 0
        self.connections = 0

    @property
    def state(self) -> CameraState:
        """Where the connection stands."""
        return self._state

    def __call__(self, run: Run) -> None:
        """Read the camera until told to stop."""
        if self.state in (CameraState.CONNECTING, CameraState.ONLINE) and self.connections:
            self._fail(StreamFault(CameraFault.SILENT, "the camera's reader failed and was started again"), run)
        while not run.stopped:
            if self.state is not CameraState.CONNECTING:
                self._signal(Signal.RETRY, run)
            self._fail(self._read(run), run)
            run.pause(self._backoff.next_s())

    def stuck(self) -> None:
        """The thread makes no progress and is given up: called by the supervisor."""
        self._signal(Signal.NO_PROGRESS)
        self._note(StreamFault(CameraFault.SILENT, "the decoder or the connection hangs"))

    def stop(self) -> None:
        """The camera is no longer read: the thread has ended or is given up."""
        self._signal(Signal.STOP)
        self._tell_offline(StreamFault(CameraFault.STOPPED, "the gateway stops"))

    def _signal(self, signal: Signal, run: Run | None = None) -> bool:
        """Move to the next state; False, and nothing is moved, if it comes from a thread that was told to stop."""
        with self._lock:
            if run is not None and run.stopped:
                return False
            self._state = after(self._state, signal)
            return True

    def _read(self, run: Run) -> StreamFault:
        """One connection, from opening to its end; why it ended."""
        self.connections += 1
        timing = self._timing
        try:
            location = self._camera.location()
        except VideoError as error:
            return StreamFault(CameraFault.UNAUTHORISED, str(error))
        try:
            scheme = self._camera.parts.scheme
            with Stream(location, scheme, self._clock.monotonic_s, timing.open_s, timing.read_s) as stream:
                try:
                    self._watch(stream, run)
                finally:
                    self.decode_errors += stream.decode_errors
        except StreamFault as fault:
            return fault
        return StreamFault(CameraFault.ENDED, "the stream ended")

    def _watch(self, stream: Stream, run: Run) -> None:
        """Look at every frame until the stream faults or the run is stopped."""
        eye = _Eye(self._camera)
        pace = _Pace(self._clock, stream.is_recording)
        online_s: float | None = None
        for frame in stream.frames():
            at_s = pace.place(frame, run)
            if run.stopped:
                return
            run.beat()
            self.frames_decoded += 1
            if online_s is None:
                online_s = at_s
                self._pictures(stream.info, run)
            elif at_s - online_s > self._timing.calm_s:
                self._backoff.reset()
            if eye.is_due(at_s):
                self.frames_checked += 1
                followed = self._analysis.followed
                motion, wanted = eye.look(frame.image, at_s, followed)
                if wanted:
                    self._submit(Candidate(frame.image, at_s, moving=motion.boxes))

    def _pictures(self, info: StreamInfo, run: Run) -> None:
        if not self._signal(Signal.PICTURE, run):
            return
        self.fault = None
        if isinstance(self._told, StreamInfo):
            return
        self._told = info
        _log.info("camera %s online: %dx%d %s", self._camera.id, info.width, info.height, info.codec)
        data = CameraOnline(width=info.width, height=info.height, codec=info.codec[:40])
        self._record(Observation(self._camera.id, self._camera.place, data, now(self._clock)))

    def _fail(self, fault: StreamFault, run: Run) -> None:
        if self._signal(Signal.FAULT, run):
            self._note(fault)

    def _note(self, fault: StreamFault) -> None:
        self.fault = fault
        self.faults[fault.fault] += 1
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


class _Pace:
    """When each frame of one connection was taken. A recording is held back to the speed at which it was filmed."""

    def __init__(self, clock: Clock, is_recording: bool) -> None:
        self._clock = clock
        self._is_recording = is_recording
        self._timeline = Timeline()
        self._began: tuple[float, float] | None = None

    def place(self, frame: DecodedFrame, run: Run) -> float:
        if self._is_recording and frame.stamp_s is not None:
            if self._began is None:
                self._began = self._clock.monotonic_s(), frame.stamp_s
            due_s = self._began[0] + frame.stamp_s - self._began[1]
            run.pause(max(0.0, due_s - self._clock.monotonic_s()))
        return self._timeline.place(frame.stamp_s, self._clock.monotonic_s())


class _Eye:
    """Looks at frames, at most so many a second, for movement."""

    def __init__(self, camera: CameraConfig) -> None:
        self._every_s = 1.0 / camera.analyses_per_s
        self._due_s = float("-inf")
        self._gate = MotionGate(camera.motion_sensitivity, (*camera.motion_mask, *camera.privacy_mask))
        self._attention = Attention()

    def is_due(self, at_s: float) -> bool:
        """Whether it is time for another look; a tenth early counts, for cameras tremble."""
        if at_s < self._due_s - 0.1 * self._every_s:
            return False
        self._due_s = max(self._due_s + self._every_s, at_s + 0.5 * self._every_s)
        return True

    def look(self, image: VideoFrame, at_s: float, followed: Followed) -> tuple[Motion, bool]:
        """What moves in the frame, and whether the detector should see it."""
        motion = self._gate.see(luma_of(image), at_s)
        return motion, self._attention.wants(motion, at_s, followed)


def luma_of(image: VideoFrame) -> Luma:
    """The brightness [H,W] of a frame: the decoder's own plane, not copied, where its format has one of 8 bits."""
    if not (image.format.is_planar and not image.format.is_rgb and image.format.components[0].bits == 8):
        image = image.reformat(format="gray")
    plane = image.planes[0]
    buffer = cast(memoryview, plane)  # it offers the buffer protocol, which its type does not say
    return np.frombuffer(buffer, np.uint8).reshape(-1, plane.line_size)[: image.height, : image.width]
