"""What detections become: events with zones, kinds, times and pictures."""

import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.clock import Moment
from edge.video.analysis import CameraAnalysis, Report
from edge.video.config import CameraConfig
from edge.video.reporting import MOST_WAITING, Reporter
from edge.video.sightings import Sighting
from edge.video.tracker import TrackerConfig
from edge.video.worker import Run
from models import Kind
from protocols.camera_events import PersonCrossedLine
from protocols.events import (
    PersonEnteredZone,
    PersonLeftZone,
    VehicleEnteredZone,
    VehicleKind,
    VehicleLeftZone,
)
from tests.edge.video.parts import PictureFolder, Recording, camera, detections

IMAGE = np.random.default_rng(1).integers(0, 255, (288, 384, 3), dtype=np.uint8)
LEFT_HALF = [{"id": "z-left", "polygon": [[0, 0], [0.5, 0], [0.5, 1], [0, 1]]}]


class Scene:
    """An analysis fed at 5 frames a second from scripted detections."""

    def __init__(self, config: CameraConfig) -> None:
        self.reports: list[Report] = []
        self.analysis = CameraAnalysis(config, self.reports.append, TrackerConfig())
        self.at_s = 100.0

    def see(
        self, *rows: tuple[Kind, float, tuple[float, float, float, float]], names: dict[Kind, str] | None = None
    ) -> None:
        self.analysis.see(detections(*rows, names=names), IMAGE, Moment(1e9 + self.at_s, self.at_s))
        self.at_s += 0.2


def person(x: float, score: float = 0.8, foot: float = 0.8) -> tuple[Kind, float, tuple[float, float, float, float]]:
    return Kind.PERSON, score, (x - 0.05, foot - 0.3, x + 0.05, foot)


def test_a_person_who_walks_through_a_zone_enters_and_leaves_it_once() -> None:
    scene = Scene(camera(zone=LEFT_HALF))
    for i in range(40):
        scene.see(person(0.1 + 0.02 * i))
    entered, left = [report.data for report in scene.reports]
    assert isinstance(entered, PersonEnteredZone)
    assert isinstance(left, PersonLeftZone)
    assert (entered.zone, entered.track, left.track) == ("z-left", 1, 1)
    assert scene.reports[0].moment.monotonic_s == 100.4  # at the third detection
    assert 3.4 <= left.dwell_s <= 3.8  # from 100.4 to the frame at which x passes 0.5, about 104
    assert all(report.picture is not None for report in scene.reports)


def test_who_is_lost_leaves_though_nothing_more_is_seen() -> None:
    scene = Scene(camera())
    for _ in range(5):
        scene.see(person(0.5))
    for _ in range(20):
        scene.see()
    assert [type(report.data) for report in scene.reports] == [PersonEnteredZone, PersonLeftZone]
    assert scene.analysis.followed.live == 0


def test_every_confirmed_track_of_every_frame_is_told_to_who_keeps_it() -> None:
    scene = Scene(camera(zone=[]))
    told: list[tuple[float, Sequence[Sighting]]] = []
    scene.analysis.sighted = lambda at_s, sightings: told.append((at_s, sightings))
    for _ in range(6):
        scene.see(person(0.3), person(0.7))
    scene.see()
    assert [len(sightings) for _, sightings in told] == [2] * len(told)
    assert 3 <= len(told) <= 6
    one = told[-1][1][0]
    assert (one.kind, round(sum(one.box[::2]) / 2, 1) in (0.3, 0.7)) == ("person", True)
    assert {each.track for each in told[-1][1]} == {1, 2}


def test_a_lost_stream_ends_every_visit() -> None:
    scene = Scene(camera())
    for _ in range(5):
        scene.see(person(0.3), person(0.7))
    scene.analysis.lose(Moment(1e9, scene.at_s))
    assert [type(report.data) for report in scene.reports[2:]] == [PersonLeftZone, PersonLeftZone]


def test_vehicles_are_told_with_what_the_detector_calls_them() -> None:
    scene = Scene(camera())
    box = (0.2, 0.5, 0.5, 0.8)
    for name in ("truck", "car", "truck", "truck"):
        scene.see((Kind.VEHICLE, 0.38, box), names={Kind.VEHICLE: name})
    scene.analysis.lose(Moment(1e9, scene.at_s))
    entered, left = [report.data for report in scene.reports]
    assert isinstance(entered, VehicleEnteredZone)
    assert isinstance(left, VehicleLeftZone)
    assert left.kind is VehicleKind.TRUCK


def test_bicycles_are_vehicles() -> None:
    scene = Scene(camera())
    for _ in range(3):
        scene.see((Kind.BICYCLE, 0.6, (0.2, 0.5, 0.5, 0.8)))
    assert [getattr(report.data, "kind", None) for report in scene.reports] == [VehicleKind.BICYCLE]


def test_a_zone_reports_only_its_classes_and_a_camera_only_its_scores() -> None:
    only_vehicles = [{"id": "z", "polygon": [[0, 0], [1, 0], [1, 1], [0, 1]], "classes": ["vehicle"]}]
    scene = Scene(camera(zone=only_vehicles))
    strict = Scene(camera(person_score=0.9))
    for _ in range(10):
        scene.see(person(0.5))
        strict.see(person(0.5))
    assert (scene.reports, strict.reports) == ([], [])
    assert (scene.analysis.tracks_confirmed, strict.analysis.tracks_confirmed) == (1, 0)


def test_the_left_event_carries_the_best_view() -> None:
    scene = Scene(camera())
    sizes = [0.1, 0.2, 0.3, 0.4, 0.3, 0.2]
    for size in sizes:
        scene.see((Kind.PERSON, 0.8, (0.5 - size / 4, 0.5 - size / 2, 0.5 + size / 4, 0.5 + size / 2)))
    scene.analysis.lose(Moment(1e9, scene.at_s))
    best = scene.reports[-1].picture
    assert best is not None
    assert abs(best.shape[0] - 288 * 0.4 * 1.5) <= 2


def reporter(tmp_path: Path) -> tuple[Reporter, Recording, PictureFolder]:
    recording, pictures = Recording(), PictureFolder(tmp_path)
    return Reporter(recording, pictures), recording, pictures


def report() -> Report:
    data = PersonLeftZone(zone="z", track=1, dwell_s=1.0)
    return Report(camera(), Moment(1e9, 1.0), data, IMAGE[:100, :80].copy())


def test_a_report_becomes_an_event_with_its_picture_on_disk(tmp_path: Path) -> None:
    one, recording, _ = reporter(tmp_path)
    one.post(report())
    one.drain(with_pictures=True)
    (left,) = recording.of(PersonLeftZone)
    assert left.snapshot is not None
    assert cv2.imread(str(tmp_path / left.snapshot.sha256)).shape == (left.snapshot.height, left.snapshot.width, 3)
    assert recording.observations[0].device == "c-east"


def test_a_full_store_costs_the_picture_and_not_the_event(tmp_path: Path) -> None:
    one, recording, pictures = reporter(tmp_path)
    pictures.full = True
    one.post(report())
    one.drain(with_pictures=True)
    assert [left.snapshot for left in recording.of(PersonLeftZone)] == [None]
    assert (one.events, one.pictures_lost) == (1, 1)


def test_a_full_queue_records_at_once_without_pictures(tmp_path: Path) -> None:
    one, recording, _ = reporter(tmp_path)
    for _ in range(MOST_WAITING + 5):
        one.post(report())
    assert [left.snapshot for left in recording.of(PersonLeftZone)] == [None] * 5
    one.drain(with_pictures=True)
    assert len(recording.of(PersonLeftZone)) == MOST_WAITING + 5
    assert (one.pictures_kept, one.pictures_lost) == (MOST_WAITING, 5)


def test_a_stopped_reporter_takes_no_more_turns(tmp_path: Path) -> None:
    one, recording, _ = reporter(tmp_path)
    run = Run(time.monotonic)
    run.stop()
    one.post(report())
    one(run)
    assert recording.observations == []


def test_when_the_disk_hangs_the_waiting_events_are_recorded_without_pictures(tmp_path: Path) -> None:
    one, recording, _ = reporter(tmp_path)
    one.post(report())
    one.drain(with_pictures=False)
    assert [left.snapshot for left in recording.of(PersonLeftZone)] == [None]
    assert one.pictures_lost == 1


PLACE = np.random.default_rng(2).integers(60, 200, (50, 50), np.uint8).repeat(4, 0).repeat(4, 1)
FIGURE = np.random.default_rng(3).integers(0, 255, (15, 5), np.uint8).repeat(4, 0).repeat(4, 1)


def luma(x: float) -> np.ndarray:
    """A square place with somebody in `person(x)`'s box, as wide and as high as it."""
    drawn, left = PLACE.copy(), round((x - 0.05) * 200)
    drawn[100:160, left : left + 20] = FIGURE
    return drawn


def test_who_is_seen_to_go_by_the_picture_alone_leaves_zones_and_crosses_lines_when_he_does() -> None:
    line = {"id": "l-1", "points": [[0.6, 1.0], [0.6, 0.0]], "to_left": "in", "to_right": "out"}
    rule = {"id": "r-1", "kind": "line_crossing", "line": "l-1"}
    reports: list[Report] = []
    analysis = CameraAnalysis(camera(zone=LEFT_HALF, line=[line], rule=[rule]), reports.append, TrackerConfig())
    square, views = np.zeros((200, 200, 3), np.uint8), []
    sighted: list[tuple[float, tuple[float, ...]]] = []
    analysis.sighted = lambda at_s, seen: sighted.extend((at_s, each.box) for each in seen)

    def view() -> np.ndarray:
        views.append(square)
        return square

    for i in range(30):
        x, moment = 0.2 + 0.02 * i, Moment(1e9 + i / 5, 100 + i / 5)
        if i < 6 or i % 4 == 0:
            analysis.see(detections(person(x)), square, moment, luma(x))
        else:
            analysis.glance(luma(x), view, moment)
    crossed = [report for report in reports if isinstance(report.data, PersonCrossedLine)]
    assert [report.data.direction for report in crossed] == ["out"]
    assert crossed[0].moment.monotonic_s == pytest.approx(100 + 22 / 5, abs=0.21)  # 0.03 beyond the line, at x 0.64
    assert sum(isinstance(report.data, PersonLeftZone) for report in reports) == 1
    assert len(sighted) == 28, "in every frame from the third on"
    for at_s, (left, _, right, _) in sighted:
        assert (left + right) / 2 == pytest.approx(0.2 + 0.02 * 5 * (at_s - 100), abs=0.02)
    assert len(views) <= 1, "pictures are made only for what is told"


def test_a_newcomer_seen_to_go_after_one_look_is_told_at_once_with_his_line_and_a_picture() -> None:
    line = {"id": "l-1", "points": [[0.24, 1.0], [0.24, 0.0]], "to_left": "in", "to_right": "out"}
    rule = {"id": "r-1", "kind": "line_crossing", "line": "l-1"}
    reports: list[Report] = []
    analysis = CameraAnalysis(camera(zone=LEFT_HALF, line=[line], rule=[rule]), reports.append, TrackerConfig())
    square = np.zeros((200, 200, 3), np.uint8)
    analysis.see(detections(person(0.2)), square, Moment(1e9, 100.0), luma(0.2))
    assert (reports, analysis.followed.live) == ([], 0)
    for i in range(1, 4):
        x, moment = 0.2 + 0.03 * i, Moment(1e9 + i / 5, 100 + i / 5)
        analysis.glance(luma(x), lambda: square, moment)
    analysis.lose(Moment(1e9 + 1, 101.0))
    entered, crossed, left = [report.data for report in reports]
    assert isinstance(entered, PersonEnteredZone)
    assert isinstance(crossed, PersonCrossedLine)
    assert isinstance(left, PersonLeftZone)
    assert reports[0].moment.monotonic_s <= 100.41
    assert entered.score == pytest.approx(0.8)
    assert crossed.direction == "out"
    assert all(report.picture is not None for report in reports)
    assert analysis.tracks_confirmed == 1


def test_a_glance_before_any_look_or_after_the_camera_was_away_tells_nothing() -> None:
    scene = Scene(camera(zone=LEFT_HALF))
    scene.analysis.glance(luma(0.2), lambda: IMAGE, Moment(1e9, 99.0))
    for i in range(5):
        scene.see(person(0.2 + 0.02 * i))
    scene.analysis.lose(Moment(1e9, 101.0))
    scene.analysis.glance(luma(0.3), lambda: IMAGE, Moment(1e9, 101.2))
    assert [report.data.TYPE for report in scene.reports] == [PersonEnteredZone.TYPE, PersonLeftZone.TYPE]
