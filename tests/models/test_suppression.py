"""The vectorised suppression gives what the plain loop gives."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from models.detections import Floats
from models.suppression import overlaps, suppress

GRID = st.integers(0, 12)
LIMITS = st.sampled_from([0.0, 0.2137, 0.3719, 0.5113, 0.9017, 1.0])
"""None is a ratio of small whole numbers, so that rounding decides nothing."""


@st.composite
def scored_boxes(draw: st.DrawFn) -> tuple[Floats, Floats]:
    """Boxes on a coarse grid, so that overlaps, ties, empty and equal boxes are frequent."""
    count = draw(st.integers(0, 25))
    corners = draw(hnp.arrays(np.int64, (count, 4), elements=GRID))
    scores = draw(hnp.arrays(np.int64, count, elements=st.integers(0, 6)))
    return (corners / 12).astype(np.float32), (scores / 6).astype(np.float32)


def slow_overlap(first: Floats, second: Floats) -> float:
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = [max(box[2] - box[0], 0) * max(box[3] - box[1], 0) for box in (first, second)]
    union = areas[0] + areas[1] - width * height
    return float(width * height / union) if union > 0 else 0.0


def slow_suppress(boxes: Floats, scores: Floats, iou: float, limit: int) -> list[int]:
    kept: list[int] = []
    for row in sorted(range(len(scores)), key=lambda row: (-scores[row], row))[:limit]:
        if all(slow_overlap(boxes[row], boxes[other]) <= iou for other in kept):
            kept.append(row)
    return kept


@given(scored_boxes(), LIMITS, st.integers(1, 30))
def test_it_keeps_what_the_plain_loop_keeps(given_boxes: tuple[Floats, Floats], iou: float, limit: int) -> None:
    boxes, scores = given_boxes

    assert suppress(boxes, scores, iou, limit).tolist() == slow_suppress(boxes, scores, iou, limit)


@given(scored_boxes())
def test_overlaps_are_those_of_the_plain_formula(given_boxes: tuple[Floats, Floats]) -> None:
    boxes, _ = given_boxes
    expected = np.array([[slow_overlap(one, other) for other in boxes] for one in boxes])

    np.testing.assert_allclose(overlaps(boxes, boxes), expected.reshape(len(boxes), len(boxes)), atol=1e-6)


def test_a_box_that_only_a_suppressed_box_overlaps_survives() -> None:
    chain = np.array([[0, 0, 10, 1], [3, 0, 13, 1], [6, 0, 16, 1]], np.float32)

    assert suppress(chain, np.array([0.9, 0.8, 0.7], np.float32), 0.5, 200).tolist() == [0, 2]


def test_nothing_in_nothing_out() -> None:
    assert suppress(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), 0.5, 200).tolist() == []
