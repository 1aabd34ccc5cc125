"""The gateway's cameras without their threads, on clips, as fast as the machine can: for figures of quality and memory.

The parts are those of `edge.video.service`, put together in the same way: reading and its times, gears, decoder, motion
gate, scheduler, detector, closer look, tracker, zones, rules and reporter. They take turns in the calling thread, and
time stands still while they compute, so that nothing ever waits for the detector: what overload does is not seen here
(`benchmarks.video_many` shows it), and the same clip gives the same events every time.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from edge.backoff import Backoff
from edge.clock import Moment, now
from edge.observations import PictureStore, Recorder
from edge.video.analysis import CameraAnalysis
from edge.video.config import CameraConfig
from edge.video.connection import Timing
from edge.video.detection import Candidate, DetectorLoop, FrameDetector, Mailboxes
from edge.video.gears import GearTiming
from edge.video.packets import PacketSink
from edge.video.reporting import Reporter
from edge.video.source import CameraSource
from edge.video.tracker import TrackerConfig
from edge.video.worker import Run
from tests.edge.video.parts import WHOLE

STARTS_S = 1_000_000_000.0
"""Where the simulated wall clock begins, seconds since the Unix epoch."""

_LONGEST_STEP_S = 0.25
_IDLE_S = 1.0


class SteppedClock:
    """Both clocks, moved by whoever waits."""

    def __init__(self) -> None:
        self.at_s = 1000.0

    def wall_s(self) -> float:
        return STARTS_S + self.at_s

    def monotonic_s(self) -> float:
        return self.at_s


class SteppedRun(Run):
    """A thread's life in which waiting lets simulated time go by: first everybody else has their turn."""

    def __init__(self, clock: SteppedClock, turn: Callable[[], None]) -> None:
        super().__init__(clock.monotonic_s)
        self._clock = clock
        self._turn = turn

    def pause(self, seconds: float) -> bool:
        until_s = self._clock.at_s + seconds
        self._turn()
        while self._clock.at_s < until_s and not self.stopped:
            self._clock.at_s = min(until_s, self._clock.at_s + _LONGEST_STEP_S)
            self._turn()
        return self.stopped


class _Drained(Mailboxes):
    """Mailboxes that end the detector's turn when they are empty, instead of waiting."""

    run: Run | None = None

    def take(self, timeout_s: float) -> tuple[int, Candidate] | None:
        del timeout_s
        taken = super().take(0.0)
        if taken is None and self.run is not None:
            self.run.stop()
        return taken


class _Passes(Backoff):
    """Lets a camera's clip be read a number of times, a second after it ended."""

    def __init__(self, passes: int) -> None:
        super().__init__(1.0, 1.0, lambda: 0.5)
        self._left = passes
        self.run: Run | None = None

    def next_s(self) -> float:
        self._left -= 1
        if self._left <= 0 and self.run is not None:
            self.run.stop()
        return 1.0 if self._left > 0 else 0.0


@dataclass
class Ways:
    """What a stepped camera is made of, where it is not the gateway's default."""

    analysis: Callable[..., CameraAnalysis] = CameraAnalysis
    timing: GearTiming | None = None
    sinks: Sequence[PacketSink] = ()
    also: Callable[[], None] = lambda: None
    """Called after each step of time."""


class SteppedCamera:
    """One camera of a gateway, on a clip.

    Args:
        camera: what is read (`file:`) and how.
        detector: what finds people and vehicles.
        record: takes events.
        pictures: keeps snapshots.
        clock: moved here.
        passes: how often the clip is read.
        ways: what else is not as in the gateway.
    """

    def __init__(
        self,
        camera: CameraConfig,
        detector: FrameDetector,
        record: Recorder,
        pictures: PictureStore,
        clock: SteppedClock,
        passes: int = 1,
        ways: Ways | None = None,
    ) -> None:
        ways = ways if ways is not None else Ways()
        self.clock = clock
        self._also = ways.also
        self._reporter = Reporter(record, pictures)
        self.analysis = ways.analysis(camera, self._reporter.post, TrackerConfig())
        self.mailboxes = _Drained([camera.priority], clock.monotonic_s)
        self.loop = DetectorLoop(lambda: detector, self.mailboxes, [self.analysis], clock, [camera.privacy_mask])
        self._passes = _Passes(passes)
        self.source = CameraSource(
            camera, self.analysis, partial(self.mailboxes.put, 0), record, clock, self._passes, Timing(),
            ways.sinks, ways.timing,
        )  # fmt: skip
        self._idle_s = clock.at_s

    def play(self) -> None:
        """Read the clip to its end, as often as asked."""
        run = SteppedRun(self.clock, self._turn)
        self._passes.run = run
        self.source(run)
        self._turn()
        self.analysis.lose(now(self.clock))
        self.analysis.close()
        self._reporter.drain(with_pictures=True)
        self.source.stop()

    def stop(self) -> None:
        """End before the clip does; called in a turn."""
        if self._passes.run is not None:
            self._passes.run.stop()

    def _turn(self) -> None:
        """The detector's, the reporter's and all others' turn."""
        if not self.mailboxes.is_empty:
            run = self.mailboxes.run = Run(self.clock.monotonic_s)
            self.loop(run)
            self._idle_s = self.clock.at_s
        elif self.clock.at_s - self._idle_s >= _IDLE_S:
            self._idle_s = self.clock.at_s
            self.analysis.pass_time(Moment(self.clock.wall_s(), self.clock.at_s))
        self._reporter.drain(with_pictures=True)
        self._also()


def bench_camera(clip: Path, **more: object) -> CameraConfig:
    """A camera with one zone over the whole picture, read from a clip."""
    more = {"zone": [{"id": "z-all", "polygon": WHOLE, "classes": ["person", "vehicle"]}], **more}
    return CameraConfig.model_validate({"id": "c-1", "place": "bench", "url": clip.resolve().as_uri(), **more})
