"""Rules about things on wheels on the demo's drawn clip: H.264 through decoder, motion gate, our detector and tracker.

A bicycle rolls in from 2 to 5 s, stands alone in front of a lift, and rolls away from 15 to 18 s. An e-bike comes from
20 to 23 s and goes from 25 to 28 s. In a second clip, which is drawn when the tests run, a motorcycle does as the
bicycle.
"""

import tomllib
from pathlib import Path

import pytest

from edge.video.replay import Happening
from gatehouse.demo.camera_rules import LIFT, rule_lines
from gatehouse.demo.clips.draw_lobby import BICYCLE, E_BIKE, FPS, WIDTH, Act, lobby, scene
from gatehouse.demo.clips.draw_two_wheelers import motorcycle
from protocols.camera_events import TwoWheelerInside, VehicleLeftBehind, VehicleTaken
from protocols.event_data import VehicleKind
from tests.edge.video.parts import camera, write_clip
from tests.edge.video.rules.played import of, play
from tests.edge.video.rules.walkers import grain
from tests.support.rtsp import CLIPS

ENTERS_S = BICYCLE.arrives_s + 1.0
"""When the whole bicycle is in the picture."""
E_BIKE_ENTERS_S = E_BIKE.arrives_s + 1.3
LOOKS_APART_S = 0.6
"""Of a scene that has moved for long: 1.8 a second, of frames at five a second."""
GLANCES_APART_S = 0.2
LEFT_AFTER_S = TAKEN_AFTER_S = 4.0


MOTORCYCLE = Act(motorcycle(104), 104, 300, 1.0, 4.0, 14.0, 17.0)
MOTORCYCLE_CLIP_S = 19


def told_by_the_demo_s_rules(clip: Path) -> list[Happening]:
    """What the rules of the lift's camera tell of a clip."""
    [drawing] = tomllib.loads("\n".join(("[[camera]]", *rule_lines(LIFT))))["camera"]
    return play(clip, camera(LIFT, **drawing))


@pytest.fixture(scope="module")
def happened() -> list[Happening]:
    """Of the demo's clip."""
    return told_by_the_demo_s_rules(CLIPS / "lobby-two-wheelers.mp4")


@pytest.fixture(scope="module")
def happened_to_a_motorcycle(tmp_path_factory: pytest.TempPathFactory) -> list[Happening]:
    """Of the second clip."""
    room = lobby()
    path = tmp_path_factory.mktemp("lobby") / "motorcycle.mp4"
    frames = MOTORCYCLE_CLIP_S * FPS
    return told_by_the_demo_s_rules(write_clip(path, lambda i: grain(scene(room, MOTORCYCLE, i / FPS), i), frames, FPS))


def test_a_bicycle_in_the_lobby_of_a_lift_is_told_a_second_after_it_came(happened: list[Happening]) -> None:
    at_s, told = of(happened, TwoWheelerInside)[0]
    assert at_s == pytest.approx(ENTERS_S + 1.0, abs=0.6)
    assert (told.rule, told.kind) == ("r-two-wheels", VehicleKind.BICYCLE)


def test_an_e_bike_is_told_as_a_motorcycle_a_second_after_it_was_seen_to_move(happened: list[Happening]) -> None:
    at_s, told = of(happened, TwoWheelerInside)[1]
    found_s = E_BIKE_ENTERS_S + LOOKS_APART_S / 2
    assert at_s == pytest.approx(found_s + GLANCES_APART_S + 1.0, abs=LOOKS_APART_S)
    assert (told.rule, told.kind) == ("r-two-wheels", VehicleKind.MOTORCYCLE)


def test_it_is_left_when_it_stood_alone_for_long_enough(happened: list[Happening]) -> None:
    [(at_s, told)] = of(happened, VehicleLeftBehind)
    assert at_s == pytest.approx(BICYCLE.stands_s + LEFT_AFTER_S + LOOKS_APART_S, abs=LOOKS_APART_S)
    assert told.kind is VehicleKind.BICYCLE
    assert told.box.left < BICYCLE.place / WIDTH < told.box.right, "where it stands"


def test_it_is_taken_when_it_goes(happened: list[Happening]) -> None:
    [(at_s, told)] = of(happened, VehicleTaken)
    assert BICYCLE.goes_s < at_s < BICYCLE.goes_s + 2.0
    assert told.since.timestamp() == pytest.approx(BICYCLE.stands_s, abs=1.5)


def test_nothing_else_is_told_and_each_with_a_picture(happened: list[Happening]) -> None:
    told = [type(each.data) for each in happened]
    assert told == [TwoWheelerInside, VehicleLeftBehind, VehicleTaken, TwoWheelerInside]
    assert all(each.picture is not None for each in happened)


def test_a_motorcycle_is_left_and_taken_as_a_bicycle_is(happened_to_a_motorcycle: list[Happening]) -> None:
    [(left_s, left)] = of(happened_to_a_motorcycle, VehicleLeftBehind)
    [(taken_s, taken)] = of(happened_to_a_motorcycle, VehicleTaken)
    assert left_s == pytest.approx(MOTORCYCLE.stands_s + LEFT_AFTER_S + LOOKS_APART_S, abs=LOOKS_APART_S)
    assert MOTORCYCLE.goes_s < taken_s < MOTORCYCLE.goes_s + 2.0
    assert left.kind is taken.kind is VehicleKind.MOTORCYCLE
