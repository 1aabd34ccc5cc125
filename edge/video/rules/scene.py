"""What rules are given, one analysed frame at a time, and what they give back. Values only."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Protocol

import numpy as np

from edge.clock import Moment
from edge.video.rules.config import RuleClass
from edge.video.zones import Floats
from protocols.event_data import Box, EventData, VehicleKind

Corners = tuple[float, float, float, float]
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Sight:
    """A confirmed track that is seen now. `box` is x1, y1, x2, y2 in fractions of the frame."""

    track: int
    what: RuleClass
    score: float
    box: Corners
    who: int = 0
    """The same number for all the tracks that are thought to be one thing, lost for a moment (`bridging`)."""
    began: Corners | None = None
    """In the first look that shows it: its box up to two seconds before, when it was not yet sure to be something."""

    @property
    def foot(self) -> Point:
        """Where it stands: the middle of its box's lower side."""
        return (self.box[0] + self.box[2]) / 2, self.box[3]

    @property
    def height(self) -> float:
        """Of its box, as a share of the frame's height; never 0."""
        return max(1e-3, self.box[3] - self.box[1])

    @property
    def is_person(self) -> bool:
        return self.what is RuleClass.PERSON

    @property
    def vehicle(self) -> VehicleKind:
        """What it is called in events about vehicles."""
        return VehicleKind(self.what.value)


@dataclass(frozen=True)
class SceneLook:
    """One analysed frame; or, with nothing but what stands still, that time passed.

    What stands still is among the `sights` though it was not looked for. Another track that is not was not found in
    this frame, which says nothing, for it may be hidden. It is over when it is among the `ended`.
    """

    moment: Moment
    sights: tuple[Sight, ...] = ()
    ended: tuple[int, ...] = ()
    gone: tuple[int, ...] = ()
    """Those `who`s whose last track ended, and who have not been seen again for a few seconds."""
    aspect: float = 16 / 9
    """The frame's width over its height, so that distances are the same both ways."""

    @property
    def at_s(self) -> float:
        """Monotonic seconds."""
        return self.moment.monotonic_s

    @cached_property
    def stands(self) -> tuple[tuple[Point, float], ...]:
        """Where each of the `sights` stands and how tall it is, all in heights of the frame."""
        return tuple((standing(sight.box, self.aspect), sight.height) for sight in self.sights)


@dataclass(frozen=True)
class Finding:
    """What a rule tells, and what its picture should show: this part of the frame as it is now, or else (None, or no
    frame at hand) the best view of one of these tracks."""

    rule: str
    data: EventData
    tracks: tuple[int, ...] = ()
    box: Corners | None = None


class Rule(Protocol):
    """One rule of one camera. Told of every look, also outside its hours, so that it knows what there is."""

    id: str

    def see(self, look: SceneLook, may_tell: bool) -> list[Finding]:
        """What this look makes true. Nothing if it may not tell now; what still holds later is told then."""
        ...

    def lose(self) -> None:
        """The camera is away: nothing is known of the scene any more."""
        ...


def standing(box: Corners, aspect: float) -> Point:
    """Where something with this box (fractions of the frame) stands, in heights of the frame."""
    return (box[0] + box[2]) / 2 * aspect, box[3]


class CoolDown:
    """After an event a rule is silent for a while."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._until_s = float("-inf")

    def is_over(self, at_s: float) -> bool:
        return at_s >= self._until_s

    def start(self, at_s: float) -> None:
        self._until_s = at_s + self._seconds


def instant(moment: Moment) -> datetime:
    """The wall clock's time, as events have it."""
    return datetime.fromtimestamp(moment.wall_s, UTC)


def box_of(corners: Corners) -> Box:
    return Box(left=corners[0], top=corners[1], right=corners[2], bottom=corners[3])


def around(boxes: Sequence[Corners]) -> Corners:
    """The smallest box that holds them all."""
    columns = list(zip(*boxes, strict=True))
    return min(columns[0]), min(columns[1]), max(columns[2]), max(columns[3])


def feet(sights: Sequence[Sight]) -> Floats:
    """Foot points [N,2]."""
    return np.array([sight.foot for sight in sights], np.float64).reshape(-1, 2)


def distance(a: Point, b: Point, aspect: float) -> float:
    """Between two points, in heights of the frame."""
    return float(np.hypot((a[0] - b[0]) * aspect, a[1] - b[1]))
