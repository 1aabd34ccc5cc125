"""Rules on real footage: the demo's clip (PETS 2009, walkers and two parked cars) through our detector and tracker.

One run of 25 s is shared by all. Who crosses what and when was read from the pictures, to the second.
"""

import av
import pytest

from edge.clock import Moment
from edge.video.analysis import WEAK_SCORE, CameraAnalysis, Report
from edge.video.tracker import TrackerConfig
from models import load_detector
from protocols.camera_events import (
    CrowdFormed,
    PersonCrossedLine,
    PersonIntruded,
    PersonLoitered,
    PersonPassedUnbidden,
    VehicleStood,
)
from protocols.event_data import VehicleKind
from tests.edge.video.parts import camera
from tests.edge.video.rules.scenes import Data
from tests.support.rtsp import CLIPS

SECONDS = 25
ZONES = [
    {"id": "z-lamp", "polygon": [[0.46, 0.36], [0.64, 0.36], [0.64, 0.52], [0.46, 0.52]], "classes": []},
    {"id": "z-lawn", "polygon": [[0.0, 0.3], [0.2, 0.3], [0.2, 0.5], [0.0, 0.5]], "classes": []},
    {"id": "z-parking", "polygon": [[0.85, 0.1], [1.0, 0.1], [1.0, 0.25], [0.85, 0.25]], "classes": []},
]
LINES = [{"id": "l-path", "points": [[0.3, 0.7], [0.3, 0.3]], "to_left": "west", "to_right": "east"}]
RULES = [
    {"id": "r-line", "kind": "line_crossing", "line": "l-path"},
    {"id": "r-lawn", "kind": "forbidden", "zone": "z-lawn", "cool_down_s": 0.0},
    {"id": "r-lamp", "kind": "loitering", "zone": "z-lamp", "min_s": 6.0},
    {"id": "r-many", "kind": "crowd", "persons": 6, "min_s": 2.0},
    {"id": "r-fire", "kind": "standing", "zone": "z-parking", "min_s": 10.0},
    {"id": "r-door", "kind": "tailgating", "door": "d-path", "line": "l-path", "direction": "west"},
    {"id": "r-quiet", "kind": "forbidden", "zone": "z-lawn", "hours": ["sat 00:00-24:00"]},
]


@pytest.fixture(scope="module")
def reports() -> list[Report]:
    """What the rules told of the clip's first 25 s, played on a Thursday."""
    told: list[Report] = []
    config = camera(zone=ZONES, line=LINES, rule=RULES)
    analysis = CameraAnalysis(config, told.append, TrackerConfig())
    detector = load_detector("nanodet-g-416x256-int8")
    with av.open(str(CLIPS / "gate-east.mp4")) as clip:
        for number, frame in enumerate(clip.decode(video=0)):
            at_s = number / 10
            if at_s > SECONDS:
                break
            if number % 2 == 0:
                image = frame.to_ndarray(format="bgr24")
                analysis.see(detector.detect(image, WEAK_SCORE), image, Moment(at_s, at_s))
    return told


def of(reports: list[Report], kind: type[Data]) -> list[tuple[float, Data]]:
    """The events of a type with the second at which they were told."""
    return [(report.moment.monotonic_s, report.data) for report in reports if isinstance(report.data, kind)]


def test_three_people_cross_the_line_westwards_and_one_who_turns_before_it_does_not(reports: list[Report]) -> None:
    told = of(reports, PersonCrossedLine)
    assert [at_s for at_s, _ in told] == [pytest.approx(at_s, abs=1.0) for at_s in (17.8, 20.2, 24.6)]
    assert [(each.direction, each.count) for _, each in told] == [("west", 1), ("west", 2), ("west", 3)]
    assert len({each.track for _, each in told}) == 3


def test_the_two_who_walk_on_into_the_forbidden_corner_are_told(reports: list[Report]) -> None:
    told = of(reports, PersonIntruded)
    assert [at_s for at_s, _ in told] == [pytest.approx(at_s, abs=1.0) for at_s in (20.0, 22.2)]
    assert {each.rule for _, each in told} == {"r-lawn"}, "on a Thursday the Saturday's rule is silent"
    assert {each.zone for _, each in told} == {"z-lawn"}
    assert {each.track for _, each in told} <= {each.track for _, each in of(reports, PersonCrossedLine)}


def test_somebody_of_the_group_under_the_lamp_loiters(reports: list[Report]) -> None:
    at_s, told = of(reports, PersonLoitered)[0]
    assert at_s == pytest.approx(7.4, abs=1.5)
    assert told.dwell_s == pytest.approx(6.0, abs=0.5)
    assert told.since.timestamp() == pytest.approx(at_s - told.dwell_s, abs=0.01)


def test_six_people_in_view_are_a_crowd_once(reports: list[Report]) -> None:
    [(at_s, told)] = of(reports, CrowdFormed)
    assert at_s == pytest.approx(6.4, abs=1.5)
    assert told.count >= 6
    assert told.box.right - told.box.left > 0.3


def test_each_of_the_two_parked_cars_is_told_once(reports: list[Report]) -> None:
    told = of(reports, VehicleStood)
    assert [at_s for at_s, _ in told] == [pytest.approx(10.4, abs=1.5)] * 2
    assert {each.kind for _, each in told} <= {VehicleKind.CAR, VehicleKind.TRUCK, VehicleKind.BUS}
    assert all(each.still_s >= 10.0 and each.box.left > 0.8 for _, each in told)


def test_who_comes_through_with_no_card_is_told_when_the_card_would_have_come(reports: list[Report]) -> None:
    [(at_s, told)] = of(reports, PersonPassedUnbidden)
    assert at_s == pytest.approx(20.8, abs=1.0)
    assert (told.persons, told.grants) == (1, 0)


def test_every_event_has_a_picture_of_what_it_tells(reports: list[Report]) -> None:
    assert all(report.picture is not None and report.picture.size > 3 * 50 * 50 for report in reports)
