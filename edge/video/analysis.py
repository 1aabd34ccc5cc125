"""What one camera's detections mean: tracks, who is in which zone, what the rules say of it, and the best view of each.

Runs in the detector's thread; the camera's own thread only ends it when the stream is lost. Never waits for a disk.
"""

import threading
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from math import inf

import numpy as np
import numpy.typing as npt

from edge.clock import Moment
from edge.video.between import between_two
from edge.video.camera_rules import CameraRules
from edge.video.config import CameraConfig, ObjectClass
from edge.video.flow import BoxFlow
from edge.video.motion import Luma
from edge.video.rules.config import RuleClass
from edge.video.rules.scene import SceneLook, Sight
from edge.video.rules.surroundings import Surroundings
from edge.video.sightings import Sighting, SightingSink
from edge.video.snapshot import Corners, Image, View, cut, quality_bound, sharpness
from edge.video.tracker import Following, Seen, Tracker, TrackerConfig
from edge.video.zones import Areas, Entered, Left, ZoneWatch, foot_points
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
    """What is remembered of one confirmed track. `named` and `score` are those of its last look."""

    kind: Kind
    named: int = 0
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


def _newcomer(detections: Detections, row: int, image: Image) -> _Subject:
    """A detection, should its track be confirmed before the next look. Any later view of it counts as a better one."""
    named, kind = int(detections.classes[row]), Kind(int(detections.kinds[row]))
    names, best = Counter([detections.class_names[named]]), cut(image, _corners(detections, row), _CLOSE)
    return _Subject(kind, named, names, best, score=float(detections.scores[row]))


def _followed(tracker: Tracker, following: Following) -> Followed:
    still = following.boxes[list(following.still)]
    return Followed(len(following.ids), tracker.restless, tracker.look_every_s, still)


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
        self._flow = BoxFlow()
        self._aspect = 1.0
        self._class_names: tuple[str, ...] = ()
        self._subjects: dict[int, _Subject] = {}
        self._newcomers: dict[int, _Subject] = {}
        self._zones = [(zone, ZoneWatch(zone.polygon)) for zone in camera.zones]
        self._areas = Areas([zone.polygon for zone in camera.zones])
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

    def see(self, detections: Detections, image: Image, moment: Moment, luma: Luma | None = None) -> Seen:
        """One frame's detections; `image` is the frame, BGR [H,W,3], and may be changed after the call. Says whose
        track each detection belongs to.

        Args:
            detections: what was found in it.
            image: the frame.
            moment: when it was taken.
            luma: its luma, small (`motion.small_luma`), by which tracks are followed from the last frame to this.
        """
        with self._lock:
            tracker = self._tracker_for(image)
            if luma is not None:
                tracker.follow(partial(self._flow.see, luma, moment.monotonic_s), moment.monotonic_s)
            self._class_names = detections.class_names
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
            self._newcomers = {track: _newcomer(detections, row, image) for track, row in seen.unsure}
            self._tell_sighted(seen.ids, seen.rows, detections, moment)
            self._look_at_zones(seen.ids, seen.rows, detections, lambda: image, moment)
            self._end(seen.ended, moment)
            following = tracker.following
            self._apply_rules(self._look(seen, detections, moment, following), lambda: image)
            self._followed = _followed(tracker, following)
            return seen

    def glance(self, luma: Luma, view: View, moment: Moment) -> None:
        """A frame that the detector is not asked about: those who are in sight are followed to where they are now.

        Frames of `see` and of `glance` come in the order of their time.

        Args:
            luma: its luma, small (`motion.small_luma`).
            view: gives the frame, if something is to be told of it.
            moment: when it was taken.
        """
        with self._lock:
            tracker = self._tracker
            if tracker is None:
                return
            tracker.follow(partial(self._flow.see, luma, moment.monotonic_s), moment.monotonic_s)
            confirmed = tracker.confirm_moved()
            self.tracks_confirmed += len(confirmed)
            self._subjects |= {track: self._newcomers.pop(track) for track in confirmed}
            seen, found = self._in_sight(tracker)
            seen = seen._replace(confirmed=confirmed)
            self._tell_sighted(seen.ids, seen.rows, found, moment)
            self._look_at_zones(seen.ids, seen.rows, found, view, moment)
            following = tracker.following
            self._apply_rules(self._look(seen, found, moment, following), view)
            self._followed = _followed(tracker, following)

    def _in_sight(self, tracker: Tracker) -> tuple[Seen, Detections]:
        """Those who are in sight, as if they had been found now with the scores and classes of their last look."""
        ids, boxes = tracker.in_sight
        subjects = [self._subjects[track] for track in ids]
        found = Detections(
            np.clip(boxes, 0.0, 1.0).astype(np.float32),
            np.array([subject.score for subject in subjects], np.float32),
            np.array([subject.kind for subject in subjects], np.int16),
            np.array([subject.named for subject in subjects], np.int16),
            self._class_names,
        )
        return Seen(ids, tuple(range(len(ids))), (), ()), found

    def pass_time(self, moment: Moment) -> None:
        """Time passes: what the rules say of that alone, once a second while nothing is analysed."""
        if moment.monotonic_s - self._looked_s >= _IDLE_S:
            with self._lock:
                held = self._held((), self._tracker.following) if self._tracker is not None else ()
                self._apply_rules(SceneLook(moment, held, aspect=self._aspect), None)

    def lose(self, moment: Moment) -> None:
        """The camera is away: whoever was followed has left, when last seen."""
        with self._lock:
            if self._tracker is not None:
                self._end(self._tracker.end(), moment)
            self._flow.forget()
            self._newcomers.clear()
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
        subject.named = int(detections.classes[row])
        subject.names[detections.class_names[subject.named]] += 1
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
        self, tracks: tuple[int, ...], rows: tuple[int, ...], detections: Detections, view: View, moment: Moment
    ) -> None:
        points = foot_points(detections.boxes[list(rows)]) if rows else np.zeros((0, 2))
        row_of = dict(zip(tracks, rows, strict=True))
        classes = [self._subjects[track].object_class for track in tracks]
        for (zone, watch), held in zip(self._zones, self._areas.hold(points).tolist(), strict=True):
            watched = [i for i, what in enumerate(classes) if what in zone.classes]
            things, within = [tracks[i] for i in watched], [held[i] for i in watched]
            for change in watch.note(things, within, moment.monotonic_s):
                if isinstance(change, Entered):
                    self._tell_entered(zone.id, change, detections, row_of[change.thing], view, moment)
                else:
                    self._tell_left(zone.id, change, moment)

    def _tell_entered(
        self, zone: str, change: Entered, detections: Detections, row: int, view: View, moment: Moment
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
        self._post(Report(self._camera, moment, data, cut(view(), corners, _SURROUNDINGS)))

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

    def _look(self, seen: Seen, detections: Detections, moment: Moment, following: Following) -> SceneLook:
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
        return SceneLook(moment, sights + self._held(seen.ids, following), seen.ended, aspect=self._aspect)

    def _beginnings(self, confirmed: tuple[int, ...]) -> dict[int, Corners]:
        """Where the tracks that are news were first seen."""
        if self._tracker is None or not confirmed:
            return {}
        return {track: _within_frame(box) for track, box in self._tracker.beginnings(confirmed).items()}

    def _held(self, seen: tuple[int, ...], following: Following) -> tuple[Sight, ...]:
        """Those that stand still and were not looked for, or are hidden for a moment: they are still there."""
        return tuple(
            Sight(track, subject.what, subject.score, _within_frame(box))
            for track, box, is_still in zip(following.ids, following.boxes, following.still, strict=True)
            if is_still and track not in seen and (subject := self._subjects.get(track)) is not None
        )

    def _apply_rules(self, look: SceneLook, view: View | None) -> None:
        if not self._rules.is_idle:
            self._looked_s = look.at_s
            self._rules.see(look, view)

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
    x1, y1, x2, y2 = box.tolist()
    if 0.0 <= x1 <= x2 <= 1.0 and 0.0 <= y1 <= y2 <= 1.0:  # nearly always; twice as fast
        return x1, y1, x2, y2
    x1, y1, x2, y2 = (min(1.0, max(0.0, value)) for value in (x1, y1, x2, y2))
    return x1, y1, x2, y2
