"""Lines: who crosses one, in which direction, counted; and lines that nobody may cross.

A line is a bounded segment: going round its end is no crossing. A thing is on a side once its foot point is further
from the line than the margin, so that a box that trembles on the line crosses nothing.
"""

from collections import Counter
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import cached_property
from zoneinfo import ZoneInfo

from edge.clock import Moment
from edge.video.rules.config import ForbiddenRule, LineConfig, LineCrossingRule, RuleClass, classes_meant
from edge.video.rules.scene import CoolDown, Finding, Point, SceneLook, Sight, box_of, instant, standing
from protocols.camera_events import PersonCrossedLine, PersonIntruded, VehicleCrossedLine, VehicleIntruded
from protocols.event_data import EventData


@dataclass(frozen=True)
class Segment:
    """A line from `start` to `end`, all in heights of the frame (x times its aspect), y growing downwards."""

    start: Point
    end: Point

    @cached_property
    def _along(self) -> tuple[float, float, float]:
        """From start to end, and how far that is."""
        x, y = self.end[0] - self.start[0], self.end[1] - self.start[1]
        return x, y, float((x**2 + y**2) ** 0.5)

    def left_of(self, point: Point) -> float:
        """How far the point is to the left of the endless line, as seen along it in the picture; negative: right."""
        along_x, along_y, length = self._along
        turned = (point[0] - self.start[0]) * along_y - (point[1] - self.start[1]) * along_x
        return turned / length

    def is_between(self, point: Point) -> bool:
        """Whether the point, dropped at a right angle on the endless line, meets the segment (its ends included)."""
        along_x, along_y = self.end[0] - self.start[0], self.end[1] - self.start[1]
        share = (point[0] - self.start[0]) * along_x + (point[1] - self.start[1]) * along_y
        return 0.0 <= share <= along_x**2 + along_y**2


@dataclass
class _Walk:
    """What is remembered of one track: its last point off the line, the side it was last clearly on, and whether it
    last came over within the segment."""

    point: Point
    left: float
    side: int = 0
    came_over: bool = False


class Crossings:
    """Who crosses one line. Each track once in each direction.

    Args:
        segment: the line.
        margin: how far off, in the thing's own heights, it is clearly on a side.
    """

    def __init__(self, segment: Segment, margin: float) -> None:
        self._segment, self._margin = segment, margin
        self._walks: dict[int, _Walk] = {}
        self._done: dict[int, set[int]] = {}

    def see(self, track: int, point: Point, height: float) -> int:
        """A thing of that height stands at `point`: +1 if it has now crossed to the left, -1 to the right, else 0."""
        left = self._segment.left_of(point)
        walk = self._walks.get(track)
        if walk is None:
            walk = self._walks[track] = _Walk(point, left)
        elif left != 0.0:
            if (left > 0) != (walk.left > 0):
                walk.came_over = self._over_segment(walk, point, left)
            walk.point, walk.left = point, left
        if abs(left) <= self._margin * height:
            return 0
        side = 1 if left > 0 else -1
        crossed = walk.came_over and walk.side == -side
        walk.side, walk.came_over = side, False
        if not crossed:
            return 0
        done = self._done.setdefault(track, set())
        if side in done:
            return 0
        done.add(side)
        return side

    def end(self, track: int) -> None:
        """The track is over."""
        self._walks.pop(track, None)
        self._done.pop(track, None)

    def lose(self) -> None:
        """Forget all."""
        self._walks.clear()
        self._done.clear()

    def _over_segment(self, walk: _Walk, point: Point, left: float) -> bool:
        """Whether the straight step from the last point to this one meets the line within the segment."""
        share = walk.left / (walk.left - left)
        meets = tuple(a + share * (b - a) for a, b in zip(walk.point, point, strict=True))
        return self._segment.is_between((meets[0], meets[1]))


@dataclass(frozen=True)
class Crossed:
    """A sight that has just crossed, and in which direction."""

    sight: Sight
    direction: str


class LineWatch:
    """A camera's line: turns looks into crossings."""

    def __init__(self, line: LineConfig, classes: frozenset[RuleClass]) -> None:
        self._line, self._classes = line, classes
        self._crossings: Crossings | None = None

    def see(self, look: SceneLook) -> list[Crossed]:
        if self._crossings is None:
            ends = [(x * look.aspect, y) for x, y in self._line.points]
            self._crossings = Crossings(Segment(ends[0], ends[1]), self._line.margin)
        crossed = []
        for sight, (point, height) in zip(look.sights, look.stands, strict=True):
            if sight.what in self._classes:
                if sight.began is not None:  # who crosses while not yet confirmed is counted when confirmed
                    before = replace(sight, box=sight.began)
                    self._crossings.see(sight.track, standing(before.box, look.aspect), before.height)
                way = self._crossings.see(sight.track, point, height)
                if way:
                    crossed.append(Crossed(sight, self._line.to_left if way > 0 else self._line.to_right))
        for track in look.ended:
            self._crossings.end(track)
        return crossed

    def lose(self) -> None:
        if self._crossings is not None:
            self._crossings.lose()


class _DayCount:
    """Crossings by class and direction since the local day began."""

    def __init__(self, zone: ZoneInfo) -> None:
        self._zone = zone
        self._day: date | None = None
        self._since: datetime | None = None
        self._counts: Counter[tuple[bool, str]] = Counter()

    def add(self, crossed: Crossed, moment: Moment) -> int:
        """Count it; the count of its own kind and direction so far."""
        key = crossed.sight.is_person, crossed.direction
        self.since(moment)
        self._counts[key] += 1
        return self._counts[key]

    def since(self, moment: Moment) -> datetime:
        """When this day's counting began; a new day begins here."""
        local = datetime.fromtimestamp(moment.wall_s, self._zone)
        if self._since is None or self._day is None:
            self._since, self._day = instant(moment), local.date()
        elif local.date() > self._day:
            self._since, self._day = local.replace(hour=0, minute=0, second=0, microsecond=0), local.date()
            self._counts.clear()
        return self._since


class LineCrossing:
    """Tells and counts crossings."""

    def __init__(self, rule: LineCrossingRule, line: LineConfig, zone: ZoneInfo) -> None:
        self.id = rule.id
        self._line = line.id
        self._directions = rule.directions or line.directions
        self._watch = LineWatch(line, classes_meant(rule.classes))
        self._count = _DayCount(zone)
        self._cool_down = CoolDown(rule.cool_down_s)

    def see(self, look: SceneLook, may_tell: bool) -> list[Finding]:
        self._count.since(look.moment)
        findings = []
        for crossed in self._watch.see(look):
            if not may_tell or crossed.direction not in self._directions:
                continue
            count = self._count.add(crossed, look.moment)
            if self._cool_down.is_over(look.at_s):
                self._cool_down.start(look.at_s)
                findings.append(_finding(self.id, crossed, self._data(crossed, count, look.moment)))
        return findings

    def lose(self) -> None:
        self._watch.lose()

    def _data(self, crossed: Crossed, count: int, moment: Moment) -> EventData:
        fields = _seen(crossed) | {"rule": self.id, "line": self._line, "direction": crossed.direction}
        fields |= {"count": count, "since": self._count.since(moment)}
        if crossed.sight.is_person:
            return PersonCrossedLine(**fields)
        return VehicleCrossedLine(kind=crossed.sight.vehicle, **fields)


class ForbiddenLine:
    """Tells who comes over a line that nobody may cross."""

    def __init__(self, rule: ForbiddenRule, line: LineConfig) -> None:
        self.id = rule.id
        self._line = line.id
        self._directions = rule.directions or line.directions
        self._watch = LineWatch(line, classes_meant(rule.classes))
        self._cool_down = CoolDown(rule.cool_down_s)

    def see(self, look: SceneLook, may_tell: bool) -> list[Finding]:
        findings = []
        for crossed in self._watch.see(look):
            is_forbidden = may_tell and crossed.direction in self._directions
            if is_forbidden and self._cool_down.is_over(look.at_s):
                self._cool_down.start(look.at_s)
                findings.append(_finding(self.id, crossed, self._data(crossed, look.moment)))
        return findings

    def lose(self) -> None:
        self._watch.lose()

    def _data(self, crossed: Crossed, moment: Moment) -> EventData:
        fields = _seen(crossed) | {"rule": self.id, "line": self._line, "direction": crossed.direction}
        fields["since"] = instant(moment)
        if crossed.sight.is_person:
            return PersonIntruded(**fields)
        return VehicleIntruded(kind=crossed.sight.vehicle, **fields)


def _seen(crossed: Crossed) -> dict[str, object]:
    sight = crossed.sight
    return {"track": sight.track, "score": min(1.0, sight.score), "box": box_of(sight.box)}


def _finding(rule: str, crossed: Crossed, data: EventData) -> Finding:
    return Finding(rule, data, (crossed.sight.track,), crossed.sight.box)
