"""That time passes is told to the rules while no camera has a frame for the detector."""

import threading
import time

from edge.clock import Moment, SystemClock
from edge.video.detection import DetectorLoop, Mailboxes
from edge.video.schedule import Priority
from edge.video.worker import Run
from tests.edge.video.test_cameras import NothingSeen


class Waiting:
    """Stands for a camera's analysis of which nothing is asked but to let time pass."""

    def __init__(self, stop: threading.Event) -> None:
        self.moments: list[Moment] = []
        self._stop = stop

    def pass_time(self, moment: Moment) -> None:
        self.moments.append(moment)
        if len(self.moments) == 2:
            self._stop.set()


def test_the_detector_that_has_nothing_to_do_tells_that_time_passes() -> None:
    run, enough, clock = Run(time.monotonic), threading.Event(), SystemClock()
    analysis = Waiting(enough)
    loop = DetectorLoop(NothingSeen, Mailboxes([Priority.NORMAL], clock.monotonic_s), [analysis], clock, [()])
    thread = threading.Thread(target=loop, args=(run,))
    thread.start()
    assert enough.wait(30.0)
    run.stop()
    thread.join(30.0)
    assert analysis.moments[0].monotonic_s < analysis.moments[1].monotonic_s <= time.monotonic()
