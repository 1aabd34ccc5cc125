"""The many-box filter against the textbook's matrices, one number at a time."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edge.video import kalman
from edge.video.kalman import BoxFilter

boxes = st.tuples(st.floats(0, 1.3), st.floats(0, 1), st.floats(0.02, 0.3), st.floats(0.05, 0.6))


class Textbook:
    """Position and velocity of one number, with 2x2 matrices."""

    def __init__(self, measured: float, scale: float) -> None:
        self.x = np.array([measured, 0.0])
        self.p = np.diag([(2 * kalman._MEASURED * scale) ** 2, (kalman._VELOCITY_AT_FIRST * scale) ** 2])

    def predict(self, t: float, scale: float) -> None:
        f = np.array([[1, t], [0, 1]])
        q = (kalman._ACCELERATION * scale) ** 2 * np.array([[t**3 / 3, t**2 / 2], [t**2 / 2, t]])
        self.x, self.p = f @ self.x, f @ self.p @ f.T + q

    def correct(self, measured: float, deviation: float) -> None:
        h = np.array([[1.0, 0.0]])
        gain = self.p @ h.T / (h @ self.p @ h.T + deviation**2)
        self.x = self.x + (gain * (measured - self.x[0])).ravel()
        self.p = (np.eye(2) - gain @ h) @ self.p


@given(st.lists(st.tuples(boxes, st.floats(0.02, 2.0), st.floats(0.25, 1.0)), min_size=2, max_size=8))
def test_it_agrees_with_matrices(steps: list[tuple[tuple[float, float, float, float], float, float]]) -> None:
    first = np.array(steps[0][0])
    many = BoxFilter.start(first[None])
    calm = np.array([1, 1, kalman._SIZE_CALM, kalman._SIZE_CALM])
    slow = [Textbook(value, first[3] * share) for value, share in zip(first, calm, strict=True)]
    for box, elapsed_s, score in steps[1:]:
        height = many.place[0, 3]
        many.predict(elapsed_s)
        for one, share in zip(slow, calm, strict=True):
            one.predict(elapsed_s, height * share)
        for one in slow[2:]:
            one.x[0] = max(one.x[0], 1e-4)
        many.correct(np.array([0]), np.array([box]), np.array([score]))
        for one, value, share in zip(slow, box, calm, strict=True):
            one.correct(value, kalman._MEASURED * box[3] * share * (1.5 - score))
        np.testing.assert_allclose(many.place[0], [one.x[0] for one in slow], atol=1e-7)
        np.testing.assert_allclose(many.velocity[0], [one.x[1] for one in slow], atol=1e-6)
        np.testing.assert_allclose(many.pp[0], [one.p[0, 0] for one in slow], atol=1e-9)


def test_a_steady_walker_is_predicted() -> None:
    one = BoxFilter.start(np.array([[0.1, 0.5, 0.1, 0.3]]))
    for i in range(1, 15):
        one.predict(0.2)
        one.correct(np.array([0]), np.array([[0.1 + 0.04 * i, 0.5, 0.1, 0.3]]), np.array([0.9]))
    one.predict(1.0)
    assert abs(one.place[0, 0] - (0.1 + 0.04 * 14 + 0.2)) < 0.02
