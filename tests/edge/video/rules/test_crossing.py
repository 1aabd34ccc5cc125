"""Lines: geometry against an exact reference, hysteresis on both sides, directions, counts; on made-up tracks."""

from dataclasses import replace
from datetime import datetime
from fractions import Fraction

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from edge.video.rules.crossing import Crossings, Segment
from protocols.camera_events import PersonCrossedLine, PersonIntruded, VehicleCrossedLine, VehicleIntruded
from protocols.event_data import VehicleKind
from tests.edge.video.rules.scenes import NOON, SHANGHAI, Scene, at

GRID = 16
coordinates = st.integers(0, GRID).map(lambda n: n / GRID)  # exact in binary, so that floats and fractions agree
points = st.tuples(coordinates, coordinates)
paths = st.lists(points, min_size=2, max_size=12)
margins = st.sampled_from([0.0, 1 / 16, 3 / 16])


def crossings(segment: Segment, margin: float, path: list[tuple[float, float]]) -> list[int]:
    """Every crossing of one track, as often as it crosses (each piece of the path is a track's first)."""
    watch = Crossings(segment, margin)
    return [way for point in path if (way := watch.see(1, point, 1.0))]


def slowly(segment: Segment, margin: float, path: list[tuple[float, float]]) -> list[int]:
    """The same by exact fractions and from the words: it was clearly on one side, last came over the endless line
    within the segment, and is now clearly on the other; once in each direction."""
    (ax, ay), (bx, by) = ((Fraction(x), Fraction(y)) for x, y in (segment.start, segment.end))
    dx, dy = bx - ax, by - ay
    found: list[int] = []
    side, over, last = 0, False, None
    for x, y in path:
        px, py = Fraction(x), Fraction(y)
        cross = (px - ax) * dy - (py - ay) * dx
        if last is not None and cross != 0 and (cross > 0) != (last[2] > 0):
            share = last[2] / (last[2] - cross)
            mx, my = last[0] + share * (px - last[0]), last[1] + share * (py - last[1])
            along = (mx - ax) * dx + (my - ay) * dy
            assume(along not in (0, dx * dx + dy * dy))  # through an end itself: a tie that floats may lose
            over = 0 <= along <= dx * dx + dy * dy
        if cross != 0 or last is None:
            last = (px, py, cross)
        if cross * cross > Fraction(margin) ** 2 * (dx * dx + dy * dy):
            now = 1 if cross > 0 else -1
            if over and side == -now and now not in found:
                found.append(now)
            side, over = now, False
    return found


@pytest.mark.parametrize(("began", "told"), [(0.4, 1), (0.6, 0), (None, 0)])
def test_who_crossed_before_being_confirmed_is_counted_when_confirmed(began: float | None, told: int) -> None:
    scene = Scene({"id": "r-count", "kind": "line_crossing", "line": "l-door"})
    first = replace(at(0.62), began=at(began).box if began is not None else None)
    scene.see(first)
    scene.see(at(0.66))
    assert [event.direction for event in scene.of(PersonCrossedLine)] == ["in"] * told


@settings(max_examples=400, deadline=None)
@given(points, points, margins, paths)
def test_crossings_agree_with_exact_arithmetic(
    start: tuple[float, float], end: tuple[float, float], margin: float, path: list[tuple[float, float]]
) -> None:
    assume(start != end)
    segment = Segment(start, end)
    lengths = [abs(segment.left_of(point)) for point in path]
    assume(all(abs(length - margin) > 1e-9 or margin == 0.0 for length in lengths))  # a tie in floats is no fault
    assert crossings(segment, margin, path) == slowly(segment, margin, path)


@settings(max_examples=200, deadline=None)
@given(points, points, margins, paths)
def test_turning_the_line_round_turns_the_directions_and_nothing_else(
    start: tuple[float, float], end: tuple[float, float], margin: float, path: list[tuple[float, float]]
) -> None:
    assume(start != end)
    one, other = crossings(Segment(start, end), margin, path), crossings(Segment(end, start), margin, path)
    sure = [abs(Segment(start, end).left_of(point)) for point in path]
    assume(all(abs(length - margin) > 1e-9 for length in sure))
    slowly(Segment(start, end), margin, path)  # leaves ties out
    assert one == [-way for way in other]


@given(paths, margins)
def test_who_stays_on_one_side_crosses_nothing(path: list[tuple[float, float]], margin: float) -> None:
    assert crossings(Segment((0.0, 1.5), (1.0, 1.5)), margin, path) == []


@given(st.lists(st.floats(-0.9, 0.9), min_size=1, max_size=50))
def test_trembling_within_the_margin_crosses_nothing(offsets: list[float]) -> None:
    watch = Crossings(Segment((0.0, 0.0), (0.0, 1.0)), margin=1.0)
    assert all(watch.see(1, (x, 0.5), 1.0) == 0 for x in [-1.5, *offsets])


def test_left_is_left_for_who_looks_along_the_line() -> None:
    upwards = Segment((0.5, 1.0), (0.5, 0.0))
    assert upwards.left_of((0.2, 0.5)) == pytest.approx(0.3)
    assert upwards.left_of((0.9, 0.5)) == pytest.approx(-0.4)


def test_the_margin_grows_with_the_thing() -> None:
    def way(height: float) -> list[int]:
        watch = Crossings(Segment((0.5, 1.0), (0.5, 0.0)), margin=0.5)
        return [watch.see(1, (x, 0.5), height) for x in (0.4, 0.6)]

    assert (way(0.1), way(0.5)) == ([0, -1], [0, 0])


def line(**more: object) -> dict[str, object]:
    return {"id": "r", "kind": "line_crossing", "line": "l-door", **more}


def test_a_walker_crosses_once_with_the_direction_s_name_and_the_moment() -> None:
    scene = Scene(line())
    scene.walk(0.2, 0.8)
    [told] = scene.of(PersonCrossedLine)
    assert (told.line, told.direction, told.count, told.track) == ("l-door", "in", 1, 1)
    assert scene.times == [pytest.approx(0.2 * 17)]  # at x = 0.54, the first beyond a tenth of the height
    assert told.since.timestamp() == NOON


def test_there_and_back_are_two_crossings_and_again_is_none() -> None:
    scene = Scene(line())
    for start, stop in ((0.2, 0.8), (0.8, 0.2), (0.2, 0.8)):
        scene.walk(start, stop)
    assert [told.direction for told in scene.of(PersonCrossedLine)] == ["in", "out"]


def test_round_the_end_of_the_line_is_no_crossing() -> None:
    scene = Scene(line())
    scene.walk(0.2, 0.8, foot=0.15)  # above its upper end
    assert scene.findings == []


def test_a_fast_one_that_is_seen_twice_only_has_crossed() -> None:
    scene = Scene(line())
    scene.see(at(0.3, what="car"))
    scene.see(at(0.7, what="car"))
    assert [told.kind for told in scene.of(VehicleCrossedLine)] == [VehicleKind.CAR]


def test_a_track_that_begins_on_the_line_has_come_from_nowhere() -> None:
    scene = Scene(line())
    scene.walk(0.51, 0.9)
    assert scene.findings == []


def test_each_direction_and_kind_has_its_own_count_and_a_day_begins_at_local_midnight() -> None:
    begin = datetime(2026, 5, 6, 23, 58, 0, tzinfo=SHANGHAI).timestamp()
    scene = Scene(line(), begin=begin)
    for track, (start, stop) in enumerate([(0.3, 0.7), (0.3, 0.7), (0.7, 0.3)], 1):
        scene.walk(start, stop, track=track)
    scene.walk(0.3, 0.7, track=4, what="car")
    assert [(t.direction, t.count) for t in scene.of(PersonCrossedLine)] == [("in", 1), ("in", 2), ("out", 1)]
    assert [t.count for t in scene.of(VehicleCrossedLine)] == [1]
    scene.stay(120.0, every_s=1.0)
    scene.walk(0.3, 0.7, track=5)
    last = scene.of(PersonCrossedLine)[-1]
    assert (last.count, last.since.astimezone(SHANGHAI).isoformat()) == (1, "2026-05-07T00:00:00+08:00")


def test_only_the_directions_and_classes_named_are_told() -> None:
    scene = Scene(line(directions=["out"], classes=["person"]))
    scene.walk(0.3, 0.7)
    scene.walk(0.7, 0.3, track=2, what="car")
    scene.walk(0.7, 0.3, track=3)
    assert [(told.direction, told.track) for told in scene.of(PersonCrossedLine)] == [("out", 3)]
    assert len(scene.findings) == 1


def test_crossings_in_the_cool_down_are_counted_and_not_told() -> None:
    scene = Scene(line(cool_down_s=10.0))
    for track in range(1, 6):
        scene.walk(0.3, 0.7, track=track)
    assert [told.count for told in scene.of(PersonCrossedLine)] == [1, 4]


def test_outside_its_hours_nothing_is_counted() -> None:
    scene = Scene(line(hours=["wed 00:00-12:00"]))
    scene.walk(0.3, 0.7)
    assert scene.findings == []


def test_a_forbidden_line_is_an_alarm_in_its_direction() -> None:
    rule = {"id": "r", "kind": "forbidden", "line": "l-door", "directions": ["in"], "classes": ["person", "vehicle"]}
    scene = Scene(rule | {"cool_down_s": 0})
    scene.walk(0.7, 0.3)
    scene.walk(0.3, 0.7, track=2)
    scene.walk(0.3, 0.7, track=3, what="truck")
    [person] = scene.of(PersonIntruded)
    assert (person.line, person.direction, person.zone, person.track) == ("l-door", "in", None, 2)
    assert [told.track for told in scene.of(VehicleIntruded)] == [3]
