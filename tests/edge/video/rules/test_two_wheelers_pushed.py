"""A motorcycle and an e-bike that a real walker pushes to a lift, and what is neither, through the whole pipeline.

The lobby and the things on wheels are drawn, the walkers are cut out of the demo's clip. Light and grain change from
frame to frame. Who does what stands in `ERRANDS`. One zone is the floor in front of the lift, another all that is seen.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from edge.video.replay import Happening
from gatehouse.demo.clips.draw_lobby import lobby
from gatehouse.demo.clips.draw_two_wheelers import (
    BLACK,
    DARK,
    GREY,
    LIGHT,
    PALE_BLUE,
    SILVER,
    Pen,
    Picture,
    electric_scooter,
    motorcycle,
)
from protocols.camera_events import TwoWheelerInside
from protocols.event_data import VehicleKind
from tests.edge.video.parts import camera, write_clip
from tests.edge.video.rules.played import of, play
from tests.edge.video.rules.walkers import RATE, Walker, grain, lay, walkers

WIDTH, FLOOR_Y, PERSON_HEIGHT = 640, 304, 166
SPEED = 90.0
"""Pixels a second: a slow walk."""
OUTSIDE, BEFORE_THE_LIFT, FAR_FROM_IT, GONE = -140.0, 480.0, 180.0, 860.0
ZONE = {"id": "z-lift", "polygon": [[0.58, 0.6], [0.98, 0.6], [0.98, 0.98], [0.58, 0.98]], "classes": []}
RULES = [
    {"id": "r-lift", "kind": "two_wheeler", "zone": "z-lift", "cool_down_s": 5.0},
    {"id": "r-anywhere", "kind": "two_wheeler", "cool_down_s": 5.0},
]
MIN_S, SEEN_WITHIN_S = 1.0, 1.1
"""The second is a look late that finds the thing inside, and one more that finds it still there: where a thing moves
without a pause, looks are 0.55 s apart."""
STAYS_S = 3.0
END_S = 73


def pushchair(height: int) -> tuple[Picture, Picture]:
    """Four wheels, a hood, a handle behind."""
    pen = Pen(height, (1.6, 1.2))
    for hub in (-0.28, 0.30):
        pen.ring((hub, 0.13), 0.11, BLACK, 0.04)
        pen.disc((hub, 0.13), 0.03, GREY)
    pen.bar((-0.28, 0.13), (0.22, 0.52), SILVER, 0.03)
    pen.bar((0.30, 0.13), (-0.30, 0.62), SILVER, 0.03)
    pen.area([(-0.30, 0.40), (0.34, 0.34), (0.42, 0.46), (0.10, 0.62), (-0.26, 0.66)], PALE_BLUE)
    pen.arc((-0.06, 0.58), 0.34, (0.4, 2.9), DARK, 0.30)
    pen.bar((-0.30, 0.62), (-0.58, 0.92), SILVER, 0.03)
    pen.bar((-0.58, 0.92), (-0.64, 0.92), BLACK, 0.05)
    return pen.lift()


def trolley(height: int) -> tuple[Picture, Picture]:
    """Boxes on a flat cart with small wheels."""
    pen = Pen(height, (1.8, 1.2))
    pen.area([(-0.50, 0.16), (-0.50, 0.22), (0.55, 0.22), (0.55, 0.16)], DARK)
    for hub in (-0.40, 0.45):
        pen.disc((hub, 0.08), 0.07, BLACK)
    pen.area([(-0.40, 0.22), (-0.40, 0.60), (0.50, 0.60), (0.50, 0.22)], (90, 140, 175))
    pen.area([(-0.25, 0.60), (-0.25, 0.88), (0.35, 0.88), (0.35, 0.60)], (105, 155, 190))
    pen.bar((0.05, 0.22), (0.05, 0.60), LIGHT, 0.03)
    pen.bar((-0.48, 0.20), (-0.62, 0.92), GREY, 0.03)
    return pen.lift()


@dataclass(frozen=True)
class Errand:
    """Somebody pushes a thing from the left to a place, pauses, and goes on, or back; or pushes it through."""

    thing: tuple[Picture, Picture]
    begins_s: float
    place: float
    ends: float

    @property
    def arrives_s(self) -> float:
        return self.begins_s + (self.place - OUTSIDE) / SPEED

    @property
    def ends_s(self) -> float:
        return self.arrives_s + STAYS_S + abs(self.ends - self.place) / SPEED

    def x(self, at_s: float) -> float:
        moments = (self.begins_s, self.arrives_s, self.arrives_s + STAYS_S, self.ends_s)
        return float(np.interp(at_s, moments, (OUTSIDE, self.place, self.place, self.ends)))

    def reaches_s(self, x: float) -> float:
        """When it is there for the first time."""
        return self.begins_s + (x - OUTSIDE) / SPEED

    def lay(self, picture: Picture, walker: Walker, at_s: float) -> None:
        if not self.begins_s <= at_s <= self.ends_s:
            return
        x, pauses = self.x(at_s), self.arrives_s <= at_s < self.arrives_s + STAYS_S
        is_going_back = self.ends < self.place and at_s >= self.arrives_s + STAYS_S
        colours, cover = self.thing
        if is_going_back:
            colours, cover = colours[:, ::-1], cover[:, ::-1]
        behind = 50.0 if is_going_back else -50.0
        step_s = self.arrives_s if pauses else at_s
        walker.lay(picture, step_s, (x + behind, FLOOR_Y - 6), PERSON_HEIGHT, mirrored=not is_going_back)
        lay(picture, colours, cover, (x, FLOOR_Y))


ENTERS_X = 0.58 * WIDTH
MOTORCYCLE = Errand(motorcycle(104), 2.0, BEFORE_THE_LIFT, GONE)
PASSING = Errand(motorcycle(104), 18.0, FAR_FROM_IT, OUTSIDE)
E_BIKE = Errand(electric_scooter(110), 30.0, BEFORE_THE_LIFT, GONE)
PUSHCHAIR = Errand(pushchair(90), 46.0, BEFORE_THE_LIFT, GONE)
TROLLEY = Errand(trolley(95), 58.0, BEFORE_THE_LIFT, GONE)
ERRANDS = (MOTORCYCLE, PASSING, E_BIKE, PUSHCHAIR, TROLLEY)


def light(at_s: float) -> float:
    """A lamp that flickers a little all the time, and goes dim, within a second, from 26 to 40 s."""
    dim = float(np.interp(at_s, (26.0, 27.0, 40.0, 41.0), (1.0, 0.7, 0.7, 1.0)))
    return dim * (1.0 + 0.02 * np.sin(7.0 * at_s))


def scene(errands: Sequence[Errand]) -> Callable[[int], Picture]:
    room, (_, walker) = lobby(), walkers()

    def picture(number: int) -> Picture:
        at_s, drawn = number / RATE, room.copy()
        for errand in errands:
            errand.lay(drawn, walker, at_s)
        return grain((drawn * light(at_s)).astype(np.uint8), number, sigma=3.0)

    return picture


@pytest.fixture(scope="module")
def happened(tmp_path_factory: pytest.TempPathFactory) -> list[Happening]:
    """What the rules tell of all errands."""
    clip = write_clip(tmp_path_factory.mktemp("lift") / "lift.mp4", scene(ERRANDS), END_S * RATE, RATE)
    return play(clip, camera(zone=[ZONE], rule=RULES))


def told(happened: list[Happening], errand: Errand, rule: str) -> list[tuple[float, TwoWheelerInside]]:
    about = of(happened, TwoWheelerInside, rule)
    return [(at_s, data) for at_s, data in about if errand.begins_s <= at_s <= errand.ends_s + 1.0]


@pytest.mark.parametrize("errand", [MOTORCYCLE, E_BIKE], ids=["motorcycle", "e-bike in dim light"])
def test_what_is_pushed_to_the_lift_is_told_a_second_after_it_came(happened: list[Happening], errand: Errand) -> None:
    [(at_s, data)] = told(happened, errand, "r-lift")
    assert 0.0 <= at_s - (errand.reaches_s(ENTERS_X) + MIN_S) <= SEEN_WITHIN_S
    assert (data.zone, data.kind) == ("z-lift", VehicleKind.MOTORCYCLE)
    assert data.box.left < errand.x(at_s) / WIDTH < data.box.right


def test_a_motorcycle_that_turns_before_the_lift_is_seen_and_not_told_there(happened: list[Happening]) -> None:
    assert len(told(happened, PASSING, "r-anywhere")) == 1
    assert told(happened, PASSING, "r-lift") == []


@pytest.mark.parametrize("errand", [PUSHCHAIR, TROLLEY], ids=["pushchair", "trolley"])
def test_a_pushchair_or_boxes_on_wheels_are_nothing(happened: list[Happening], errand: Errand) -> None:
    assert told(happened, errand, "r-anywhere") == []


def test_each_is_told_once_with_a_picture(happened: list[Happening]) -> None:
    assert [type(each.data) for each in happened if each.picture is not None] == [TwoWheelerInside] * 5
