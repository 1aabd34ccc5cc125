"""The many-box filter against the textbook's matrices, one number at a time."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edge.video import kalman
from edge.video.kalman import BoxFilter

boxes = st.tuples(st.floats(0, 1.3), st.floats(0, 1), st.floats(0.02, 0.3), st.floats(0.05, 0.6))


class Textbook:
    """Position and velocity of one number, with 2x2 matrices."""

    def __init__(self, measured: float) -> None:
        self.x = np.array([measured, 0.0])
        self.p = np.diag([(2 * kalman._MEASURED) ** 2, kalman._VELOCITY_AT_FIRST**2])

    def predict(self, t: float) -> None:
        f = np.array([[1, t], [0, 1]])
        q = kalman._ACCELERATION**2 * np.array([[t**3 / 3, t**2 / 2], [t**2 / 2, t]])
        self.x, self.p = f @ self.x, f @ self.p @ f.T + q

    def correct(self, measured: float, deviation: float) -> None:
        h = np.array([[1.0, 0.0]])
        gain = self.p @ h.T / (h @ self.p @ h.T + deviation**2)
        self.x = self.x + (gain * (measured - self.x[0])).ravel()
        self.p = (np.eye(2) - gain @ h) @ self.p


@given(st.lists(st.tuples(boxes, st.floats(0.02, 2.0), st.floats(0.25, 1.0)), min_size=2, max_size=8))
def test_it_agrees_with_matrices(steps: list[tuple[tuple[float, float, float, float], float, float]]) -> None:
    """In units of heights every number of a box is filtered by the same gains; a size has no velocity."""
    first = np.array(steps[0][0])
    many = BoxFilter()
    many.add(np.array([[9.0], [9.0], [9.0], [9.0]]))  # another box, that changes nothing
    many.add(first[:, None])
    slow = [Textbook(value) for value in first]
    for box, elapsed_s, score in steps[1:]:
        many.predict(elapsed_s)
        for one in slow:
            one.predict(elapsed_s)
        for one in slow[2:]:
            one.x[0] -= elapsed_s * one.x[1]
        many.correct(np.array([np.zeros(4), box]).T, np.array([0.0, score]))
        for one, value in zip(slow, box, strict=True):
            one.correct(value, kalman._MEASURED * (1.5 - score))
        np.testing.assert_allclose(many.place[:, 1], [one.x[0] for one in slow], atol=1e-7)
        np.testing.assert_allclose(many.velocity[:, 1], [one.x[1] for one in slow[:2]], atol=1e-6)
        of_place, _, of_velocity = many.covariance[:, 1]
        np.testing.assert_allclose([of_place, of_velocity], [slow[0].p[0, 0], slow[0].p[1, 1]], atol=1e-9)
    np.testing.assert_allclose(many.place[:, 0], 9.0)


def test_a_steady_walker_is_predicted() -> None:
    one = BoxFilter()
    one.add(np.array([[0.1], [0.5], [0.1], [0.3]]))
    for i in range(1, 15):
        one.predict(0.2)
        one.correct(np.array([[0.1 + 0.04 * i], [0.5], [0.1], [0.3]]), np.array([0.9]))
    one.predict(1.0)
    assert abs(one.place[0, 0] - (0.1 + 0.04 * 14 + 0.2)) < 0.02


def test_what_is_forgotten_leaves_the_others_as_they_were() -> None:
    many = BoxFilter()
    many.add(np.arange(12.0).reshape(4, 3) / 20 + 0.1)
    many.predict(0.5)
    before = many.place[:, [0, 2]]
    many.keep([0, 2])
    np.testing.assert_array_equal(many.place, before)


@given(boxes, st.floats(0.05, 0.6), st.floats(-0.2, 0.2), st.floats(-0.2, 0.2))
def test_a_step_that_was_seen_moves_its_box_alone_and_teaches_its_velocity(
    box: tuple[float, float, float, float], elapsed_s: float, dx: float, dy: float
) -> None:
    many = BoxFilter()
    many.add(np.array([box, box]).T)
    many.carry(np.array([[dx, 9.0], [dy, 9.0]]), np.array([True, False]), elapsed_s)
    np.testing.assert_allclose(many.place[:, 0], np.add(box, [dx, dy, 0, 0]), atol=1e-9)
    np.testing.assert_allclose(many.place[:, 1], box, atol=1e-9)
    spread = (kalman._STEP / elapsed_s) ** 2 + kalman._ACCELERATION**2 * elapsed_s / 3
    gain = kalman._VELOCITY_AT_FIRST**2 / (kalman._VELOCITY_AT_FIRST**2 + spread)
    np.testing.assert_allclose(many.velocity[:, 0], gain * np.array([dx, dy]) / elapsed_s, atol=1e-9)
    assert many.covariance[2, 0] < many.covariance[2, 1], "it is better known than one that nobody saw"
    assert many.covariance[0, 0] < many.covariance[0, 1]


def test_steps_are_as_good_as_boxes_for_a_velocity() -> None:
    one = BoxFilter()
    one.add(np.array([[0.1], [0.5], [0.1], [0.3]]))
    for _ in range(10):
        one.carry(np.array([[0.02], [0.0]]), np.array([True]), 0.2)
    np.testing.assert_allclose(one.velocity[:, 0], [0.1, 0.0], atol=0.01)
    one.predict(0.2)
    np.testing.assert_allclose(one.place[:2, 0], [0.32, 0.5], atol=0.005)
