"""The detector that all cameras share: one thread, and for each camera a mailbox that holds its newest frame alone.

When the detector is slower than the cameras, a newer frame replaces an older one (counted): analysis gets coarser and
never later. Cameras are served in turn, so that a busy one starves no other.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, cast

from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter

from edge.clock import Clock, Moment
from edge.video.analysis import WEAK_SCORE, CameraAnalysis
from edge.video.snapshot import Image
from edge.video.worker import Run
from models import Detections

_WAKE_S = 1.0

MOST_LATE = 12
"""Frames of an onset that wait for the detector: what a camera looks at in the 2.2 s that it sleeps at a stretch."""


class FrameDetector(Protocol):
    """What finds people and vehicles in a frame: `models.Detector`."""

    def detect(self, frame: Image, floor: float | None = None) -> Detections:
        """What is in `frame`, BGR [H,W,3], from score `floor` on."""
        ...


@dataclass(frozen=True)
class Candidate:
    """A frame worth the detector, and when it was taken (monotonic seconds).

    `late`: decoding is catching up with a camera that slept; the frames of an onset wait for each other.
    """

    image: VideoFrame
    at_s: float
    late: bool = False


class Mailboxes:
    """One place per camera for its newest frame, and a few for those that come late. Safe to use from any thread."""

    def __init__(self, cameras: int) -> None:
        self._slots: list[Candidate | None] = [None] * cameras
        self._late: list[deque[Candidate]] = [deque() for _ in range(cameras)]
        self._next = 0
        self._changed = threading.Condition()
        self.replaced = [0] * cameras
        """Per camera, the frames that a newer one replaced before the detector came to them."""

    def put(self, camera: int, candidate: Candidate) -> None:
        """Leave a frame; it replaces one that still lies there, a late one only the oldest of many late ones."""
        with self._changed:
            if candidate.late:
                late = self._late[camera]
                if len(late) == MOST_LATE:
                    late.popleft()
                    self.replaced[camera] += 1
                late.append(candidate)
                self._changed.notify()
                return
            if self._slots[camera] is not None:
                self.replaced[camera] += 1
            self._slots[camera] = candidate
            self._changed.notify()

    def take(self, timeout_s: float) -> tuple[int, Candidate] | None:
        """The next frame, cameras in turn; None if none came in time."""
        with self._changed:
            if not self._changed.wait_for(lambda: any(map(self._has, range(len(self._slots)))), timeout_s):
                return None
            count = len(self._slots)
            camera = next(i % count for i in range(self._next, self._next + count) if self._has(i % count))
            self._next = (camera + 1) % count
            if self._late[camera]:
                return camera, self._late[camera].popleft()
            candidate, self._slots[camera] = self._slots[camera], None
            return None if candidate is None else (camera, candidate)

    def _has(self, camera: int) -> bool:
        return self._slots[camera] is not None or bool(self._late[camera])


class DetectorLoop:
    """Takes frames from the mailboxes, runs the detector and hands what it saw to the camera's analysis.

    Args:
        load: makes the detector, in the loop's own thread.
        mailboxes: where cameras leave frames.
        analyses: one per camera.
        clock: the gateway's clocks.
    """

    def __init__(
        self,
        load: Callable[[], FrameDetector],
        mailboxes: Mailboxes,
        analyses: Sequence[CameraAnalysis],
        clock: Clock,
    ) -> None:
        self._load = load
        self._mailboxes = mailboxes
        self._analyses = analyses
        self._clock = clock
        self.busy_s = 0.0
        """How long the detector worked altogether."""

    def __call__(self, run: Run) -> None:
        """The thread's body."""
        detector = self._load()
        to_bgr = [VideoReformatter() for _ in self._analyses]
        while not run.stopped:
            run.beat()
            taken = self._mailboxes.take(_WAKE_S)
            if taken is None or run.stopped:
                continue
            camera, candidate = taken
            started_s = self._clock.monotonic_s()
            image = cast(Image, to_bgr[camera].reformat(candidate.image, format="bgr24").to_ndarray())
            seen = detector.detect(image, WEAK_SCORE)
            if not run.stopped:
                self._analyses[camera].see(seen, image, moment_of(candidate.at_s, self._clock))
            self.busy_s += self._clock.monotonic_s() - started_s


def moment_of(at_s: float, clock: Clock) -> Moment:
    """The instant `at_s` (monotonic, a moment ago) by both clocks."""
    return Moment(clock.wall_s() - (clock.monotonic_s() - at_s), at_s)
