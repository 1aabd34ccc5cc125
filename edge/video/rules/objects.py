"""Things on wheels that are left behind, or that somebody takes. The detector knows no bags and no boxes."""

from edge.video.rules.config import ObjectLeftRule, ObjectTakenRule, RuleClass, classes_meant
from edge.video.rules.dwelling import PERSONS
from edge.video.rules.scene import CoolDown, Finding, SceneLook, Sight, box_of, distance, instant
from edge.video.rules.visits import FRESH_S, STILL_RADIUS, Visit, Visits
from edge.video.zones import Polygon
from protocols.camera_events import VehicleLeftBehind, VehicleTaken

NEAR = 1.5
"""Whoever stands within so many of his own heights is with the thing."""

MOVED = 1.0
"""What stands so many of its own heights from where it stood has been taken."""

AWAY_S = 20.0
"""Of a thing that is no longer found: so long after it was last seen it has been taken, not hidden."""


class ObjectLeft:
    """Tells each thing once that has stood still, with nobody near it, for long enough."""

    def __init__(self, rule: ObjectLeftRule, polygon: Polygon | None) -> None:
        self.id = rule.id
        self._rule = rule
        self._visits = Visits(polygon, classes_meant(rule.classes) - PERSONS)
        self._people: dict[int, tuple[Sight, float]] = {}
        self._attended_s: dict[int, float] = {}
        self._cool_down = CoolDown(rule.cool_down_s)

    def see(self, look: SceneLook, may_tell: bool) -> list[Finding]:
        self._visits.see(look)
        self._see_people(look)
        findings = []
        for visit in self._visits.fresh(look.at_s):
            if self._is_attended(visit, look):
                self._attended_s[visit.sight.who] = look.at_s
            alone_since_s = max(visit.still_since.monotonic_s, self._attended_s.get(visit.sight.who, float("-inf")))
            is_due = not visit.told and look.at_s - alone_since_s >= self._rule.min_s
            if may_tell and is_due and self._cool_down.is_over(look.at_s):
                visit.told = True
                self._cool_down.start(look.at_s)
                findings.append(self._finding(visit))
        for visit in self._visits.ended:
            self._attended_s.pop(visit.sight.who, None)
        return findings

    def lose(self) -> None:
        self._visits.lose()
        self._people.clear()
        self._attended_s.clear()

    def _see_people(self, look: SceneLook) -> None:
        self._people.update((s.who, (s, look.at_s)) for s in look.sights if s.what is RuleClass.PERSON)
        self._people = {who: seen for who, seen in self._people.items() if look.at_s - seen[1] <= FRESH_S}

    def _is_attended(self, visit: Visit, look: SceneLook) -> bool:
        foot = visit.sight.foot
        return any(distance(s.foot, foot, look.aspect) <= NEAR * s.height for s, _ in self._people.values())

    def _finding(self, visit: Visit) -> Finding:
        sight = visit.sight
        data = VehicleLeftBehind(
            rule=self.id,
            zone=self._rule.zone,
            track=sight.track,
            score=min(1.0, sight.score),
            box=box_of(sight.box),
            since=instant(visit.still_since),
            kind=sight.vehicle,
        )
        return Finding(self.id, data, (sight.track,), sight.box)


class _Standing:
    """A thing that has stood long enough to be missed."""

    def __init__(self, visit: Visit) -> None:
        self.sight = visit.sight
        self.anchor = visit.anchor
        self.since = visit.still_since
        self.seen_s = visit.seen_s


class ObjectTaken:
    """Tells each thing once that stood for long enough and is gone from where it stood."""

    def __init__(self, rule: ObjectTakenRule, polygon: Polygon | None) -> None:
        self.id = rule.id
        self._rule = rule
        self._visits = Visits(polygon, classes_meant(rule.classes) - PERSONS)
        self._standing: dict[int, _Standing] = {}
        self._lost: dict[int, _Standing] = {}
        """No longer followed; perhaps only hidden."""
        self._cool_down = CoolDown(rule.cool_down_s)

    def see(self, look: SceneLook, may_tell: bool) -> list[Finding]:
        self._visits.see(look)
        for visit in self._visits.fresh(look.at_s):
            self._note(visit, look)
        for visit in self._visits.ended:
            standing = self._standing.pop(visit.sight.who, None)
            if standing is not None:
                self._lost[visit.sight.who] = standing
        taken = [who for who, standing in self._standing.items() if self._has_moved(who, standing, look)]
        taken_things = [self._standing.pop(who) for who in taken]
        overdue = [who for who, standing in self._lost.items() if look.at_s - standing.seen_s >= AWAY_S]
        taken_things += [self._lost.pop(who) for who in overdue]
        return [self._finding(each) for each in taken_things if may_tell and self._is_told(look.at_s)]

    def lose(self) -> None:
        self._visits.lose()
        self._standing.clear()
        self._lost.clear()

    def _note(self, visit: Visit, look: SceneLook) -> None:
        who = visit.sight.who
        self._found_again(visit, look)
        standing = self._standing.get(who)
        if standing is not None:
            standing.seen_s = visit.seen_s
            if distance(visit.sight.foot, standing.anchor, look.aspect) <= STILL_RADIUS * visit.sight.height:
                standing.sight = visit.sight
        elif visit.still_s(look.at_s) >= self._rule.min_s:
            self._standing[who] = _Standing(visit)

    def _found_again(self, visit: Visit, look: SceneLook) -> None:
        """A thing that stands where one was lost is that one: it was hidden."""
        for who, standing in list(self._lost.items()):
            if distance(visit.sight.foot, standing.anchor, look.aspect) <= MOVED * standing.sight.height:
                del self._lost[who]
                self._standing.setdefault(visit.sight.who, standing)

    def _has_moved(self, who: int, standing: _Standing, look: SceneLook) -> bool:
        for sight in look.sights:
            if sight.who == who:
                return distance(sight.foot, standing.anchor, look.aspect) > MOVED * standing.sight.height
        return False

    def _is_told(self, at_s: float) -> bool:
        if not self._cool_down.is_over(at_s):
            return False
        self._cool_down.start(at_s)
        return True

    def _finding(self, standing: _Standing) -> Finding:
        sight = standing.sight
        data = VehicleTaken(
            rule=self.id,
            zone=self._rule.zone,
            track=sight.track,
            score=min(1.0, sight.score),
            box=box_of(sight.box),
            since=instant(standing.since),
            kind=sight.vehicle,
        )
        return Finding(self.id, data, (sight.track,))
