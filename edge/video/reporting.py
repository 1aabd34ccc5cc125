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
            self._next(_WAKE_S)

    def drain(self) -> None:
        """Record whatever still waits; called when the thread has ended."""
        while self._next(0.0):
            pass

    def _next(self, timeout_s: float) -> bool:
        try:
            report = self._waiting.get(timeout=timeout_s) if timeout_s else self._waiting.get_nowait()
        except queue.Empty:
            return False
        self._tell(report, self._keep(report))
        return True

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
