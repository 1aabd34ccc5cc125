"""Keeping video as a part of the gateway: a ring for each camera, one thread that writes, and what people ask of it.

The cameras' threads only put packets into rings. The writer looks after open clips first, then continuous recording,
then deletes what is past its time; a slow disk therefore costs recordings before clips, and never an event.
"""

import contextlib
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from edge.clock import Clock, now
from edge.counters import Counters
from edge.keeping.clips import CLIPS, DISK_ERRORS, ClipMaker, Seen, nothing_earlier, recover_clips
from edge.keeping.config import MIB, KeepingSection
from edge.keeping.errors import KeepingError
from edge.keeping.index import CLIP_GRADES, FILM_GRADES, Grade, Hold, KeepingIndex, Usage
from edge.keeping.recording import Recorder, adopt_strays, recover_recordings
from edge.keeping.retention import CameraLimits, Forecast, Retention, free_bytes
from edge.keeping.ring import CameraRing, RingStatus
from edge.keeping.tap import Tap, Want
from edge.keeping.wants import Boxes, ClipEvent, Extent, Planner
from edge.observations import Observation
from edge.observations import Recorder as EventRecorder
from edge.video.packets import PacketSink
from edge.worker import Worker
from protocols.clip_events import KeepingChanged, KeepingLevel

if TYPE_CHECKING:
    from edge.video.sightings import SightingSink

_log = logging.getLogger(__name__)

_TURN_S = 0.2
_LOOK_AT_DISK_S = 5.0
_SLACK_S = 15.0
"""Beyond the seconds before an event, packets stay in memory for so long: analysis takes time, and so does a disk."""
_GRADES_AT = {
    KeepingLevel.ALL: frozenset(Grade),
    KeepingLevel.NO_RECORDING: frozenset({Grade.ORDINARY, Grade.ALARM}),
    KeepingLevel.ALARMS_ONLY: frozenset({Grade.ALARM}),
    KeepingLevel.NO_CLIPS: frozenset(),
    KeepingLevel.NOTHING: frozenset(),
}


@dataclass(frozen=True)
class KeptCamera:
    """A camera as this package needs to know it. `choice` is `continuous`, `events` or `none`.

    `unmasked`: it has privacy masks that it does not apply itself, so its stream shows what they hide.
    """

    id: str
    place: str
    choice: str = "events"
    days: float | None = None
    quota_bytes: int | None = None
    unmasked: bool = False


@dataclass(frozen=True)
class KeepingStatus:
    """How keeping is. `fault` names why nothing can be written; None: it can."""

    level: KeepingLevel
    fault: str | None
    free_bytes: int
    forecast: Forecast
    usage: Mapping[Grade, Usage]
    rings: Mapping[str, RingStatus]
    open_clips: int
    waiting_clips: int
    recording_faults: Mapping[str, str]

    @property
    def is_well(self) -> bool:
        """Whether everything that is to be kept is."""
        return self.level is KeepingLevel.ALL and self.fault is None and not self.recording_faults


@dataclass
class _Camera:
    config: KeptCamera
    ring: CameraRing
    boxes: Boxes = field(default_factory=Boxes)
    clips: ClipMaker | None = None
    recorder: Recorder | None = None


class Keeping:
    """A part of the daemon. `sink` and `tap` work from the beginning, also while the writer does not.

    Args:
        index_file: the SQLite file.
        folder: of the video; may be another disk.
        record: the outbox.
        new_id: makes UUIDv7.
        own: the gateway's id and place, for events about itself.
        cameras_of: device id -> the cameras that see it.
        free: what may still be written to the disk of a folder.
    """

    def __init__(
        self,
        section: KeepingSection,
        cameras: Sequence[KeptCamera],
        cameras_of: Mapping[str, Sequence[str]],
        index_file: Path,
        folder: Path,
        record: EventRecorder,
        new_id: Callable[[], UUID],
        own: Seen,
        clock: Clock,
        counters: Counters,
        free: Callable[[Path], int] = free_bytes,
    ) -> None:
        self._section, self._index_file, self._folder = section, index_file, folder
        self._record, self._own, self._clock, self._counters, self._free = record, own, clock, counters, free
        quota_bytes = section.ring_mib * MIB // max(len(cameras), 1)
        kept = [camera for camera in cameras if camera.choice != "none"]
        keep_s = section.before_s + _SLACK_S
        self._cameras = {camera.id: _Camera(camera, CameraRing(quota_bytes, keep_s)) for camera in kept}
        seen_by = {
            device: tuple(camera for camera in seeing if camera in self._cameras)
            for device, seeing in cameras_of.items()
        }
        self._wake = threading.Event()
        self.tap = Tap(record, new_id, section.wanted_types(), seen_by, counters, self._wake.set)
        self._index: KeepingIndex | None = None
        self._retention: Retention | None = None
        self._fault: str | None = None
        self._next_look_s = float("-inf")
        self._told_level = KeepingLevel.ALL
        self._worker = Worker("keeping", self._run)
        self._listeners: list[Callable[[], None]] = []

    # --- for everybody ---

    def sink(self, camera: str) -> PacketSink | None:
        """Where a camera's packets go; None if nothing of it is kept."""
        found = self._cameras.get(camera)
        return found.ring if found is not None else None

    def sighted(self) -> "Mapping[str, SightingSink]":
        """Camera id -> who is told of the tracks in its frames, for the clips' side files."""
        return {name: camera.boxes for name, camera in self._cameras.items()}

    def on_clip(self, listener: Callable[[], None]) -> None:
        """Call `listener` from the writer's thread after clips were kept; it must not block."""
        self._listeners.append(listener)

    @property
    def index(self) -> KeepingIndex | None:
        """The index, while it is open."""
        return self._index

    @property
    def level(self) -> KeepingLevel:
        """What is kept at present."""
        return self._retention.level if self._retention is not None else KeepingLevel.ALL

    @property
    def keeps_pictures(self) -> bool:
        """Whether the disk has room for snapshots."""
        return self.level is not KeepingLevel.NOTHING

    def hold(self, hold: Hold) -> None:
        """Protect what a case needs, from now on and for what is still to be kept.

        Raises:
            KeepingError: if the index is not open.
            sqlite3.Error: if the disk refuses.
        """
        self._opened().hold(hold)

    def end_hold(self, hold_id: str) -> bool:
        """End a hold; whether there was one. Raises as `hold` does."""
        return self._opened().end_hold(hold_id)

    def status(self) -> KeepingStatus:
        index, retention = self._index, self._retention
        forecast, usage, waiting = Forecast(0.0, None, None), {}, 0
        if index is not None and retention is not None:
            with contextlib.suppress(*DISK_ERRORS):
                forecast = retention.forecast()
                usage = {grade: index.usage(grades=(grade,)) for grade in Grade}
                waiting = len(index.to_send(1000))
        cameras = self._cameras.values()
        return KeepingStatus(
            level=self.level,
            fault=self._fault,
            free_bytes=retention.free_bytes if retention is not None else 0,
            forecast=forecast,
            usage=usage,
            rings={camera.config.id: camera.ring.status() for camera in cameras},
            open_clips=sum(camera.clips.open_clips for camera in cameras if camera.clips is not None),
            waiting_clips=waiting,
            recording_faults={
                camera.config.id: camera.recorder.fault
                for camera in cameras
                if camera.recorder is not None and camera.recorder.fault is not None
            },
        )

    # --- for the supervisor ---

    def start(self) -> None:
        """Open the index, look after what a crash left, and begin writing.

        Raises:
            KeepingError, OSError: if the disk or the index cannot be used; the supervisor tries again.
        """
        if self._worker.is_alive:
            return
        if self._index is None:
            try:
                self._open()
            except (KeepingError, *DISK_ERRORS) as error:
                self._fault = str(error)
                raise
        self._fault = None
        self._worker.start()

    def stop(self, timeout_s: float = 5.0) -> bool:
        """Finish the files in hand; whether that was done in time."""
        self._worker.ask_to_stop()
        self._wake.set()
        stopped = self._worker.stop(timeout_s)
        if stopped and self._index is not None:
            index, self._index = self._index, None
            index.close()
        return stopped

    @property
    def failure(self) -> str | None:
        return self._worker.failure

    # --- the writer ---

    def _opened(self) -> KeepingIndex:
        if self._index is None:
            raise KeepingError(self._fault or "video is not kept at present")
        return self._index

    def _open(self) -> None:
        index = KeepingIndex(self._index_file, self._folder)
        try:
            self._check(index)
        except DISK_ERRORS:
            index.close()
            raise
        limits = [CameraLimits(c.config.id, c.config.days, c.config.quota_bytes) for c in self._cameras.values()]
        retention = Retention(self._section, limits, index, self._clock, self._counters, self._free)
        extent = Extent(self._section.before_s, self._section.after_s, self._section.longest_s)
        for camera in self._cameras.values():
            seen = Seen(camera.config.id, camera.config.place, camera.config.unmasked)
            recorder = camera.recorder = self._recorder(camera, index)
            camera.clips = ClipMaker(
                seen, camera.ring, Planner(seen.id, extent), index, self._record, self._clock, self._counters,
                self._may_keep, camera.boxes, recorder.earlier if recorder is not None else nothing_earlier,
            )  # fmt: skip
        self._index, self._retention = index, retention

    def _recorder(self, camera: _Camera, index: KeepingIndex) -> Recorder | None:
        """What writes all of a camera's packets to disk, if that is wanted: to be kept, or to lengthen the ring."""
        is_continuous = camera.config.choice == "continuous"
        if not is_continuous and not self._section.spill_mib:
            return None
        grade = Grade.RECORDING if is_continuous else Grade.RING
        return Recorder(
            camera.config.id, grade, camera.ring, index, self._section.segment_s, self._clock, self._counters,
            lambda: self._may_keep(grade),
        )  # fmt: skip

    def _check(self, index: KeepingIndex) -> None:
        """Make index and folder agree: finish what was in hand, drop rows without files, take up files without rows."""
        unfinished = index.unfinished()
        recordings = [piece for piece in unfinished if piece.grade in FILM_GRADES]
        clips = [piece for piece in unfinished if piece.grade in CLIP_GRADES]
        recover_recordings(index, recordings, self._counters)
        recover_clips(index, clips, self._record, self._clock, self._counters)
        for piece in index.all_kept():
            if not (index.folder / piece.path).is_file():
                index.remove(piece.id)
                self._counters.add("kept_files_missing")
        adopt_strays(index, self._counters)
        known = {piece.id for piece in index.all_kept()}
        for path in (index.folder / CLIPS).glob("*"):
            if path.stem not in known:
                path.unlink(missing_ok=True)
                self._counters.add("clips_strays_removed")

    def _run(self, stopping: threading.Event) -> None:
        while not stopping.is_set():
            self._wake.wait(_TURN_S)
            self._wake.clear()
            self._turn()
        self._turn(ending=True)

    def _turn(self, *, ending: bool = False) -> None:
        if self._clock.monotonic_s() >= self._next_look_s:
            self._look_at_disk()
        for want in self.tap.take():
            self._plan(want)
        for camera in self._cameras.values():
            if camera.clips is not None:
                before = camera.clips.open_clips
                camera.clips.advance(ending=ending)
                if camera.clips.open_clips < before:
                    self._tell_listeners()
        for camera in self._cameras.values():
            if camera.recorder is not None:
                camera.recorder.advance(ending=ending)

    def _plan(self, want: Want) -> None:
        for name in want.cameras:
            clips = self._cameras[name].clips
            if clips is None:
                continue
            if want.observation.device == name:
                clips.traces.note(want.event_id, want.observation)
            if not want.is_trigger:
                continue
            plan = clips.planner.want(ClipEvent.of(want.event_id, want.observation))
            if plan is None:
                self._counters.add("clips_too_many_open")
            else:
                clips.pin(plan)

    def _look_at_disk(self) -> None:
        self._next_look_s = self._clock.monotonic_s() + _LOOK_AT_DISK_S
        if self._retention is None:
            return
        try:
            self._retention.run()
            self._fault = None
        except DISK_ERRORS as error:
            self._counters.add("keeping_disk_errors")
            self._fault = str(error)
            return
        if self._retention.level is not self._told_level:
            self._tell_level(self._retention)

    def _tell_level(self, retention: Retention) -> None:
        self._told_level = retention.level
        free_mib, floor_mib = retention.free_bytes // MIB, self._section.free_mib
        detail = f"{free_mib} MiB free on the disk with the video; {floor_mib} MiB are to stay free"
        _log.warning("what is kept changed", extra={"level": retention.level.value, "free_mib": free_mib})
        self._counters.add("keeping_level_changes")
        data = KeepingChanged(level=retention.level, free_bytes=retention.free_bytes, detail=detail)
        self._record(Observation(self._own.id, self._own.place, data, now(self._clock)))

    def _may_keep(self, grade: Grade) -> bool:
        return grade in _GRADES_AT[self.level]

    def _tell_listeners(self) -> None:
        for listener in self._listeners:
            listener()


def cameras_by_device(cameras: Sequence[KeptCamera], places: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Which cameras are concerned by each device's events: a camera itself; a door's or reader's place's cameras.

    Args:
        places: door or reader id -> place.
    """
    found: dict[str, tuple[str, ...]] = {camera.id: (camera.id,) for camera in cameras}
    for device, place in places.items():
        found[device] = tuple(camera.id for camera in cameras if camera.place == place)
    return found
