"""Tracks are followed between looks by steps seen in the picture, as far as these are believed."""

import numpy as np
import pytest

from edge.video.tracker import StepsOf, Tracker


def walker(x: float, foot: float = 0.8) -> np.ndarray:
    return np.array([x - 0.05, foot - 0.3, x + 0.05, foot])


class Walk:
    """A tracker with a square frame; looks and glances are 0.2 s apart."""

    def __init__(self) -> None:
        self.tracker = Tracker(1.0)
        self.at_s = 10.0
        self.asked: list[np.ndarray] = []
        self.expected: list[np.ndarray] = []

    def look(self, *boxes: np.ndarray) -> None:
        count = len(boxes)
        given = np.array(boxes).reshape(-1, 4)
        sound = np.ones(count, bool)
        self.tracker.update(given, np.full(count, 0.8), np.zeros(count, np.intp), sound, self.at_s)
        self.at_s += 0.2

    def glance(self, steps: StepsOf) -> None:
        def noted(boxes: np.ndarray, expected: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            self.asked.append(boxes)
            self.expected.append(expected)
            return steps(boxes, expected)

        self.tracker.follow(noted, self.at_s)
        self.at_s += 0.2

    def begin(self, *starts: float, speed: float = 0.02) -> float:
        """Walkers who are confirmed; by how far they have gone."""
        for i in range(6):
            self.look(*(walker(start + speed * i) for start in starts))
        return speed * 5


def steps(*each: float | None) -> StepsOf:
    """Each track's step to the right; None is not known."""

    def of(boxes: np.ndarray, _expected: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        assert len(boxes) == len(each)
        return np.array([[dx or 0.0, 0.0] for dx in each]).reshape(-1, 2), np.array([dx is not None for dx in each])

    return of


def middles(walk: Walk) -> list[float]:
    return [float(box[0] + box[2]) / 2 for box in walk.tracker.in_sight[1]]


def test_a_walker_who_turns_is_where_the_picture_shows_him_and_not_where_he_was_heading() -> None:
    seen, blind = Walk(), Walk()
    for walk in (seen, blind):
        walk.begin(0.3)
    for speed in (0.01, 0.0, -0.01, -0.02):
        seen.glance(steps(speed))
        blind.glance(steps(None))
    assert middles(seen) == pytest.approx([0.38], abs=0.01)
    assert blind.tracker.following.boxes[0, [0, 2]].mean() == pytest.approx(0.48, abs=0.02)


def test_who_is_not_seen_for_three_steps_is_out_of_sight_until_the_next_look() -> None:
    walk = Walk()
    gone = walk.begin(0.3)
    for _ in range(2):
        walk.glance(steps(None))
    assert len(middles(walk)) == 1
    walk.glance(steps(None))
    assert middles(walk) == []
    walk.look(walker(0.3 + gone + 4 * 0.02))
    assert middles(walk) == pytest.approx([0.48], abs=0.02)


def test_a_step_of_the_post_that_hides_a_walker_is_not_believed() -> None:
    walk = Walk()
    walk.begin(0.3, speed=0.06)  # a heights' length a second
    walk.glance(steps(0.0))
    assert middles(walk) == pytest.approx([0.66], abs=0.02)


def test_a_step_of_who_stands_nearer_is_not_that_of_who_is_behind() -> None:
    walk = Walk()
    for i in range(6):
        walk.look(walker(0.3 + 0.02 * i), walker(0.48 - 0.02 * i, foot=0.9))
    walk.glance(steps(-0.02, -0.02))
    behind, before = middles(walk)
    assert behind == pytest.approx(0.42, abs=0.01)
    assert before == pytest.approx(0.36, abs=0.01)


def test_a_newcomer_whom_the_picture_shows_to_go_is_confirmed_before_the_next_look() -> None:
    walk = Walk()
    walk.look(walker(0.3), walker(0.7))
    walk.glance(steps(0.04, 0.0))  # a tenth of a height is 0.03
    assert walk.tracker.confirm_moved() == (1,)
    assert middles(walk) == pytest.approx([0.34], abs=0.01)
    assert walk.tracker.confirm_moved() == (), "it is told once; what stands is not confirmed by that"


def test_the_detectors_trembling_is_no_movement() -> None:
    walk = Walk()
    walk.look(walker(0.3))
    walk.look(walker(0.4))
    walk.glance(steps(0.0))
    assert walk.tracker.confirm_moved() == ()


@pytest.mark.parametrize("step", [None, 0.2])
def test_a_newcomer_whose_step_is_not_known_or_not_believed_is_not_confirmed_by_it(step: float | None) -> None:
    walk = Walk()
    walk.look(walker(0.3))
    walk.look(walker(0.31))
    walk.glance(steps(step))
    walk.glance(steps(0.04))
    assert walk.tracker.confirm_moved() == ()


def test_who_was_missed_by_the_last_look_is_not_confirmed_by_moving() -> None:
    walk = Walk()
    walk.look(walker(0.3))
    walk.look()
    walk.glance(steps())
    assert walk.tracker.confirm_moved() == ()
    assert walk.tracker.end() == ()
    assert walk.tracker.confirm_moved() == ()


def test_nobody_asks_for_those_who_were_missed_or_stand_still() -> None:
    walk = Walk()
    for _ in range(60):
        walk.look(walker(0.2), walker(0.6))
    assert walk.tracker.following.still == (True, True)
    walk.glance(steps())
    assert walk.tracker.in_sight[0] == ()
    other = Walk()
    other.begin(0.3)
    other.look()
    other.glance(steps())
    assert middles(other) == []


def test_a_track_that_no_look_confirms_any_more_is_not_in_sight_for_ever() -> None:
    walk = Walk()
    walk.begin(0.3, speed=0.0)
    for _ in range(11):
        walk.glance(steps(0.0))
    assert len(middles(walk)) == 1
    for _ in range(2):
        walk.glance(steps(0.0))
    assert middles(walk) == []


def test_an_empty_scene_is_followed_without_harm() -> None:
    walk = Walk()
    walk.glance(steps())
    walk.look()
    walk.glance(steps())
    assert [len(boxes) for boxes in walk.asked] == [0, 0]


def test_a_step_is_looked_for_where_the_walker_was_heading() -> None:
    walk = Walk()
    walk.begin(0.3, speed=0.04)
    walk.glance(steps(0.04))
    np.testing.assert_allclose(walk.expected, [[[0.04, 0.0]]], atol=0.01)
