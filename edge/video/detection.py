"""The detector that all cameras share: one thread, and before it the frames that wait, in the order of `schedule`.

When the detector is slower than the cameras, analysis gets coarser and never later: by how much for which camera, its
priority says.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol, cast

from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter

from edge.clock import Clock, Moment, now
from edge.video.analysis import WEAK_SCORE, CameraAnalysis
from edge.video.closer import CloserLook
from edge.video.masks import Polygons, black_out
from edge.video.motion import Box, Luma
from edge.video.schedule import Priority, Rate, Schedule, Tally
from edge.video.snapshot import Image, View
from edge.video.worker import Run
from models import Detections

_WAKE_S = 1.0


class FrameDetector(Protocol):
    """What finds people and vehicles in a frame: `models.Detector`."""

    def detect(self, frame: Image, floor: float | None = None) -> Detections:
        """What is in `frame`, BGR [H,W,3], from score `floor` on."""
        ...


@dataclass(frozen=True)
class Candidate:
    """A frame worth the detector, or a glance, and when it was taken (monotonic seconds).

    `late`: decoding is catching up with a camera that slept; the frames of an onset wait for each other. `moving`:
    where something moves in it (fractions), for a closer look. `luma`: small (`motion.small_luma`), by which tracks are
    followed; painted over where privacy masks are. `glance`: tracks are followed to it, the detector is not asked.
    `onset`: movement has just begun.
    """

    image: VideoFrame
    at_s: float
    late: bool = False
    moving: tuple[Box, ...] = ()
    luma: Luma | None = None
    glance: bool = False
    onset: bool = False


class Mailboxes:
    """The frames that wait for the detector. Safe to use from several threads.

    Args:
        priorities: one per camera.
        monotonic_s: the gateway's monotonic clock.
    """

    def __init__(self, priorities: Sequence[Priority], monotonic_s: Callable[[], float]) -> None:
        self._schedule: Schedule[Candidate] = Schedule(priorities)
        self._monotonic_s = monotonic_s
        self._changed = threading.Condition()

    def put(self, camera: int, candidate: Candidate) -> None:
        """Leave a frame; it replaces one that still lies there, a late one only the oldest of many late ones. What is
        replaced is glanced at."""
        with self._changed:
            now_s = self._monotonic_s()
            if candidate.glance:
                self._schedule.put_glance(camera, candidate, now_s)
            else:
                self._schedule.put(camera, candidate, now_s, candidate.late, candidate.onset)
            self._changed.notify()

    def take(self, timeout_s: float) -> tuple[int, Candidate] | None:
        """The next frame and its camera, of each camera in their order; None if none came in time."""
        with self._changed:
            self._changed.wait_for(lambda: self._schedule.has_work, timeout_s)
            now_s = self._monotonic_s()
            glance = self._schedule.take_glance(now_s)
            if glance is not None:
                camera, candidate = glance
                return camera, replace(candidate, glance=True)
            return self._schedule.take(now_s)

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits."""
        with self._changed:
            return not self._schedule.has_work

    @property
    def is_idle(self) -> bool:
        """Whether no frame waits for the detector; there may be glances."""
        with self._changed:
            return self._schedule.is_empty

    def tally(self, camera: int) -> Tally:
        """What became of a camera's frames since the start."""
        with self._changed:
            return replace(self._schedule.tally(camera))

    def rate(self, camera: int) -> Rate:
        """What a camera asked for and got of late."""
        with self._changed:
            return self._schedule.rate(camera, self._monotonic_s())


class DetectorLoop:
    """Takes frames from the mailboxes, runs the detector and hands what it saw to the camera's analysis.

    Args:
        load: makes the detector, in the loop's own thread.
        mailboxes: where cameras leave frames.
        analyses: one per camera.
        clock: the gateway's clocks.
        privacy: what is painted black in each camera's pictures before anything looks at them.
    """

    def __init__(
        self,
        load: Callable[[], FrameDetector],
        mailboxes: Mailboxes,
        analyses: Sequence[CameraAnalysis],
        clock: Clock,
        privacy: Sequence[Polygons],
    ) -> None:
        self._load = load
        self._mailboxes = mailboxes
        self._analyses = analyses
        self._privacy = privacy
        self._closer = [CloserLook() for _ in analyses]
        self._clock = clock
        self.busy_s = 0.0
        """How long the detector worked altogether."""
        self.closer_looks = [0] * len(analyses)
        """Per camera, how often a part of a frame was looked at as well."""

    def __call__(self, run: Run) -> None:
        """The thread's body."""
        detector = self._load()
        to_bgr = [VideoReformatter() for _ in self._analyses]
        while not run.stopped:
            run.beat()
            taken = self._mailboxes.take(_WAKE_S)
            for analysis in self._analyses:
                analysis.pass_time(now(self._clock))
            if taken is None or run.stopped:
                continue
            camera, candidate = taken
            started_s = self._clock.monotonic_s()
            if candidate.luma is not None:
                black_out(candidate.luma, self._privacy[camera])
            view = partial(self._view, to_bgr[camera], camera, candidate)
            if candidate.glance:
                self._glance(camera, candidate, view)
            else:
                self._look(detector, camera, candidate, view(), run)
            self.busy_s += self._clock.monotonic_s() - started_s

    def _view(self, to_bgr: VideoReformatter, camera: int, candidate: Candidate) -> Image:
        image = cast(Image, to_bgr.reformat(candidate.image, format="bgr24", threads=1).to_ndarray())
        return black_out(image, self._privacy[camera])

    def _glance(self, camera: int, candidate: Candidate, view: View) -> None:
        if candidate.luma is not None:
            self._analyses[camera].glance(candidate.luma, view, moment_of(candidate.at_s, self._clock))

    def _look(self, detector: FrameDetector, camera: int, candidate: Candidate, image: Image, run: Run) -> None:
        seen = self._detect(detector, image, camera, candidate)
        if not run.stopped:
            self._analyses[camera].see(seen, image, moment_of(candidate.at_s, self._clock), candidate.luma)

    def _detect(self, detector: FrameDetector, image: Image, camera: int, candidate: Candidate) -> Detections:
        """What is in the frame; in a part of it, too, if that is worth it and no other frame waits meanwhile."""
        seen = detector.detect(image, WEAK_SCORE)
        if not self._mailboxes.is_idle:
            return seen
        find = partial(detector.detect, floor=WEAK_SCORE)
        both = self._closer[camera].add(find, image, seen, candidate.moving, candidate.at_s)
        if both is None:
            return seen
        self.closer_looks[camera] += 1
        return both


def moment_of(at_s: float, clock: Clock) -> Moment:
    """The instant `at_s` (monotonic, a moment ago) by both clocks."""
    return Moment(clock.wall_s() - (clock.monotonic_s() - at_s), at_s)
