"""All of a gateway's cameras: starts their threads, looks after them, and says how they are.

One supervising thread owns every other: one per camera, the detector's and the reporter's. Whatever hangs or crashes in
one is replaced and told as an event; no other camera and no door waits for it.
"""

import random
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from edge.backoff import Backoff
from edge.cameras.watch import OnvifWatch, WatchStatus, WatchTiming
from edge.clock import Clock, now
from edge.observations import Observation, PictureStore, Recorder
from edge.video.analysis import CameraAnalysis
from edge.video.config import CameraConfig, VideoConfig
from edge.video.connection import Timing
from edge.video.detection import Candidate, DetectorLoop, FrameDetector, Mailboxes
from edge.video.errors import VideoError
from edge.video.evidence import EvidenceSource
from edge.video.gears import Gear, GearTiming
from edge.video.packets import PacketSink
from edge.video.reporting import Reporter
from edge.video.rules.surroundings import Surroundings
from edge.video.schedule import Priority, Rate
from edge.video.sightings import SightingSink
from edge.video.source import CameraSource
from edge.video.states import CameraState
from edge.video.tracker import TrackerConfig
from edge.video.worker import Failure, Run, Worker
from models import ModelError, Provider, Runtime, load_detector
from protocols.events import SourceRestarted

_TICK_S = 0.25
_DETECTOR = "video-detector"
_REPORTER = "video-reporter"
_ONVIF_STUCK_S = 90.0
"""Several questions of seconds each may follow each other."""


@dataclass(frozen=True)
class CameraStatus:
    """How one camera is. Counters run from the gateway's start.

    Of the frames that were worth the detector, `frames_replaced` gave way to newer ones and `frames_expired` waited too
    long, for there was not time for all; `rate` is what that came to in the last seconds. `frames_unfollowed` were not
    even glanced at.
    `gear` is None while no pictures come; `main_…` are of the stream that is kept as evidence, if it is another one.
    """

    id: str
    place: str
    state: CameraState
    fault: str | None
    detail: str | None
    faults: dict[str, int]
    connections: int
    restarts: int
    gear: Gear | None
    gear_s: dict[str, float]
    wakes: dict[str, int]
    catch_ups: int
    pictures_caught_up: int
    longest_catch_up_s: float
    onvif: WatchStatus | None
    main_state: CameraState | None
    main_fault: str | None
    main_packets: int
    sink_faults: int
    frames_received: int
    frames_decoded: int
    decode_errors: int
    frames_checked: int
    frames_analysed: int
    frames_replaced: int
    frames_expired: int
    frames_unfollowed: int
    closer_looks: int
    priority: Priority
    rate: Rate
    detections: int
    tracks_confirmed: int
    tracks_live: int
    rule_events: dict[str, int]
    door_news_lost: int


@dataclass(frozen=True)
class VideoStatus:
    """How video is as a whole. `detector_busy_s` is the time the detector worked since the start."""

    cameras: tuple[CameraStatus, ...]
    detector_busy_s: float
    detector_restarts: int
    events: int
    pictures_kept: int
    pictures_lost: int


class VideoService:
    """The cameras of one gateway.

    Args:
        config: the cameras and the detector.
        record: takes events; never blocks.
        pictures: keeps snapshots.
        clock: the gateway's clocks.
        timing: time constants of reading cameras.
        load: makes a detector from its name in the manifest; by default as the configuration says.
        uniform: a random number in [0, 1), for jitter.
        sinks: for cameras by name, who takes the packets of their evidence stream (main if there is one).
        sighted: for cameras by name, who is told of the tracks in each frame that is analysed.
        sub_sinks: likewise, who takes the packets of the stream that is analysed.
        gear_timing: time constants of the gears.
        onvif_timing: time constants of the cameras' own events and clocks.
        surroundings: what the cameras' rules need to know of the site.
    """

    def __init__(
        self,
        config: VideoConfig,
        record: Recorder,
        pictures: PictureStore,
        clock: Clock,
        timing: Timing | None = None,
        load: Callable[[str], FrameDetector] | None = None,
        uniform: Callable[[], float] = random.random,
        sinks: Mapping[str, Sequence[PacketSink]] | None = None,
        sighted: Mapping[str, SightingSink] | None = None,
        sub_sinks: Mapping[str, Sequence[PacketSink]] | None = None,
        gear_timing: GearTiming | None = None,
        onvif_timing: WatchTiming | None = None,
        surroundings: Surroundings | None = None,
    ) -> None:
        self._config = config
        self._record = record
        self._clock = clock
        self._timing = timing if timing is not None else Timing()
        runtime = Runtime(Provider(config.detector.provider), config.detector.threads)
        self._load = load if load is not None else partial(load_detector, runtime=runtime)
        self._uniform = uniform
        self._sinks = sinks if sinks is not None else {}
        self._sub_sinks = sub_sinks if sub_sinks is not None else {}
        self._gear_timing = gear_timing
        self._stop = threading.Event()
        self._supervisor: threading.Thread | None = None
        self._reporter = Reporter(record, pictures)
        self._mailboxes = Mailboxes([camera.priority for camera in config.cameras], clock.monotonic_s)
        self._analyses = [CameraAnalysis(c, self._reporter.post, TrackerConfig(), surroundings) for c in config.cameras]
        for each, analysis in zip(config.cameras, self._analyses, strict=True):
            analysis.sighted = (sighted or {}).get(each.id)
        privacy = [camera.privacy_mask for camera in config.cameras]
        self._detector = DetectorLoop(self._take_detector, self._mailboxes, self._analyses, clock, privacy)
        self._loaded: FrameDetector | None = None
        self._sources = [self._source(i, camera) for i, camera in enumerate(config.cameras)]
        self._camera_workers = [
            self._worker(f"camera-{camera.id}", source, source.stuck)
            for camera, source in zip(config.cameras, self._sources, strict=True)
        ]
        self._evidence = {c.id: self._evidence_source(c) for c in config.cameras if c.main_url is not None}
        self._evidence_workers = [
            self._worker(f"camera-{name}-main", source, source.stuck) for name, source in self._evidence.items()
        ]
        self._watches = {
            camera.id: OnvifWatch(camera, source.wake, clock, self._backoff(), onvif_timing)
            for camera, source in zip(config.cameras, self._sources, strict=True)
            if camera.onvif is not None
        }
        self._watch_workers = [
            Worker(f"camera-{name}-onvif", watch, self._backoff(), clock.monotonic_s, _ONVIF_STUCK_S)
            for name, watch in self._watches.items()
        ]
        self._detector_worker = self._worker(_DETECTOR, self._detector)
        self._reporter_worker = self._worker(_REPORTER, self._reporter)

    def start(self) -> None:
        """Load the detector and start reading. Without cameras nothing is loaded or started.

        Raises:
            VideoError: if the configured detector cannot be loaded.
        """
        if not self._config.cameras:
            return
        try:
            self._loaded = self._load(self._config.detector.model)
        except ModelError as error:
            raise VideoError(str(error)) from error
        for worker in self._workers():
            worker.start()
        self._supervisor = threading.Thread(target=self._supervise, name="video-supervisor", daemon=True)
        self._supervisor.start()

    def stop(self) -> None:
        """Stop reading, tell who left and which cameras go, and return within about 10 s even if a decoder hangs."""
        self._stop.set()
        if self._supervisor is None:
            return
        self._supervisor.join(_TICK_S * 8)
        self._supervisor = None
        until_s = self._clock.monotonic_s() + self._timing.open_s + self._timing.read_s
        ending = (*self._camera_workers, *self._evidence_workers, *self._watch_workers, self._detector_worker)
        for worker in ending:
            worker.stop()
        for worker in ending:
            worker.join(until_s - self._clock.monotonic_s())
        for analysis in self._analyses:
            analysis.lose(now(self._clock))
            analysis.close()
        self._reporter_worker.stop()
        self._reporter.drain(with_pictures=self._reporter_worker.join(2.0))
        for source in self._sources:
            source.stop()
        for evidence in self._evidence.values():
            evidence.stop()

    def wake(self, camera: str, reason: str) -> bool:
        """Something happens at a camera, says its own motion event or a door: watch it. False if there is none such."""
        for config, source in zip(self._config.cameras, self._sources, strict=True):
            if config.id == camera:
                source.wake(reason)
                return True
        return False

    def status(self) -> VideoStatus:
        """How everything is at this moment. Safe to call from any thread, and cheap."""
        return VideoStatus(
            cameras=tuple(self._camera_status(i) for i in range(len(self._sources))),
            detector_busy_s=self._detector.busy_s,
            detector_restarts=self._detector_worker.restarts,
            events=self._reporter.events,
            pictures_kept=self._reporter.pictures_kept,
            pictures_lost=self._reporter.pictures_lost,
        )

    def _workers(self) -> list[Worker]:
        per_camera = (*self._camera_workers, *self._evidence_workers, *self._watch_workers)
        return [*per_camera, self._detector_worker, self._reporter_worker]

    def _source(self, index: int, camera: CameraConfig) -> CameraSource:
        def submit(candidate: Candidate) -> None:
            self._mailboxes.put(index, candidate)

        evidence = () if camera.main_url is not None else self._sinks.get(camera.id, ())
        sinks = (*evidence, *self._sub_sinks.get(camera.id, ()))
        return CameraSource(
            camera, self._analyses[index], submit, self._record, self._clock, self._backoff(), self._timing, sinks,
            self._gear_timing,
        )  # fmt: skip

    def _evidence_source(self, camera: CameraConfig) -> EvidenceSource:
        sinks = self._sinks.get(camera.id, ())
        return EvidenceSource(camera, sinks, self._clock, self._backoff(), self._timing)

    def _backoff(self) -> Backoff:
        return Backoff(self._timing.retry_first_s, self._timing.retry_most_s, self._uniform)

    def _worker(self, name: str, body: Callable[[Run], None], on_stuck: Callable[[], None] = lambda: None) -> Worker:
        return Worker(name, body, self._backoff(), self._clock.monotonic_s, self._timing.stuck_s, on_stuck)

    def _take_detector(self) -> FrameDetector:
        """The detector that was loaded at the start; a new one after a crash."""
        loaded, self._loaded = self._loaded, None
        return loaded if loaded is not None else self._load(self._config.detector.model)

    def _supervise(self) -> None:
        mains = [camera for camera in self._config.cameras if camera.main_url is not None]
        watched = [camera for camera in self._config.cameras if camera.onvif is not None]
        owners = [*self._config.cameras, *mains, *watched, None, None]
        while not self._stop.wait(_TICK_S):
            for camera, worker in zip(owners, self._workers(), strict=True):
                failure = worker.tick()
                if failure is not None:
                    self._tell_restarted(camera, failure)

    def _tell_restarted(self, camera: CameraConfig | None, failure: Failure) -> None:
        """A camera's failure is told of that camera; a shared part's of the part, at the first camera's place."""
        device = failure.worker if camera is None else camera.id
        place = (camera or self._config.cameras[0]).place
        data = SourceRestarted(source=failure.worker, reason=failure.reason, attempt=failure.attempt)
        self._record(Observation(device, place, data, now(self._clock)))

    def _camera_status(self, index: int) -> CameraStatus:
        camera, source, analysis = self._config.cameras[index], self._sources[index], self._analyses[index]
        connection, gears, watched = source.connection, source.gears, source.watched
        evidence = self._evidence.get(camera.id)
        main = evidence.connection if evidence is not None else None
        fault = connection.fault
        tally = self._mailboxes.tally(index)
        return CameraStatus(
            id=camera.id,
            place=camera.place,
            state=source.state,
            fault=None if fault is None else fault.fault.value,
            detail=None if fault is None else fault.detail,
            faults={kind.value: count for kind, count in connection.faults.copy().items()},
            connections=connection.connections,
            restarts=self._camera_workers[index].restarts,
            gear=source.gear,
            gear_s={gear.value: seconds for gear, seconds in gears.gear_s.items()},
            wakes={why.value: count for why, count in gears.wakes.copy().items()},
            catch_ups=watched.catch_ups,
            pictures_caught_up=watched.pictures_caught_up,
            longest_catch_up_s=watched.longest_catch_up_s,
            onvif=self._watches[camera.id].status() if camera.id in self._watches else None,
            main_state=main.state if main is not None else None,
            main_fault=main.fault.fault.value if main is not None and main.fault is not None else None,
            main_packets=evidence.packets if evidence is not None else 0,
            sink_faults=source.feed.faults + (evidence.feed.faults if evidence is not None else 0),
            frames_received=source.frames_received,
            frames_decoded=source.frames_decoded,
            decode_errors=source.decode_errors,
            frames_checked=source.frames_checked,
            frames_analysed=analysis.frames,
            frames_replaced=tally.replaced,
            frames_expired=tally.expired,
            frames_unfollowed=tally.unfollowed,
            closer_looks=self._detector.closer_looks[index],
            priority=camera.priority,
            rate=self._mailboxes.rate(index),
            detections=analysis.detections,
            tracks_confirmed=analysis.tracks_confirmed,
            tracks_live=analysis.followed.live,
            rule_events=analysis.rules.told,
            door_news_lost=analysis.rules.news_lost,
        )
