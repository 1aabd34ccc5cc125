"""Who is in a zone, since when, and since when each stands still there. The base of every rule about a zone.

Seconds decide, never frames. Standing outside for a moment (a trembling box on the border) is no leaving, and neither
is a track that is lost for a few seconds (`bridging`).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import cast

from edge.clock import Moment
from edge.video.rules.config import RuleClass
from edge.video.rules.scene import Point, SceneLook, Sight, distance, feet
from edge.video.zones import Polygon, inside

LEAVE_AFTER_S = 1.0
FRESH_S = 5.0
"""Somebody not seen for longer than this may be gone: nothing is told of them until they are seen again. Who pauses is
looked at every 2 s, and who stands still counts as seen all the time."""

STILL_RADIUS = 0.25
"""What stands still stays within so many of its own heights."""


@dataclass
class Visit:
    """One thing in the zone: when it came, when it was last seen at all and inside, and where it last moved."""

    since: Moment
    sight: Sight
    seen_s: float
    inside_s: float
    still_since: Moment
    anchor: Point
    told: bool = False

    def dwell_s(self, at_s: float) -> float:
        return at_s - self.since.monotonic_s

    def still_s(self, at_s: float) -> float:
        return at_s - self.still_since.monotonic_s


class Visits:
    """Those in one zone.

    Args:
        polygon: the zone; None: the whole picture.
        classes: what counts.
    """

    def __init__(self, polygon: Polygon | None, classes: frozenset[RuleClass]) -> None:
        self._polygon = polygon
        self._classes = classes
        self._visits: dict[int, Visit] = {}
        self.ended: list[Visit] = []
        """Those that ended with the last look."""

    def see(self, look: SceneLook) -> None:
        """Take a look, bridged."""
        self.ended = []
        watched = [sight for sight in look.sights if sight.what in self._classes]
        for sight, is_inside in zip(watched, self._within(watched), strict=True):
            if is_inside:
                self._inside(sight, look)
            else:
                self._outside(sight, look)
        for who in look.gone:
            self._end(who)

    def lose(self) -> None:
        """Forget all."""
        self._visits.clear()
        self.ended = []

    def fresh(self, at_s: float, within_s: float = FRESH_S) -> Iterator[Visit]:
        """Those who are there now, as far as is known: last seen inside, and not longer ago than that."""
        for visit in list(self._visits.values()):
            if visit.inside_s == visit.seen_s and at_s - visit.seen_s <= within_s:
                yield visit

    def _within(self, watched: Sequence[Sight]) -> Iterable[bool]:
        if self._polygon is None or not watched:
            return [True] * len(watched)
        return cast(Iterable[bool], inside(self._polygon, feet(watched)))

    def _inside(self, sight: Sight, look: SceneLook) -> None:
        visit = self._visits.get(sight.who)
        if visit is None:
            here = look.moment
            self._visits[sight.who] = Visit(here, sight, look.at_s, look.at_s, here, sight.foot)
            return
        visit.sight, visit.seen_s, visit.inside_s = sight, look.at_s, look.at_s
        if distance(sight.foot, visit.anchor, look.aspect) > STILL_RADIUS * sight.height:
            visit.anchor, visit.still_since = sight.foot, look.moment

    def _outside(self, sight: Sight, look: SceneLook) -> None:
        visit = self._visits.get(sight.who)
        if visit is None:
            return
        visit.seen_s = look.at_s
        if look.at_s - visit.inside_s >= LEAVE_AFTER_S:
            self._end(sight.who)

    def _end(self, who: int) -> None:
        visit = self._visits.pop(who, None)
        if visit is not None:
            self.ended.append(visit)
