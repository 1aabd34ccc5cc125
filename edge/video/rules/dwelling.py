"""The rules about who is in a zone for how long: forbidden, loitering, two-wheelers, standing vehicles, crowds."""

from collections.abc import Callable

from edge.video.rules.config import (
    CrowdRule,
    ForbiddenRule,
    LoiteringRule,
    RuleClass,
    StandingRule,
    TwoWheelerRule,
    classes_meant,
)
from edge.video.rules.scene import CoolDown, Finding, SceneLook, around, box_of, instant
from edge.video.rules.visits import Visit, Visits
from edge.video.zones import Polygon
from protocols.camera_events import (
    CrowdFormed,
    PersonIntruded,
    PersonLoitered,
    TwoWheelerInside,
    VehicleIntruded,
    VehicleStood,
)
from protocols.event_data import EventData

PERSONS = frozenset({RuleClass.PERSON})

_FEWER_S = 2.0
"""For so long a crowd may be fewer (one hides another) and still be the same."""

_COUNTED_S = 2.5
"""Of a crowd: who was not seen for longer is not counted. Somebody lost and found again would else count twice."""


class DwellRule:
    """Tells each visit once, when it has lasted long enough; what the cool-down keeps back is told after it.

    Args:
        rule: its id.
        visits: who is in the zone.
        lasted_s: for how long a visit has been what is to be told.
        min_s: how long that must be.
        cool_down_s: the silence after an event.
        tell: the event's data.
    """

    def __init__(
        self,
        rule: str,
        visits: Visits,
        lasted_s: Callable[[Visit, float], float],
        min_s: float,
        cool_down_s: float,
        tell: Callable[[Visit, float], EventData],
    ) -> None:
        self.id = rule
        self._visits, self._lasted_s, self._min_s, self._tell = visits, lasted_s, min_s, tell
        self._cool_down = CoolDown(cool_down_s)

    def see(self, look: SceneLook, may_tell: bool) -> list[Finding]:
        self._visits.see(look)
        findings = []
        for visit in self._visits.fresh(look.at_s) if may_tell else ():
            is_due = not visit.told and self._lasted_s(visit, look.at_s) >= self._min_s
            if is_due and self._cool_down.is_over(look.at_s):
                visit.told = True
                self._cool_down.start(look.at_s)
                sight = visit.sight
                findings.append(Finding(self.id, self._tell(visit, look.at_s), (sight.track,), sight.box))
        return findings

    def lose(self) -> None:
        self._visits.lose()


def forbidden(rule: ForbiddenRule, polygon: Polygon | None) -> DwellRule:
    """Somebody where or when nobody may be."""

    def tell(visit: Visit, at_s: float) -> EventData:
        del at_s
        if visit.sight.is_person:
            return PersonIntruded(rule=rule.id, zone=rule.zone, **_seen(visit))
        return VehicleIntruded(rule=rule.id, zone=rule.zone, kind=visit.sight.vehicle, **_seen(visit))

    visits = Visits(polygon, classes_meant(rule.classes))
    return DwellRule(rule.id, visits, Visit.dwell_s, rule.min_s, rule.cool_down_s, tell)


def loitering(rule: LoiteringRule, polygon: Polygon | None) -> DwellRule:
    """Somebody who stays too long."""

    def tell(visit: Visit, at_s: float) -> EventData:
        return PersonLoitered(rule=rule.id, zone=rule.zone, dwell_s=round(visit.dwell_s(at_s), 3), **_seen(visit))

    return DwellRule(rule.id, Visits(polygon, PERSONS), Visit.dwell_s, rule.min_s, rule.cool_down_s, tell)


def two_wheeler(rule: TwoWheelerRule, polygon: Polygon | None) -> DwellRule:
    """An e-bike where none may be."""

    def tell(visit: Visit, at_s: float) -> EventData:
        del at_s
        return TwoWheelerInside(rule=rule.id, zone=rule.zone, kind=visit.sight.vehicle, **_seen(visit))

    visits = Visits(polygon, classes_meant(rule.classes) - PERSONS)
    return DwellRule(rule.id, visits, Visit.dwell_s, rule.min_s, rule.cool_down_s, tell)


def standing(rule: StandingRule, polygon: Polygon | None) -> DwellRule:
    """A vehicle that stands where none may; once until it leaves the zone."""

    def tell(visit: Visit, at_s: float) -> EventData:
        seen = _seen(visit) | {"since": instant(visit.still_since)}
        still_s = round(visit.still_s(at_s), 3)
        return VehicleStood(rule=rule.id, zone=rule.zone, kind=visit.sight.vehicle, still_s=still_s, **seen)

    visits = Visits(polygon, classes_meant(rule.classes) - PERSONS)
    return DwellRule(rule.id, visits, Visit.still_s, rule.min_s, rule.cool_down_s, tell)


def _seen(visit: Visit) -> dict[str, object]:
    """The fields that every event about a visit has."""
    sight = visit.sight
    return {
        "track": sight.track,
        "score": min(1.0, sight.score),
        "box": box_of(sight.box),
        "since": instant(visit.since),
    }


class Crowd:
    """So many people in a zone at once, for so long; told once until they are fewer."""

    def __init__(self, rule: CrowdRule, polygon: Polygon | None) -> None:
        self.id = rule.id
        self._rule = rule
        self._visits = Visits(polygon, PERSONS)
        self._cool_down = CoolDown(rule.cool_down_s)
        self._crowd: _Crowd | None = None

    def see(self, look: SceneLook, may_tell: bool) -> list[Finding]:
        self._visits.see(look)
        there = list(self._visits.fresh(look.at_s, _COUNTED_S))
        if len(there) >= self._rule.persons:
            self._crowd = self._crowd or _Crowd(look)
            self._crowd.last_s = look.at_s
        elif self._crowd is not None and look.at_s - self._crowd.last_s > _FEWER_S:
            self._crowd = None
        crowd = self._crowd
        if crowd is None or crowd.told or not may_tell or len(there) < self._rule.persons:
            return []
        lasted_s = look.at_s - crowd.since.monotonic_s
        if lasted_s < self._rule.min_s or not self._cool_down.is_over(look.at_s):
            return []
        crowd.told = True
        self._cool_down.start(look.at_s)
        box = around([visit.sight.box for visit in there])
        data = CrowdFormed(
            rule=self.id, zone=self._rule.zone, count=len(there), box=box_of(box), since=instant(crowd.since)
        )
        return [Finding(self.id, data, tuple(visit.sight.track for visit in there), box)]

    def lose(self) -> None:
        self._visits.lose()
        self._crowd = None


class _Crowd:
    def __init__(self, look: SceneLook) -> None:
        self.since = look.moment
        self.last_s = look.at_s
        self.told = False
