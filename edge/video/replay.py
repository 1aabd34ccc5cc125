"""One camera's whole pipeline in the calling thread, on a clip or a stream: for trying, tuning and tests.

The parts are the gateway's own (motion gate, attention, detector, tracker, zones, rules); only the threads between them
are left out, so that the same clip gives the same events every time, as fast as the machine can. Writes nothing.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from av.video.frame import VideoFrame

from edge.clock import Moment
from edge.video.address import Address
from edge.video.analysis import WEAK_SCORE, CameraAnalysis, Report
from edge.video.attention import Interest
from edge.video.closer import CloserLook
from edge.video.config import CameraConfig
from edge.video.decoder import Picture
from edge.video.detection import FrameDetector
from edge.video.errors import StreamFault
from edge.video.eye import Eye, luma_of
from edge.video.footage import Footage, bgr_of
from edge.video.masks import black_out
from edge.video.motion import NO_MOTION, Luma, Motion, MotionGate
from edge.video.rules.surroundings import Surroundings
from edge.video.snapshot import Image
from edge.video.tracker import Seen, TrackerConfig
from models import Detections
from protocols.event_data import EventData

USUAL_STEP_S = 0.1
"""What a frame without a sensible time stamp is taken to be after the one before."""

MOST_STEP_S = 30.0
"""A clip whose time stamps leap further than this was cut together: the leap is left out."""


@dataclass(frozen=True)
class Happening:
    """An event, `at_s` seconds after the first frame, and the picture to go with it."""

    at_s: float
    data: EventData
    picture: Image | None


@dataclass(frozen=True)
class Found:
    """What the detector and the tracker made of a frame. Times are wall time in milliseconds."""

    detections: Detections
    seen: Seen
    image: Image
    detect_ms: float
    follow_ms: float


@dataclass(frozen=True)
class Look:
    """What became of one frame.

    `motion` is None in a frame that was not looked at, as more came than are analysed; it is that of the frame before
    where tracks were only followed. `found` is None where the detector was not asked.
    """

    frame: VideoFrame
    at_s: float
    motion: Motion | None = None
    motion_ms: float = 0.0
    found: Found | None = None
    happenings: tuple[Happening, ...] = ()


class Pipeline:
    """One camera's pipeline. Not shared between threads.

    Args:
        camera: its zones and thresholds.
        detector: what finds people and vehicles.
        begins_s: the wall time of second 0, seconds since the Unix epoch, for what has a schedule.
        surroundings: what its rules know of the site. Without doors nobody is ever let in.
    """

    def __init__(
        self,
        camera: CameraConfig,
        detector: FrameDetector,
        begins_s: float = 0.0,
        surroundings: Surroundings | None = None,
    ) -> None:
        self._camera = camera
        self._detector = detector
        self._begins_s = begins_s
        gate = MotionGate(camera.motion_sensitivity, (*camera.motion_mask, *camera.privacy_mask))
        self._eye = Eye(gate, camera.analyses_per_s, camera.busy_looks_per_s)
        self._closer = CloserLook()
        self._reports: list[Report] = []
        self._analysis = CameraAnalysis(camera, self._reports.append, TrackerConfig(), surroundings)
        self._motion = NO_MOTION
        self._last_s = 0.0

    def look(self, frame: VideoFrame, at_s: float) -> Look:
        """Take the next frame, filmed at second `at_s`, which rises from frame to frame."""
        self._last_s = at_s
        if not self._eye.is_due(at_s):
            return Look(frame, at_s)
        began_s = time.perf_counter()
        luma, motion, interest = self._eye.look(Picture(frame, at_s), self._analysis.followed)
        black_out(luma, self._camera.privacy_mask)
        motion_ms = _since_ms(began_s)
        if self._analysis.rules.wants_glance(at_s):
            self._analysis.rules.glance(luma_of(frame), self._moment(at_s))
        found = None
        if interest.is_look:
            found = self._find(frame, luma, motion, at_s)
        elif interest is Interest.FOLLOW:
            self._analysis.glance(luma, partial(self._view, frame), self._moment(at_s))
        self._analysis.pass_time(self._moment(at_s))
        self._motion = self._motion if interest is Interest.FOLLOW else motion
        return Look(frame, at_s, self._motion, motion_ms, found, self._told())

    def end(self) -> tuple[Happening, ...]:
        """No more frames come: what follows from that."""
        self._analysis.lose(self._moment(self._last_s))
        self._analysis.close()
        return self._told()

    def _view(self, frame: VideoFrame) -> Image:
        return black_out(bgr_of(frame), self._camera.privacy_mask)

    def _find(self, frame: VideoFrame, luma: Luma, motion: Motion, at_s: float) -> Found:
        began_s = time.perf_counter()
        image = self._view(frame)
        find = partial(self._detector.detect, floor=WEAK_SCORE)
        detections = find(image)
        both = self._closer.add(find, image, detections, motion.boxes, at_s)
        detections = detections if both is None else both
        detect_ms = _since_ms(began_s)
        began_s = time.perf_counter()
        seen = self._analysis.see(detections, image, self._moment(at_s), luma)
        return Found(detections, seen, image, detect_ms, _since_ms(began_s))

    def _told(self) -> tuple[Happening, ...]:
        happenings = tuple(Happening(each.moment.monotonic_s, each.data, each.picture) for each in self._reports)
        self._reports.clear()
        return happenings

    def _moment(self, at_s: float) -> Moment:
        return Moment(self._begins_s + at_s, at_s)


def address_of(clip: Path) -> Address:
    """What is opened to read a clip."""
    return Address(str(clip.absolute()), "file")


def looks(clip: Path, pipeline: Pipeline) -> Iterator[Look]:
    """Every frame of a clip through the pipeline, times counted from its first frame; `Pipeline.end` is the caller's.

    Raises:
        StreamFault: if it cannot be read.
    """
    times = ClipTimes()
    with Footage(address_of(clip)) as footage:
        for image, stamp_s in footage.frames():
            yield pipeline.look(image, times.place(stamp_s))


def length_s(clip: Path) -> float | None:
    """How long a clip says that it is; None if it does not say, or cannot be read."""
    try:
        with Footage(address_of(clip)) as footage:
            return footage.length_s
    except StreamFault:
        return None


class ClipTimes:
    """Seconds since a clip's first frame, from time stamps that may be absent, repeat or leap."""

    def __init__(self) -> None:
        self._at_s = 0.0
        self._stamp_s: float | None = None
        self._is_first = True

    def place(self, stamp_s: float | None) -> float:
        """When the next frame was filmed."""
        if self._is_first:
            self._is_first = False
        else:
            step_s = USUAL_STEP_S if stamp_s is None or self._stamp_s is None else stamp_s - self._stamp_s
            self._at_s += step_s if 0 < step_s <= MOST_STEP_S else USUAL_STEP_S
        self._stamp_s = stamp_s
        return self._at_s


def _since_ms(began_s: float) -> float:
    return (time.perf_counter() - began_s) * 1000.0
