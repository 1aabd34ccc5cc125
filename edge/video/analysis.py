"""What one camera's detections mean: tracks, who is in which zone, what the rules say of it, and the best view of each.

Runs in the detector's thread; the camera's own thread only ends it when the stream is lost. Never waits for a disk.
"""

import threading
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf

import numpy as np
import numpy.typing as npt

from edge.clock import Moment
from edge.video.between import between_two
from edge.video.camera_rules import CameraRules
from edge.video.config import CameraConfig, ObjectClass
from edge.video.rules.config import RuleClass
from edge.video.rules.scene import SceneLook, Sight
from edge.video.rules.surroundings import Surroundings
from edge.video.sightings import Sighting, SightingSink
from edge.video.snapshot import Corners, Image, cut, quality_bound, sharpness
from edge.video.tracker import Seen, Tracker, TrackerConfig
from edge.video.zones import Entered, Left, ZoneWatch, foot_points
from models import Detections, Kind
from protocols.event_data import EventData
from protocols.events import Box, PersonEnteredZone, PersonLeftZone, VehicleEnteredZone, VehicleKind, VehicleLeftZone

WEAK_SCORE = 0.25
"""The detector is asked for boxes from this score on: weak ones keep tracks alive."""

_SURROUNDINGS = 1.0
_CLOSE = 0.25
_BYGONE = 16
"""Tracks that are over whose best view is kept for rules that speak of them a few seconds later."""

_IDLE_S = 1.0
"""After so long without a look the rules are told that time passes."""

_VEHICLES = {
    "bicycle": VehicleKind.BICYCLE,
    "bike": VehicleKind.BICYCLE,
    "motorcycle": VehicleKind.MOTORCYCLE,
    "bus": VehicleKind.BUS,
    "truck": VehicleKind.TRUCK,
}


@dataclass(frozen=True)
class Report:
    """An event's data, still without a picture, and the picture to go with it."""

    camera: CameraConfig
    moment: Moment
    data: EventData
    picture: Image | None


@dataclass(frozen=True)
class Followed:
    """How many confirmed tracks live, whether one is worth another look soon, and how often they all are.

    `still` are the boxes [N,4] of those that stand still, in fractions of the frame.
    """

    live: int = 0
    restless: bool = False
    look_every_s: float = inf
    still: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 4)))


@dataclass
class _Subject:
    """What is remembered of one confirmed track."""

    kind: Kind
    names: Counter[str] = field(default_factory=Counter)
    best: Image | None = None
    quality: float = 0.0
    score: float = 0.0

    @property
    def is_person(self) -> bool:
        return self.kind is Kind.PERSON

    @property
    def object_class(self) -> ObjectClass:
        """What zones call it."""
        return ObjectClass.PERSON if self.is_person else ObjectClass.VEHICLE

    @property
    def vehicle(self) -> VehicleKind:
        """What the detector called it most of the time; a mere "vehicle" counts as a car."""
        return _VEHICLES.get(self.names.most_common(1)[0][0], VehicleKind.CAR)

    @property
    def what(self) -> RuleClass:
        """What rules call it."""
        return RuleClass.PERSON if self.is_person else RuleClass(self.vehicle.value)


def _followed(tracker: Tracker) -> Followed:
    following = tracker.following
    return Followed(len(following.ids), tracker.restless, tracker.look_every_s, following.boxes[list(following.still)])


class CameraAnalysis:
    """Follows what one camera sees. Safe to call from several threads.

    Args:
        camera: its zones, rules and thresholds.
        post: takes reports; must return at once.
        tracking: the tracker's thresholds.
        surroundings: what its rules need to know of the site.
    """

    def __init__(
        self,
        camera: CameraConfig,
        post: Callable[[Report], None],
        tracking: TrackerConfig,
        surroundings: Surroundings | None = None,
    ) -> None:
        self._camera = camera
        self._post = post
        self._tracking = tracking
        self._lock = threading.Lock()
        self._tracker: Tracker | None = None
        self._aspect = 1.0
        self._subjects: dict[int, _Subject] = {}
        self._zones = [(zone, ZoneWatch(zone.polygon)) for zone in camera.zones]
        self._rules = CameraRules(camera, surroundings or Surroundings(), self._tell, self._best_view)
        self._bygone: OrderedDict[int, Image] = OrderedDict()
        self._looked_s = float("-inf")
        self._followed = Followed()
        self.sighted: SightingSink | None = None
        """Who is told of every confirmed track in every frame."""
        self.frames = 0
        self.detections = 0
        self.tracks_confirmed = 0

    @property
    def followed(self) -> Followed:
        """What is being followed now; read by the camera's thread."""
        return self._followed

    @property
    def rules(self) -> CameraRules:
        """The rules, for what the camera's thread shows them and for their counts."""
        return self._rules

    def see(self, detections: Detections, image: Image, moment: Moment) -> Seen:
        """One frame's detections; `image` is the frame, BGR [H,W,3], and may be changed after the call. Says whose
        track each detection belongs to."""
        with self._lock:
            tracker = self._tracker_for(image)
            kinds = detections.kinds.astype(np.intp)
            least = np.where(kinds == Kind.PERSON, self._camera.person_score, self._camera.vehicle_score)
            boxes, scores = detections.boxes.astype(np.float64), detections.scores.astype(np.float64)
            sound = np.asarray(detections.scores >= least)
            people = (kinds == Kind.PERSON).nonzero()[0]
            sound[people] &= ~between_two(boxes[people], scores[people])
            seen = tracker.update(boxes, scores, kinds, sound, moment.monotonic_s)
            self.frames += 1
            self.detections += int(sound.sum())
            self.tracks_confirmed += len(seen.confirmed)
            for track, row in zip(seen.ids, seen.rows, strict=True):
                self._remember(track, detections, row, image)
            self._tell_sighted(seen.ids, seen.rows, detections, moment)
            self._look_at_zones(seen.ids, seen.rows, detections, image, moment)
            self._end(seen.ended, moment)
            self._apply_rules(self._look(seen, detections, moment), image)
            self._followed = _followed(tracker)
            return seen

    def pass_time(self, moment: Moment) -> None:
        """Time passes: what the rules say of that alone, once a second while nothing is analysed."""
        if moment.monotonic_s - self._looked_s >= _IDLE_S:
            with self._lock:
                self._apply_rules(SceneLook(moment, self._held(()), aspect=self._aspect), None)

    def lose(self, moment: Moment) -> None:
        """The camera is away: whoever was followed has left, when last seen."""
        with self._lock:
            if self._tracker is not None:
                self._end(self._tracker.end(), moment)
            self._rules.lose()
            self._followed = Followed()

    def close(self) -> None:
        """Nothing more is analysed."""
        self._rules.close()

    def _tracker_for(self, image: Image) -> Tracker:
        self._aspect = image.shape[1] / image.shape[0]
        if self._tracker is None:
            self._tracker = Tracker(self._aspect, self._tracking)
        return self._tracker

    def _remember(self, track: int, detections: Detections, row: int, image: Image) -> None:
        subject = self._subjects.get(track)
        if subject is None:
            subject = self._subjects[track] = _Subject(Kind(int(detections.kinds[row])))
        subject.names[detections.class_names[int(detections.classes[row])]] += 1
        box, score = _corners(detections, row), float(detections.scores[row])
        subject.score = score
        bound = quality_bound(score, box)
        if bound <= subject.quality:
            return  # it cannot be better, however sharp: spares the measurement
        quality = bound * sharpness(cut(image, box, 0.0))
        if quality > subject.quality:
            subject.quality, subject.best = quality, cut(image, box, _CLOSE)

    def _tell_sighted(
        self, tracks: tuple[int, ...], rows: tuple[int, ...], detections: Detections, moment: Moment
    ) -> None:
        if self.sighted is None or not tracks:
            return
        sightings = [
            Sighting(
                track, self._subjects[track].kind.name.lower(), float(detections.scores[row]), _corners(detections, row)
            )
            for track, row in zip(tracks, rows, strict=True)
        ]
        self.sighted(moment.monotonic_s, sightings)

    def _look_at_zones(
        self, tracks: tuple[int, ...], rows: tuple[int, ...], detections: Detections, image: Image, moment: Moment
    ) -> None:
        points = foot_points(detections.boxes[list(rows)]) if rows else np.zeros((0, 2))
        row_of = dict(zip(tracks, rows, strict=True))
        for zone, watch in self._zones:
            watched = [i for i, track in enumerate(tracks) if self._subjects[track].object_class in zone.classes]
            things = [tracks[i] for i in watched]
            for change in watch.see(things, points[watched], moment.monotonic_s):
                if isinstance(change, Entered):
                    self._tell_entered(zone.id, change, detections, row_of[change.thing], image, moment)
                else:
                    self._tell_left(zone.id, change, moment)

    def _tell_entered(
        self, zone: str, change: Entered, detections: Detections, row: int, image: Image, moment: Moment
    ) -> None:
        corners = _corners(detections, row)
        box = Box(left=corners[0], top=corners[1], right=corners[2], bottom=corners[3])
        score = min(1.0, float(detections.scores[row]))
        subject = self._subjects[change.thing]
        data: EventData
        if subject.is_person:
            data = PersonEnteredZone(zone=zone, track=change.thing, score=score, box=box)
        else:
            data = VehicleEnteredZone(zone=zone, track=change.thing, score=score, box=box, kind=subject.vehicle)
        self._post(Report(self._camera, moment, data, cut(image, corners, _SURROUNDINGS)))

    def _tell_left(self, zone: str, change: Left, moment: Moment) -> None:
        subject = self._subjects[change.thing]
        data: EventData
        if subject.is_person:
            data = PersonLeftZone(zone=zone, track=change.thing, dwell_s=round(change.dwell_s, 3))
        else:
            data = VehicleLeftZone(
                zone=zone, track=change.thing, dwell_s=round(change.dwell_s, 3), kind=subject.vehicle
            )
        self._post(Report(self._camera, moment, data, subject.best))

    def _look(self, seen: Seen, detections: Detections, moment: Moment) -> SceneLook:
        """The frame as rules are given it."""
        began = self._beginnings(seen.confirmed)
        sights = tuple(
            Sight(
                track,
                self._subjects[track].what,
                float(detections.scores[row]),
                _corners(detections, row),
                began=began.get(track),
            )
            for track, row in zip(seen.ids, seen.rows, strict=True)
        )
        return SceneLook(moment, sights + self._held(seen.ids), seen.ended, aspect=self._aspect)

    def _beginnings(self, confirmed: tuple[int, ...]) -> dict[int, Corners]:
        """Where the tracks that are news were first seen."""
        if self._tracker is None or not confirmed:
            return {}
        return {track: _within_frame(box) for track, box in self._tracker.beginnings(confirmed).items()}

    def _held(self, seen: tuple[int, ...]) -> tuple[Sight, ...]:
        """Those that stand still and were not looked for, or are hidden for a moment: they are still there."""
        if self._tracker is None:
            return ()
        following = self._tracker.following
        return tuple(
            Sight(track, subject.what, subject.score, _within_frame(box))
            for track, box, is_still in zip(following.ids, following.boxes, following.still, strict=True)
            if is_still and track not in seen and (subject := self._subjects.get(track)) is not None
        )

    def _apply_rules(self, look: SceneLook, image: Image | None) -> None:
        if not self._rules.is_idle:
            self._looked_s = look.at_s
            self._rules.see(look, image)

    def _tell(self, moment: Moment, data: EventData, picture: Image | None) -> None:
        self._post(Report(self._camera, moment, data, picture))

    def _best_view(self, track: int) -> Image | None:
        subject = self._subjects.get(track)
        return self._bygone.get(track) if subject is None else subject.best

    def _end(self, tracks: tuple[int, ...], moment: Moment) -> None:
        for track in tracks:
            for zone, watch in self._zones:
                left = watch.gone(track)
                if left is not None:
                    self._tell_left(zone.id, left, moment)
            subject = self._subjects.pop(track, None)
            if subject is not None and subject.best is not None:
                self._bygone[track] = subject.best
        while len(self._bygone) > _BYGONE:
            self._bygone.popitem(last=False)


def _corners(detections: Detections, row: int) -> Corners:
    return _within_frame(detections.boxes[row])


def _within_frame(box: npt.NDArray[np.floating]) -> Corners:
    x1, y1, x2, y2 = (min(1.0, max(0.0, float(value))) for value in box)
    return x1, y1, x2, y2
