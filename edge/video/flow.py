"""Where what is in a box went from one picture to the next: sparse optical flow (Lucas-Kanade with pyramids, Bouguet
2000).

A few points of each box are followed forwards and back again. Those that do not come back to where they began are not
believed (Kalal 2010); the median of the others is the box's step, so that some may lie on what is behind it. The way
back is looked for about where they began alone, on the finest pictures: what lies there is what was followed, or not.
Knows nothing of tracks: whose step it is, and whether to believe it, is the tracker's to say.
"""

import cv2
import numpy as np
import numpy.typing as npt

from edge.video.motion import Luma

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

LONGEST_S = 0.7
"""Pictures that are further apart are not compared: too much has changed."""

_ACROSS, _DOWN = 3, 3
_WIDTH, _HEIGHT = 0.5, 0.8  # of the box, that its points lie in: further out is what is behind it
_WINDOW = (9, 9)
_LEVELS = 2
_STOP = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 10, 0.03)
_RETURNS_WITHIN = 0.7  # pixels
_LEAST_POINTS = 4

_POINTS = _ACROSS * _DOWN
_GRID = np.stack(
    np.meshgrid(
        _WIDTH * ((np.arange(_ACROSS) + 0.5) / _ACROSS - 0.5), _HEIGHT * ((np.arange(_DOWN) + 0.5) / _DOWN - 0.5)
    ),
    axis=-1,
).reshape(1, _POINTS, 2)


class BoxFlow:
    """Follows boxes from picture to picture of one camera. Not shared between threads."""

    def __init__(self) -> None:
        self._last: tuple[Luma, float] | None = None

    def forget(self) -> None:
        """The next picture follows none: the camera was away."""
        self._last = None

    def see(self, luma: Luma, at_s: float, boxes: Floats, expected: Floats | None = None) -> tuple[Floats, Flags]:
        """How far the boxes' contents moved since the picture that was seen before.

        Args:
            luma: the picture, some 200 rows high (`motion.small_luma`); in finer ones a step is more pixels, costs more
                and is found less often.
            at_s: when it was taken.
            boxes: [N,4] in fractions of the frame, where they were in the picture before.
            expected: how far each should have moved since [N,2], in fractions of the frame, for it is looked for about
                there; not at all, if nothing is said.

        Returns:
            Steps [N,2] in fractions of the frame, and which of them are known [N]; none after a picture of another
            size or too long a time.
        """
        last, self._last = self._last, (luma, at_s)
        steps, known = np.zeros((len(boxes), 2)), np.zeros(len(boxes), bool)
        if last is None or last[0].shape != luma.shape or at_s - last[1] > LONGEST_S or not len(boxes):
            return steps, known
        size = np.array([luma.shape[1], luma.shape[0]], float)
        first, second = boxes[:, :2] * size, boxes[:, 2:] * size
        points = ((first + second) / 2)[:, None] + _GRID * (second - first)[:, None]
        there = points if expected is None else points + (expected * size)[:, None]
        moved, returned = _followed(last[0], luma, points, there)
        counts = np.count_nonzero(returned, axis=1)
        moved[~returned] = np.inf
        moved.sort(axis=1)  # those not believed come last
        known = counts >= _LEAST_POINTS
        steps[known] = moved[known, (counts[known] - 1) // 2] / size
        return steps, known


def _followed(first: Luma, second: Luma, points: Floats, expected: Floats) -> tuple[Floats, Flags]:
    """How far each of `points` [N,P,2] moved that is looked for about where it is `expected` [N,P,2], and which were
    found again on the way back [N,P]."""
    flat, guess = (each.astype(np.float32).reshape(-1, 1, 2) for each in (points, expected))
    there, is_there, _ = cv2.calcOpticalFlowPyrLK(
        first, second, flat, guess, None, None, _WINDOW, _LEVELS, _STOP, cv2.OPTFLOW_USE_INITIAL_FLOW
    )
    back, is_back, _ = cv2.calcOpticalFlowPyrLK(
        second, first, there, flat.copy(), None, None, _WINDOW, 0, _STOP, cv2.OPTFLOW_USE_INITIAL_FLOW
    )
    came_back = (np.abs(back - flat) < _RETURNS_WITHIN).all(axis=(1, 2))
    returned = came_back & (is_there[:, 0] > 0) & (is_back[:, 0] > 0)
    moved: Floats = (there - flat).astype(np.float64).reshape(points.shape)
    return moved, returned.reshape(points.shape[:2])
