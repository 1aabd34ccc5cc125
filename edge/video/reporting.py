"""Reports become observations: the picture is encoded and kept, then recorded; in an own thread, for disks are slow.

The queue is bounded. When it is full the event is recorded at once without its picture (counted): a picture may be
lost, an event may not.
"""

import queue

from edge.observations import Observation, PictureStore, Recorder
from edge.video.analysis import Report
from edge.video.snapshot import encode
from edge.video.worker import Run
from protocols.events import Snapshot

MOST_WAITING = 64
_WAKE_S = 0.5


class Reporter:
    """Records what cameras report. `post` may be called from any thread and returns at once."""

    def __init__(self, record: Recorder, pictures: PictureStore) -> None:
        self._record = record
        self._pictures = pictures
        self._waiting: queue.Queue[Report] = queue.Queue(MOST_WAITING)
        self.events = 0
        self.pictures_kept = 0
        self.pictures_lost = 0
        """Events recorded without their picture: the queue or the store was full, or the disk refused."""

    def post(self, report: Report) -> None:
        """Take a report; without its picture if too many wait."""
        try:
            self._waiting.put_nowait(report)
        except queue.Full:
            self.pictures_lost += report.picture is not None
            self._tell(report, None)

    def __call__(self, run: Run) -> None:
        """The thread's body; what waits when it is stopped is still recorded."""
        while not run.stopped:
            run.beat()
            report = self._take(_WAKE_S)
            if report is not None:
                self._tell(report, self._keep(report))

    def drain(self, with_pictures: bool) -> None:
        """Record at once whatever still waits, when the thread has ended or, without pictures, hangs at the disk."""
        while (report := self._take(0.0)) is not None:
            if with_pictures:
                self._tell(report, self._keep(report))
            else:
                self.pictures_lost += report.picture is not None
                self._tell(report, None)

    def _take(self, timeout_s: float) -> Report | None:
        try:
            return self._waiting.get(timeout=timeout_s) if timeout_s else self._waiting.get_nowait()
        except queue.Empty:
            return None

    def _keep(self, report: Report) -> Snapshot | None:
        if report.picture is None:
            return None
        jpeg = encode(report.picture)
        kept = self._pictures.keep(jpeg.data, jpeg.width, jpeg.height)
        if kept is None:
            self.pictures_lost += 1
        else:
            self.pictures_kept += 1
        return kept

    def _tell(self, report: Report, snapshot: Snapshot | None) -> None:
        data = report.data if snapshot is None else report.data.model_copy(update={"snapshot": snapshot})
        self.events += 1
        self._record(Observation(report.camera.id, report.camera.place, data, report.moment))
