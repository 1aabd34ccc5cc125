"""Polygons against a slow, exact reference; and coming and going with hysteresis."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from edge.video.zones import Areas, Entered, Left, Polygon, ZoneWatch, crossing_edges, foot_points, inside

GRID = 32
Exact = tuple[Fraction, Fraction]
coordinates = st.integers(0, GRID).map(lambda n: n / GRID)  # exact in binary, so that floats and fractions agree
points = st.tuples(coordinates, coordinates)
polygons = st.lists(points, min_size=3, max_size=8, unique=True).map(tuple)


def exact(point: tuple[float, float]) -> Exact:
    return Fraction(point[0]), Fraction(point[1])


def on_segment(p: Exact, a: Exact, b: Exact) -> bool:
    cross = (b[0] - a[0]) * (p[1] - a[1]) - (b[1] - a[1]) * (p[0] - a[0])
    return cross == 0 and min(a[0], b[0]) <= p[0] <= max(a[0], b[0]) and min(a[1], b[1]) <= p[1] <= max(a[1], b[1])


def slowly_inside(polygon: Polygon, point: tuple[float, float]) -> bool:
    p, corners = exact(point), [exact(corner) for corner in polygon]
    sides = list(zip(corners, corners[1:] + corners[:1], strict=True))
    if any(on_segment(p, a, b) for a, b in sides):
        return True
    crossings = 0
    for a, b in sides:
        if (a[1] <= p[1]) != (b[1] <= p[1]):
            x = a[0] + (p[1] - a[1]) / (b[1] - a[1]) * (b[0] - a[0])
            crossings += x > p[0]
    return crossings % 2 == 1


def slowly_crosses(polygon: Polygon) -> bool:
    """Whether two sides meet other than at the corner they share, by exact intersection."""
    corners = [exact(corner) for corner in polygon]
    count = len(corners)
    sides = [(corners[i], corners[(i + 1) % count]) for i in range(count)]
    for i in range(count):
        for j in range(i + 1, count):
            common = {sides[i][0], sides[i][1]} & {sides[j][0], sides[j][1]}
            adjacent = j == i + 1 or (i == 0 and j == count - 1)
            others = [p for p in sides[i] if p not in common and on_segment(p, *sides[j])]
            others += [p for p in sides[j] if p not in common and on_segment(p, *sides[i])]
            if others or (common and not adjacent) or properly_crosses(*sides[i], *sides[j]):
                return True
    return False


def properly_crosses(a: Exact, b: Exact, c: Exact, d: Exact) -> bool:
    r, s = (b[0] - a[0], b[1] - a[1]), (d[0] - c[0], d[1] - c[1])
    determinant = r[0] * s[1] - r[1] * s[0]
    if determinant == 0:
        return False
    t = ((c[0] - a[0]) * s[1] - (c[1] - a[1]) * s[0]) / determinant
    u = ((c[0] - a[0]) * r[1] - (c[1] - a[1]) * r[0]) / determinant
    return 0 < t < 1 and 0 < u < 1


@given(polygons, st.lists(points, min_size=1, max_size=20))
def test_inside_is_what_a_slow_ray_says(polygon: Polygon, where: list[tuple[float, float]]) -> None:
    assert inside(polygon, np.array(where)).tolist() == [slowly_inside(polygon, point) for point in where]


@given(st.lists(polygons, max_size=4), st.lists(points, max_size=10))
def test_many_polygons_asked_at_once_say_what_each_says(drawn: list[Polygon], where: list[tuple[float, float]]) -> None:
    held = Areas(drawn).hold(np.array(where).reshape(-1, 2))
    assert held.shape == (len(drawn), len(where))
    assert held.tolist() == [[slowly_inside(polygon, point) for point in where] for polygon in drawn]


@given(polygons, points, st.integers(0, 7))
def test_inside_depends_neither_on_the_first_corner_nor_on_the_direction(
    polygon: Polygon, point: tuple[float, float], turn: int
) -> None:
    turned = polygon[turn % len(polygon) :] + polygon[: turn % len(polygon)]
    where = np.array([point])
    assert inside(polygon, where) == inside(turned, where) == inside(polygon[::-1], where)


@given(polygons)
def test_crossing_sides_are_found_as_by_exact_intersection(polygon: Polygon) -> None:
    assert (crossing_edges(polygon) is not None) == slowly_crosses(polygon)


@given(st.floats(0.05, 0.95), st.floats(0.05, 0.95), st.floats(0.01, 0.04))
def test_a_small_triangle_holds_its_middle_alone(x: float, y: float, r: float) -> None:
    assume(r > 0)
    triangle = ((x - r, y - r), (x + r, y - r), (x, y + r))
    assert inside(triangle, np.array([[x, y - r / 3], [x, y + 2 * r], [x - 2 * r, y]])).tolist() == [True, False, False]


def test_a_foot_point_is_the_middle_of_the_lower_side_within_the_frame() -> None:
    boxes = np.array([[0.25, 0.0, 0.75, 0.5], [0.5, 0.5, 1.5, 1.25]])
    assert foot_points(boxes).tolist() == [[0.5, 0.5], [1.0, 1.0]]


SQUARE: Polygon = ((0.25, 0.25), (0.75, 0.25), (0.75, 0.75), (0.25, 0.75))
IN, OUT = np.array([[0.5, 0.5]]), np.array([[0.1, 0.1]])


def test_coming_in_is_told_at_once_and_once() -> None:
    watch = ZoneWatch(SQUARE)
    assert watch.see([7], OUT, 0.0) == []
    assert watch.see([7], IN, 0.2) == [Entered(7, 0.2)]
    assert watch.see([7], IN, 0.4) == []


def test_going_out_is_told_after_a_second_outside_with_the_time_inside() -> None:
    watch = ZoneWatch(SQUARE)
    watch.see([7], IN, 1.0)
    watch.see([7], IN, 4.0)
    assert watch.see([7], OUT, 4.5) == []
    assert watch.see([7], OUT, 5.0) == [Left(7, 4.0, 3.0)]
    assert watch.see([7], OUT, 6.0) == []


def test_trembling_on_the_border_changes_nothing() -> None:
    watch = ZoneWatch(SQUARE)
    told = [change for i in range(20) for change in watch.see([7], IN if i % 2 else OUT, i * 0.2)]
    assert told == [Entered(7, 0.2)]


def test_waiting_to_enter_starts_again_after_a_step_outside() -> None:
    watch = ZoneWatch(SQUARE, enter_after_s=1.0)
    assert watch.see([7], IN, 0.0) == []
    assert watch.see([7], OUT, 0.5) == []
    assert watch.see([7], IN, 1.0) == []
    assert watch.see([7], IN, 2.0) == [Entered(7, 2.0)]


def test_who_is_lost_inside_has_left_when_last_seen() -> None:
    watch = ZoneWatch(SQUARE)
    watch.see([7, 8], np.concatenate([IN, OUT]), 1.0)
    watch.see([7], IN, 2.5)
    assert watch.gone(7) == Left(7, 2.5, 1.5)
    assert watch.gone(7) is None
    assert watch.gone(8) is None


@pytest.mark.parametrize("polygon", [SQUARE, ((0.0, 0.0), (1.0, 0.0), (0.5, 1.0))])
def test_simple_polygons_are_accepted(polygon: Polygon) -> None:
    assert crossing_edges(polygon) is None
