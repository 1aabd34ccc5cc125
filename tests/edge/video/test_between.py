"""Boxes between two people who walk close together."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edge.video.between import COVERED, WEAKER, between_two

LEFT, RIGHT = (0.44, 0.42, 0.51, 0.73), (0.51, 0.44, 0.58, 0.76)
GHOST = (0.47, 0.43, 0.55, 0.75)


def marked(*found: tuple[tuple[float, float, float, float], float]) -> list[bool]:
    boxes, scores = [box for box, _ in found], [score for _, score in found]
    return between_two(np.array(boxes).reshape(-1, 4), np.array(scores)).tolist()


def test_a_weak_box_of_two_halves_is_nobody() -> None:
    assert marked((LEFT, 0.82), (RIGHT, 0.81), (GHOST, 0.46)) == [False, False, True]


def test_one_as_sure_as_they_are_is_somebody() -> None:
    assert marked((LEFT, 0.82), (RIGHT, 0.6), (GHOST, 0.46)) == [False, False, False]


def test_somebody_behind_two_whose_head_is_seen_above_them_is_somebody() -> None:
    assert marked((LEFT, 0.82), (RIGHT, 0.81), ((0.47, 0.38, 0.55, 0.70), 0.46)) == [False, False, False]


def test_one_half_hidden_by_another_is_somebody() -> None:
    assert marked((LEFT, 0.82), (GHOST, 0.46)) == [False, False]
    assert marked((LEFT, 0.82), ((0.43, 0.40, 0.50, 0.74), 0.8), (GHOST, 0.46)) == [False] * 3


def test_of_nobody_there_is_nothing_to_say() -> None:
    assert marked() == []


CORNER = st.integers(0, 8)
BOX = st.tuples(CORNER, CORNER, st.integers(1, 6), st.integers(1, 6)).map(
    lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
)


@given(st.lists(st.tuples(BOX, st.integers(0, 8)), max_size=6))
def test_the_same_as_counted_cell_by_cell(found: list[tuple[tuple[int, int, int, int], int]]) -> None:
    """On a grid: any stronger one to the left, any to the right, and the cells of the box that lie in either."""
    cells = [{(x, y) for x in range(b[0], b[2]) for y in range(b[1], b[3])} for b, _ in found]
    expected = []
    for i, (box, score) in enumerate(found):
        stronger = [j for j, (_, other) in enumerate(found) if other / 8 >= score / 8 + WEAKER]
        left = [j for j in stronger if sum(found[j][0][::2]) < sum(box[::2])]
        right = [j for j in stronger if sum(found[j][0][::2]) > sum(box[::2])]
        shares = [len(cells[i] & (cells[a] | cells[b])) / len(cells[i]) for a in left for b in right]
        expected.append(max(shares, default=0.0) >= COVERED)
    assert marked(*((box, score / 8) for box, score in found)) == expected
