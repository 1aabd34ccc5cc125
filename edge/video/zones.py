"""Zones: polygons in a picture, and when something is held to have come into one or gone out.

A thing stands where its foot point is: the middle of its box's lower side. Coordinates are fractions of the frame.
Polygons are closed sets: a point on a side or corner is inside. Knows nothing of cameras, detectors or events.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Polygon = tuple[tuple[float, float], ...]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


def foot_points(boxes: npt.NDArray[np.floating]) -> Floats:
    """The points [N,2] on which things with `boxes` [N,4] (x1, y1, x2, y2) stand, kept within the frame."""
    middle = (boxes[:, 0].astype(np.float64) + boxes[:, 2]) / 2
    return np.clip(np.stack([middle, boxes[:, 3].astype(np.float64)], axis=1), 0.0, 1.0)


class Areas:
    """Closed polygons, prepared for many questions, which are asked of all at once: the asking is what costs."""

    def __init__(self, polygons: Sequence[Polygon]) -> None:
        sides = [(np.asarray(polygon, np.float64), np.roll(polygon, -1, axis=0)) for polygon in polygons]
        start = np.concatenate([np.zeros((0, 2)), *(start for start, _ in sides)])
        end = np.concatenate([np.zeros((0, 2)), *(end for _, end in sides)])
        self._firsts = np.cumsum([0, *(len(polygon) for polygon in polygons)])[:-1]  # each polygon's first side
        self._start, self._edge = start.T.copy(), (end - start).T.copy()
        self._low, self._high = np.minimum(start, end).T.copy(), np.maximum(start, end).T.copy()
        self._start_y, self._end_y = start[:, 1].copy(), end[:, 1].copy()
        self._upward = np.where(end[:, 1] > start[:, 1], 1.0, -1.0)

    def hold(self, points: Floats) -> Mask:
        """Which polygons hold which of `points` [N,2] (even-odd rule, a ray to the right): [polygons, N]."""
        if not len(self._firsts) or not len(points):
            return np.zeros((len(self._firsts), len(points)), np.bool_)
        x, y = points[:, 0, None], points[:, 1, None]
        # > 0: left of the side, seen along it
        cross = self._edge[0] * (y - self._start[1]) - self._edge[1] * (x - self._start[0])
        to_the_right = ((self._start_y <= y) != (self._end_y <= y)) & (cross * self._upward > 0)
        held: Mask = np.logical_xor.reduceat(to_the_right, self._firsts, axis=1)
        on_line = cross == 0
        if on_line.any():
            (low_x, low_y), (high_x, high_y) = self._low, self._high
            on_side = on_line & (x >= low_x) & (x <= high_x) & (y >= low_y) & (y <= high_y)
            held |= np.logical_or.reduceat(on_side, self._firsts, axis=1)
        return held.T


def inside(polygon: Polygon, points: Floats) -> Mask:
    """Which of `points` [N,2] lie in the closed polygon."""
    held: Mask = Areas([polygon]).hold(points)[0]
    return held


def crossing_edges(polygon: Polygon) -> tuple[int, int] | None:
    """The first two sides (by the number of their first corner) that meet other than at a shared corner, or None."""
    count = len(polygon)
    sides = [(polygon[i], polygon[(i + 1) % count]) for i in range(count)]
    for i in range(count):
        if sides[i][0] == sides[i][1]:
            return i, i
        for j in range(i + 1, count):
            if j == i + 1 or (i == 0 and j == count - 1):
                first, second = (sides[i], sides[j]) if j == i + 1 else (sides[j], sides[i])
                if _folds_back(first[0], first[1], second[1]):
                    return i, j
            elif _meet(*sides[i], *sides[j]):
                return i, j
    return None


def _turn(a: Sequence[float], b: Sequence[float], c: Sequence[float]) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def _folds_back(a: Sequence[float], b: Sequence[float], c: Sequence[float]) -> bool:
    """Whether side b-c runs back along side a-b."""
    dot = (b[0] - a[0]) * (c[0] - b[0]) + (b[1] - a[1]) * (c[1] - b[1])
    return _turn(a, b, c) == 0 and dot <= 0


def _meet(a: Sequence[float], b: Sequence[float], c: Sequence[float], d: Sequence[float]) -> bool:
    """Whether the closed segments a-b and c-d have a point in common."""
    abc, abd, cda, cdb = _turn(a, b, c), _turn(a, b, d), _turn(c, d, a), _turn(c, d, b)
    if ((abc > 0) != (abd > 0)) and ((cda > 0) != (cdb > 0)) and 0 not in (abc, abd, cda, cdb):
        return True
    return any(
        turn == 0 and _between(p, q, r)
        for turn, p, q, r in ((abc, a, b, c), (abd, a, b, d), (cda, c, d, a), (cdb, c, d, b))
    )


def _between(a: Sequence[float], b: Sequence[float], c: Sequence[float]) -> bool:
    return min(a[0], b[0]) <= c[0] <= max(a[0], b[0]) and min(a[1], b[1]) <= c[1] <= max(a[1], b[1])


@dataclass(frozen=True)
class Entered:
    """Thing `thing` came into the zone at `at_s`."""

    thing: int
    at_s: float


@dataclass(frozen=True)
class Left:
    """Thing `thing` was last inside the zone at `at_s`, `dwell_s` after it came in."""

    thing: int
    at_s: float
    dwell_s: float


@dataclass
class _Stay:
    since_s: float
    last_inside_s: float
    entered: bool = False


class ZoneWatch:
    """Who is in one zone. Passing out or in for a moment (a trembling box on the border) is not a change.

    Args:
        polygon: the zone.
        enter_after_s: how long a thing must be seen inside before it counts as in.
        leave_after_s: how long it must be seen outside before it counts as out.
    """

    def __init__(self, polygon: Polygon, enter_after_s: float = 0.0, leave_after_s: float = 1.0) -> None:
        self._areas = Areas([polygon])
        self._enter_after_s = enter_after_s
        self._leave_after_s = leave_after_s
        self._stays: dict[int, _Stay] = {}

    def see(self, things: Sequence[int], points: Floats, at_s: float) -> list[Entered | Left]:
        """Things were seen standing at `points` [N,2] at `at_s` (monotonic). Says who came in and who went out."""
        return self.note(things, self._areas.hold(points)[0].tolist(), at_s)

    def note(self, things: Sequence[int], within: Sequence[bool], at_s: float) -> list[Entered | Left]:
        """The same, where it is known which of them stand within."""
        changes: list[Entered | Left] = []
        for thing, is_inside in zip(things, within, strict=True):
            change = self._inside(thing, at_s) if is_inside else self._outside(thing, at_s)
            if change is not None:
                changes.append(change)
        return changes

    def gone(self, thing: int) -> Left | None:
        """The thing is no longer followed: it left, if it was in, when it was last seen inside."""
        stay = self._stays.pop(thing, None)
        return _left(thing, stay) if stay is not None and stay.entered else None

    def _inside(self, thing: int, at_s: float) -> Entered | None:
        stay = self._stays.setdefault(thing, _Stay(at_s, at_s))
        stay.last_inside_s = at_s
        if stay.entered or at_s - stay.since_s < self._enter_after_s:
            return None
        stay.entered = True
        return Entered(thing, at_s)

    def _outside(self, thing: int, at_s: float) -> Left | None:
        stay = self._stays.get(thing)
        if stay is None or (stay.entered and at_s - stay.last_inside_s < self._leave_after_s):
            return None
        del self._stays[thing]
        return _left(thing, stay) if stay.entered else None


def _left(thing: int, stay: _Stay) -> Left:
    return Left(thing, stay.last_inside_s, stay.last_inside_s - stay.since_s)
