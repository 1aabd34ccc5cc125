"""What wakes the detector and what does not, on drawn scenes: rain, headlights, a tree, infrared, and people."""

import copy
from functools import cache

import numpy as np
import pytest

from edge.video.motion import Motion, MotionGate
from tests.edge.video.scenes import WIDTH, Scene, day, headlights, infrared, night, rain, seen, tree

EVERY_S = 0.2
LEARNED_S = 40.0


@cache
def learned(scene: Scene) -> tuple[MotionGate, tuple[Motion, ...]]:
    """A gate that has watched the scene empty for 40 s, and all that it said."""
    gate = MotionGate()
    told = tuple(gate.see(seen(scene, at_s), at_s) for at_s in np.arange(0.0, LEARNED_S, EVERY_S))
    return gate, told


def share_awake(told: tuple[Motion, ...] | list[Motion]) -> float:
    return sum(motion.moves for motion in told) / len(told)


SCENES = [day, night, rain, headlights, tree, infrared]


@pytest.mark.parametrize(
    ("scene", "at_first", "then"),
    [(day, 0, 0), (night, 0, 0), (rain, 0.02, 0.02), (headlights, 0.02, 0.02), (tree, 0.6, 0.15), (infrared, 0, 0.05)],
)
def test_a_nuisance_wakes_the_detector_in_few_frames(scene: Scene, at_first: float, then: float) -> None:
    """`at_first`: in the first ten seconds; `then`: in the next thirty."""
    _, told = learned(scene)
    first = round(10.0 / EVERY_S)
    assert share_awake(told[:first]) <= at_first
    assert share_awake(told[first:]) <= then


def test_leaves_that_keep_swaying_wake_it_less_and_less() -> None:
    told = learned(tree)[1]
    quarter = len(told) // 4
    shares = [share_awake(told[i * quarter : (i + 1) * quarter]) for i in range(4)]
    assert shares[0] > 0.1, "the scene is not too easy"
    assert shares[3] < 0.3 * shares[0]


@pytest.mark.parametrize("shade", [40.0, 175.0])
@pytest.mark.parametrize("scene", SCENES)
def test_someone_who_walks_through_a_nuisance_wakes_it(scene: Scene, shade: float) -> None:
    """Through rain, light and leaves: from the left edge to the right, 12 pixels a look."""
    gate = copy.deepcopy(learned(scene)[0])
    looks = [(LEARNED_S + i * EVERY_S, (20 + 12.0 * i, 230.0)) for i in range(29)]
    told = [gate.see(seen(scene, at_s, place, shade), at_s) for at_s, place in looks]
    assert any(motion.moves for motion in told[:2]), "at once"
    assert share_awake(told) >= 0.8


def test_where_it_moves_is_where_someone_walks() -> None:
    gate = copy.deepcopy(learned(day)[0])
    for i in range(10):
        x, at_s = 100 + 12.0 * i, LEARNED_S + i * EVERY_S
        motion = gate.see(seen(day, at_s, (x, 230.0)), at_s)
    x1, _, x2, y2 = motion.boxes[0]
    assert x1 < x / WIDTH < x2
    assert x2 - x1 < 0.4
    assert 0.6 < y2 < 0.9


def test_infrared_starts_the_average_anew() -> None:
    told = learned(infrared)[1]
    at = [i * EVERY_S for i, motion in enumerate(told) if motion.recalibrated]
    assert at[0] == pytest.approx(20.0, abs=0.21)
    assert len(at) <= 5


def test_nothing_moves_behind_a_motion_mask_and_all_else_does() -> None:
    lower = (((0.0, 0.5), (1.0, 0.5), (1.0, 1.0), (0.0, 1.0)),)
    gate, upper = MotionGate(masks=lower), MotionGate(masks=(((0.0, 0.0), (1.0, 0.0), (1.0, 0.5), (0.0, 0.5)),))
    for at_s in np.arange(0.0, 4.0, EVERY_S):
        gate.see(seen(day, at_s), at_s)
        upper.see(seen(day, at_s), at_s)
    told = []
    for i in range(20):
        picture, at_s = seen(day, 4.0 + i * EVERY_S, (20 + 15.0 * i, 250.0)), 4.0 + i * EVERY_S
        told.append((gate.see(picture, at_s).moves, upper.see(picture, at_s).moves))
    assert not any(masked for masked, _ in told)
    assert sum(open_to_view for _, open_to_view in told) >= 18


def test_a_path_on_which_someone_walks_every_third_second_stays_watched() -> None:
    """What is usual at a place is a median: only what moves nearly always is damped."""
    gate = MotionGate()
    passes = []
    for at_s in np.arange(0.0, 90.0, EVERY_S):
        x = 150 + 60 * (at_s % 3.0)
        walker = (x, 230.0) if at_s % 3.0 < 1.0 else None
        motion = gate.see(seen(day, at_s, walker), at_s)
        if walker is not None and at_s > 60.0:
            passes.append(motion)
    assert share_awake(passes) >= 0.9


def test_a_gate_that_was_copied_goes_its_own_way() -> None:
    gate = learned(day)[0]
    before = seen(day, LEARNED_S)
    copies = copy.deepcopy(gate), copy.deepcopy(gate)
    copies[0].see(seen(day, LEARNED_S, (200, 230)), LEARNED_S)
    assert copies[1].see(before, LEARNED_S) == copy.deepcopy(gate).see(before, LEARNED_S)


def test_many_places_are_told_in_few_boxes() -> None:
    gate = MotionGate()
    rng = np.random.default_rng(5)
    still = rng.integers(90, 120, (400, 400)).astype(np.uint8)
    for i in range(10):
        gate.see(still, i * EVERY_S)
    moved = still.copy()
    for x in range(30, 400, 90):
        for y in range(30, 400, 90):
            moved[y : y + 30, x : x + 30] = 220
    boxes = gate.see(moved, 2.0).boxes
    assert len(boxes) == 8
    corners = np.array(boxes)
    assert corners[:, 0].min() < 0.15
    assert corners[:, 2].max() > 0.8
