"""Things left and taken, on made-up tracks."""

import pytest

from protocols.camera_events import VehicleLeftBehind, VehicleTaken
from protocols.event_data import VehicleKind
from tests.edge.video.rules.scenes import NOON, Scene, at


def left(**more: object) -> dict[str, object]:
    return {"id": "r", "kind": "object_left", "zone": "z-left", "min_s": 30.0, **more}


def taken(**more: object) -> dict[str, object]:
    return {"id": "r", "kind": "object_taken", "zone": "z-left", "min_s": 30.0, **more}


def bicycle(x: float = 0.2, track: int = 1) -> object:
    return at(x, track=track, what="bicycle", height=0.2)


def test_a_bicycle_that_somebody_leaves_is_told_once_when_it_stood_alone_for_long_enough() -> None:
    scene = Scene(left())
    scene.stay(20.0, bicycle(), at(0.25, track=2))
    scene.walk(0.25, 0.9, track=2)
    scene.see(bicycle(), ended=(2,))
    scene.stay(200.0, bicycle(), every_s=2.0)
    [told] = scene.of(VehicleLeftBehind)
    assert told.kind is VehicleKind.BICYCLE
    assert told.since.timestamp() == NOON
    assert 20.0 + 30.0 < scene.times[0] < 20.0 + 7.0 + 30.0 + 3.0, "since nobody was near it"


def test_a_bicycle_with_somebody_beside_it_is_not_left() -> None:
    scene = Scene(left())
    scene.stay(200.0, bicycle(), at(0.3, track=2), every_s=2.0)
    assert scene.findings == []


def test_a_bicycle_that_is_pushed_on_is_not_left() -> None:
    scene = Scene(left())
    for i in range(10):
        scene.stay(20.0, bicycle(0.12 + 0.06 * (i % 5)), every_s=2.0)
    assert scene.findings == []


def test_what_stood_and_is_wheeled_away_is_told_at_once() -> None:
    scene = Scene(taken())
    scene.stay(60.0, bicycle(), every_s=2.0)
    begun_s = scene.at_s
    for i in range(20):
        scene.see(bicycle(0.2 + 0.03 * i))
    [told] = scene.of(VehicleTaken)
    assert told.since.timestamp() == NOON
    assert told.box.left == pytest.approx(0.1, abs=0.05), "where it stood"
    assert scene.times[0] == pytest.approx(begun_s + 1.4, abs=0.4)


def test_what_stood_and_is_no_longer_found_is_told_after_a_while() -> None:
    scene = Scene(taken())
    scene.stay(60.0, bicycle(), every_s=2.0)
    scene.stay(22.0)
    scene.see(ended=(1,))
    scene.stay(10.0)
    assert len(scene.of(VehicleTaken)) == 1


def test_what_was_only_hidden_is_not_taken() -> None:
    scene = Scene(taken())
    scene.stay(60.0, bicycle(), every_s=2.0)
    scene.stay(5.0)
    scene.see(ended=(1,))
    scene.stay(3.0)
    scene.stay(60.0, bicycle(0.21, track=2), every_s=2.0)
    assert scene.findings == []


def test_what_stood_for_a_moment_only_is_not_missed() -> None:
    scene = Scene(taken())
    scene.stay(20.0, bicycle(), every_s=2.0)
    for i in range(20):
        scene.see(bicycle(0.2 + 0.03 * i))
    assert scene.findings == []


def test_a_camera_that_was_away_takes_nothing() -> None:
    scene = Scene(taken())
    scene.stay(60.0, bicycle(), every_s=2.0)
    scene.engine.lose()
    scene.stay(60.0)
    assert scene.findings == []
