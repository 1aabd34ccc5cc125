"""Rules about things on wheels on the demo's drawn clip: H.264 through decoder, motion gate, our detector and tracker.

A bicycle rolls in from 2 to 5 s, stands alone in front of a lift, and rolls away from 15 to 18 s.
"""

import tomllib

import pytest

from edge.video.replay import Happening, Pipeline, looks
from gatehouse.demo.camera_rules import LIFT, rule_lines
from gatehouse.demo.clips.draw_lobby import GOES_S, STANDS_S
from models import load_detector
from protocols.camera_events import TwoWheelerInside, VehicleLeftBehind, VehicleTaken
from protocols.event_data import VehicleKind
from tests.edge.video.parts import camera
from tests.edge.video.rules.scenes import Data
from tests.support.rtsp import CLIPS

ENTERS_S = 3.0
"""When the whole bicycle is in the picture."""
LEFT_AFTER_S = TAKEN_AFTER_S = 4.0


@pytest.fixture(scope="module")
def happened() -> list[Happening]:
    """What the demo's rules for that camera tell of the clip."""
    [drawing] = tomllib.loads("\n".join(("[[camera]]", *rule_lines(LIFT))))["camera"]
    pipeline = Pipeline(camera(LIFT, **drawing), load_detector("nanodet-g-416x256-int8"))
    seen = [each for look in looks(CLIPS / "lobby-bicycle.mp4", pipeline) for each in look.happenings]
    return [*seen, *pipeline.end()]


def of(happened: list[Happening], kind: type[Data]) -> tuple[float, Data]:
    [(at_s, data)] = [(each.at_s, each.data) for each in happened if isinstance(each.data, kind)]
    return at_s, data


def test_a_bicycle_in_the_lobby_of_a_lift_is_told_a_second_after_it_came(happened: list[Happening]) -> None:
    at_s, told = of(happened, TwoWheelerInside)
    assert at_s == pytest.approx(ENTERS_S + 1.0, abs=0.6)
    assert (told.rule, told.kind) == ("r-two-wheels", VehicleKind.BICYCLE)


def test_it_is_left_when_it_stood_alone_for_long_enough(happened: list[Happening]) -> None:
    at_s, told = of(happened, VehicleLeftBehind)
    assert at_s == pytest.approx(STANDS_S + LEFT_AFTER_S, abs=1.0)
    assert told.kind is VehicleKind.BICYCLE
    assert told.box.left < 280 / 640 < told.box.right, "where it stands"


def test_it_is_taken_when_it_goes(happened: list[Happening]) -> None:
    at_s, told = of(happened, VehicleTaken)
    assert GOES_S < at_s < GOES_S + 2.0
    assert told.since.timestamp() == pytest.approx(STANDS_S, abs=1.5)


def test_nothing_else_is_told_and_each_with_a_picture(happened: list[Happening]) -> None:
    assert [type(each.data) for each in happened] == [TwoWheelerInside, VehicleLeftBehind, VehicleTaken]
    assert all(each.picture is not None for each in happened)
