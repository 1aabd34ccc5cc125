"""Rules on scenes that are drawn for them, frame by frame, through a detector of colours, the tracker and the rules.

The same with our detector, a drawn bicycle and the decoder: `test_drawn_clip.py`.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import cv2
import numpy as np
import pytest

from edge.clock import Moment
from edge.door_news import DoorNews
from edge.observations import Observation
from edge.video.analysis import CameraAnalysis, Report
from edge.video.rules.surroundings import Surroundings
from edge.video.tracker import TrackerConfig
from models import Detections, Kind
from protocols.access_events import AccessGranted, AccessMethod, DoorClosed, DoorOpened, DoorReleased, ReleaseCause
from protocols.camera_events import (
    CameraImpaired,
    PersonPassedUnbidden,
    PersonTailgated,
    SceneFault,
    TwoWheelerInside,
    VehicleLeftBehind,
    VehicleStood,
    VehicleTaken,
)
from protocols.event_data import VehicleKind
from tests.edge.video.parts import camera
from tests.edge.video.rules.scenes import Data

WIDTH, HEIGHT = 320, 240
BACKGROUND = np.random.default_rng(7).integers(60, 120, (HEIGHT // 16, WIDTH // 16, 3), np.uint8).repeat(16, 0)
BACKGROUND = BACKGROUND.repeat(16, 1)
KINDS = {"person": Kind.PERSON, "bicycle": Kind.BICYCLE, "motorcycle": Kind.VEHICLE, "truck": Kind.VEHICLE}
COLOURS = {"person": (0, 0, 255), "bicycle": (0, 255, 0), "motorcycle": (255, 0, 0), "truck": (0, 255, 255)}
SIZES = {"person": (24, 72), "bicycle": (56, 40), "motorcycle": (60, 48), "truck": (120, 96)}


@dataclass(frozen=True)
class Drawn:
    """Something that stands with the middle of its lower side at (x, y), in pixels."""

    what: str
    x: float
    y: float = 200.0


def drawn(things: Iterable[Drawn]) -> np.ndarray:
    picture = BACKGROUND.copy()
    for thing in things:
        width, height = SIZES[thing.what]
        corner = round(thing.x - width / 2), round(thing.y - height)
        cv2.rectangle(picture, corner, (corner[0] + width - 1, corner[1] + height - 1), COLOURS[thing.what], -1)
        dots = slice(corner[1] + 8, corner[1] + height - 8, 6), slice(max(0, corner[0] + 6), corner[0] + width - 6, 6)
        picture[dots] = 0  # something to be sharp
    return picture


def colours_in(picture: np.ndarray) -> Detections:
    """What is drawn, found by its colour alone."""
    names = tuple(KINDS)
    rows = []
    for number, name in enumerate(names):
        mask = cv2.inRange(picture, np.array(COLOURS[name]), np.array(COLOURS[name]))
        count, _, stats, _ = cv2.connectedComponentsWithStats(mask)
        for x, y, width, height, area in stats[1:count]:
            if area > 100:
                rows.append((x / WIDTH, y / HEIGHT, (x + width) / WIDTH, (y + height) / HEIGHT, number))
    table = np.array(rows, np.float64).reshape(-1, 5)
    classes = table[:, 4].astype(np.int16)
    kinds = np.array([KINDS[names[each]] for each in classes], np.int16)
    return Detections(table[:, :4].astype(np.float32), np.full(len(rows), 0.9, np.float32), kinds, classes, names)


class Stage:
    """A drawn scene, looked at five times a second."""

    def __init__(self, *rules: dict[str, Any]) -> None:
        zones = [{"id": "z", "polygon": [[0, 0], [1, 0], [1, 1], [0, 1]], "classes": []}]
        lines = [{"id": "l", "points": [[0.5, 1.0], [0.5, 0.2]], "to_left": "out", "to_right": "in"}]
        config = camera(zone=zones, line=lines, rule=list(rules))
        self.doors = DoorNews(lambda observation: None)
        self.reports: list[Report] = []
        self._analysis = CameraAnalysis(config, self.reports.append, TrackerConfig(), Surroundings(doors=self.doors))
        self.at_s = 0.0

    def play(self, seconds: float, things: Callable[[float], list[Drawn]]) -> None:
        """What `things` draws at each moment, seconds from the beginning of this play."""
        for i in range(round(5 * seconds)):
            self._show(drawn(things(i / 5)))

    def cover(self, seconds: float) -> None:
        """A hand lies on the lens."""
        for _ in range(round(5 * seconds)):
            self._show(np.full_like(BACKGROUND, 90))

    def _show(self, picture: np.ndarray) -> None:
        moment = Moment(self.at_s, self.at_s)
        if self._analysis.rules.wants_glance(self.at_s):
            self._analysis.rules.glance(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY), moment)
        self._analysis.see(colours_in(picture), picture, moment)
        self.at_s = round(self.at_s + 0.2, 3)

    def sleep(self, seconds: float) -> None:
        """Nothing moves, and the detector is not asked."""
        for _ in range(round(seconds)):
            self.at_s += 1.0
            self._analysis.pass_time(Moment(self.at_s, self.at_s))

    def door(self, data: Any) -> None:
        self.doors(Observation("d-east", "gate-east", data, Moment(self.at_s, self.at_s)))

    def of(self, kind: type[Data]) -> list[tuple[float, Data]]:
        return [(each.moment.monotonic_s, each.data) for each in self.reports if isinstance(each.data, kind)]


@pytest.mark.parametrize("what", ["bicycle", "motorcycle"])
def test_a_two_wheeler_that_is_pushed_into_the_lift(what: str) -> None:
    stage = Stage({"id": "r", "kind": "two_wheeler", "zone": "z"})
    stage.play(4.0, lambda s: [])
    stage.play(8.0, lambda s: [Drawn(what, 40 + 20 * s), Drawn("person", 110 + 20 * s)])
    [(at_s, told)] = stage.of(TwoWheelerInside)
    assert at_s == pytest.approx(5.4, abs=0.3), "seen for the third time at 4.4, and a second"
    assert told.kind is VehicleKind(what)
    assert stage.reports[0].picture is not None


def test_a_lorry_that_stops_in_the_fire_lane_and_drives_on() -> None:
    stage = Stage({"id": "r", "kind": "standing", "zone": "z", "min_s": 20.0})

    def lorry(s: float) -> list[Drawn]:
        return [Drawn("truck", 60 + 20 * min(s, 5.0) + 20 * max(0.0, s - 40.0))]

    stage.play(45.0, lorry)
    [(at_s, told)] = stage.of(VehicleStood)
    assert at_s == pytest.approx(5.0 + 20.0, abs=1.5)
    assert told.kind is VehicleKind.TRUCK


def test_a_lorry_that_nobody_looks_at_any_more_still_stands() -> None:
    stage = Stage({"id": "r", "kind": "standing", "zone": "z", "min_s": 40.0})
    stage.play(20.0, lambda s: [Drawn("truck", 100)])
    stage.sleep(30.0)
    [(at_s, told)] = stage.of(VehicleStood)
    assert at_s == pytest.approx(40.0, abs=2.0)
    assert told.still_s == pytest.approx(40.0, abs=2.0)
    assert stage.reports[0].picture is not None, "its best view, for there is no frame"


def test_somebody_who_paused_and_was_not_looked_at_again_is_not_spoken_of() -> None:
    stage = Stage({"id": "r", "kind": "loitering", "zone": "z", "min_s": 10.0})
    stage.play(4.0, lambda s: [Drawn("person", 60 + 20 * s)])
    stage.sleep(60.0)
    assert stage.reports == []


def test_a_bicycle_that_is_left_and_later_taken() -> None:
    stage = Stage(
        {"id": "r-left", "kind": "object_left", "zone": "z", "min_s": 20.0},
        {"id": "r-taken", "kind": "object_taken", "zone": "z", "min_s": 20.0},
    )
    stage.play(4.0, lambda s: [Drawn("bicycle", 80 + 20 * s), Drawn("person", 130 + 20 * s)])
    stage.play(4.0, lambda s: [Drawn("bicycle", 160), Drawn("person", 210 + 25 * s)])  # goes away
    stage.play(30.0, lambda s: [Drawn("bicycle", 160)])
    stage.play(3.0, lambda s: [Drawn("bicycle", 160), Drawn("person", 310 - 40 * s)])  # somebody comes
    taken_s = stage.at_s
    stage.play(4.0, lambda s: [Drawn("bicycle", 160 - 40 * s), Drawn("person", 200 - 40 * s)])
    [(left_s, left)] = stage.of(VehicleLeftBehind)
    [(told_s, taken)] = stage.of(VehicleTaken)
    assert 4.0 + 20.0 < left_s < 8.0 + 20.0 + 6.0
    assert taken_s < told_s < taken_s + 3.0
    assert left.since == taken.since
    assert taken.since.timestamp() == pytest.approx(4.0, abs=1.5)
    assert all(report.picture is not None for report in stage.reports)


def test_what_stands_behind_a_covered_lens_was_not_taken() -> None:
    stage = Stage(
        {"id": "r-taken", "kind": "object_taken", "zone": "z", "min_s": 10.0},
        {"id": "r-lens", "kind": "camera_health", "learn_s": 4.0, "min_s": 4.0},
    )
    stage.play(20.0, lambda s: [Drawn("bicycle", 160)])
    stage.cover(40.0)
    stage.play(20.0, lambda s: [Drawn("bicycle", 160)])
    stage.play(8.0, lambda s: [Drawn("bicycle", 160 - 40 * s)])
    [(covered_s, impaired)] = stage.of(CameraImpaired)
    assert (impaired.fault, covered_s) == (SceneFault.COVERED, pytest.approx(20.0 + 4.0, abs=2.1))
    [(taken_s, _)] = stage.of(VehicleTaken)
    assert taken_s > 80.0, "when it is really taken"


GRANT = AccessGranted(
    reader="r-in", method=AccessMethod.CARD, credential=UUID(int=7 << 76 | 2 << 62), policy_version=1, decision_us=1
)
TAILGATING = {"id": "r", "kind": "tailgating", "door": "d-east", "line": "l", "direction": "in"}


def test_two_people_on_one_card_and_then_one_on_none() -> None:
    stage = Stage(TAILGATING)
    stage.play(12.0, lambda s: [])
    stage.door(GRANT)
    stage.door(DoorOpened(cause=ReleaseCause.CREDENTIAL))
    stage.play(7.0, lambda s: [Drawn("person", 40 + 40 * s), Drawn("person", 40 + 40 * s - 50)])
    stage.door(DoorClosed(open_s=5.0))
    stage.play(20.0, lambda s: [])
    stage.play(7.0, lambda s: [Drawn("person", 20 + 40 * s)])
    stage.play(6.0, lambda s: [])
    [(first_s, tailgated)] = stage.of(PersonTailgated)
    [(second_s, unbidden)] = stage.of(PersonPassedUnbidden)
    assert (tailgated.persons, tailgated.grants, unbidden.persons, unbidden.grants) == (2, 1, 1, 0)
    assert first_s == pytest.approx(12.0 + 4.45 + 3.0, abs=0.7), "the second crosses after 4.25 s, and the margin"
    assert second_s == pytest.approx(39.0 + 3.7 + 3.0, abs=0.7)
    assert all(report.picture is not None for report in stage.reports)


def test_a_family_that_leaves_and_comes_back_while_the_exit_button_s_door_is_open() -> None:
    stage = Stage(TAILGATING)
    stage.play(12.0, lambda s: [])
    stage.door(DoorReleased(cause=ReleaseCause.REQUEST_TO_EXIT))
    stage.door(DoorOpened(cause=ReleaseCause.REQUEST_TO_EXIT))
    stage.play(6.0, lambda s: [Drawn("person", 280 - 40 * s), Drawn("person", 280 - 40 * s + 40)])
    stage.play(6.0, lambda s: [Drawn("person", 40 + 40 * s)])  # forgot the umbrella
    stage.door(DoorClosed(open_s=12.0))
    stage.play(6.0, lambda s: [])
    assert stage.reports == []
