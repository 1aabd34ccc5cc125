"""One thread that runs a camera's pipeline for those who watch: its newest picture and figures, for any thread."""

import threading
import time
from dataclasses import asdict
from typing import Any

from edge.tuning.view import View
from edge.video.address import Address
from edge.video.config import CameraConfig
from edge.video.detection import FrameDetector
from edge.video.errors import VideoError
from edge.video.footage import Footage
from edge.video.replay import ClipTimes, Pipeline
from edge.video.rules.surroundings import Surroundings
from edge.video.snapshot import encode

AGAIN_S = 2.0
"""So long after a fault the camera is tried again."""

_MOST_BYTES, _MOST_SIDE = 400_000, 1280
_WAIT_S = 0.5


class TuneSession:
    """Watches a camera or a clip until stopped; a fault is shown, and the camera tried again.

    Args:
        source: what is watched: the camera, or a clip, which is repeated at the speed at which it was filmed.
        begins_s: the wall time of a clip's second 0, for what has a schedule; a camera's is now.
        surroundings: what its rules know of the site.
    """

    def __init__(
        self,
        camera: CameraConfig,
        detector: FrameDetector,
        source: Address,
        begins_s: float,
        surroundings: Surroundings | None = None,
    ) -> None:
        self._camera, self._detector, self._source = camera, detector, source
        self._is_clip = source.scheme == "file"
        self._begins_s = begins_s
        self._surroundings = surroundings
        self._ending = threading.Event()
        self._changed = threading.Condition()
        self._picture: tuple[int, bytes] = (0, b"")
        self._status: dict[str, Any] = {"fault": "connecting"}
        self._thread = threading.Thread(target=self._run, name="tune", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End within seconds."""
        self._ending.set()
        with self._changed:
            self._changed.notify_all()
        self._thread.join(15.0)

    @property
    def stopped(self) -> bool:
        """Whether it is to end."""
        return self._ending.is_set()

    def status(self) -> dict[str, Any]:
        """Figures for the page."""
        return self._status

    def picture_after(self, number: int, timeout_s: float = _WAIT_S) -> tuple[int, bytes]:
        """The newest JPEG and its number, once it is newer than `number`; the same one again if none came in time."""
        with self._changed:
            self._changed.wait_for(lambda: self._picture[0] > number or self._ending.is_set(), timeout_s)
            return self._picture

    def _run(self) -> None:
        view = View(self._camera)
        while not self._ending.is_set():
            fault = "" if self._is_clip else "the stream ended"
            try:
                self._watch(view)
            except VideoError as error:
                fault = str(error)
            if fault:
                self._status = self._figures(view, fault)
                self._ending.wait(AGAIN_S)

    def _watch(self, view: View) -> None:
        """One connection, or one time through a clip."""
        began_s = time.monotonic()
        begins_s = self._begins_s if self._is_clip else time.time()
        view.begin()
        pipeline, times = Pipeline(self._camera, self._detector, begins_s, self._surroundings), ClipTimes()
        with Footage(self._source) as footage:
            asked_s = time.perf_counter()
            for image, stamp_s in footage.frames():
                decode_ms = (time.perf_counter() - asked_s) * 1000
                at_s = times.place(stamp_s) if self._is_clip else time.monotonic() - began_s
                if self._is_clip:
                    self._ending.wait(max(0.0, began_s + at_s - time.monotonic()))
                if self._ending.is_set():
                    return
                shown = view.take(pipeline.look(image, at_s), decode_ms)
                if shown is not None:
                    self._show(encode(shown, _MOST_BYTES, _MOST_SIDE).data, self._figures(view))
                asked_s = time.perf_counter()
            view.tell(pipeline.end())

    def _show(self, jpeg: bytes, status: dict[str, Any]) -> None:
        with self._changed:
            self._status = status
            self._picture = (self._picture[0] + 1, jpeg)
            self._changed.notify_all()

    def _figures(self, view: View, fault: str = "") -> dict[str, Any]:
        return {
            "fault": fault,
            "motion": round(view.motion_share, 4),
            "tracks": view.tracks,
            **{key: round(value, 2) for key, value in asdict(view.costs).items()},
            "news": [f"{each.at_s:.1f} s  {each.text}" for each in view.news],
        }
