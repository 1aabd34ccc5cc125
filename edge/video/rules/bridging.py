"""Bridges a lost track: a new one that begins where an old one was lost a moment ago is taken for the same thing.

Only place, size and time decide. Nobody is recognised: whoever leaves the picture, or is away for longer than a few
seconds, is somebody new.
"""

from dataclasses import dataclass, replace

from edge.video.rules.config import RuleClass
from edge.video.rules.scene import SceneLook, Sight, distance

BRIDGE_S = 6.0
"""The longest time between the last sight of one track and the first of the next."""

UNSEEN_S = 0.35
"""A track that was seen more lately than this is somebody else. A new one takes about as long to be confirmed."""

_REACH = 0.6
_WALK = 0.8
_MOST = 3.0
"""How far off the new track may begin, in its own heights: at once, more for each second (a walk), at the most."""

_SIZE = 1.7
_EDGE = 0.01


@dataclass(frozen=True, slots=True)
class _Last:
    sight: Sight
    at_s: float


class Bridge:
    """Of one camera: gives every sight its `who`, and says who is gone."""

    def __init__(self) -> None:
        self._last: dict[int, _Last] = {}
        self._who: dict[int, int] = {}
        self._ended: set[int] = set()
        """Those of `_last` whose track is over."""
        self._next = 1

    def join(self, look: SceneLook) -> SceneLook:
        """The look, with `who` and `gone` filled in."""
        known = {sight.track: self._who[sight.track] for sight in look.sights if sight.track in self._who}
        seen = set(known.values())
        sights = []
        for sight in look.sights:
            who = known.get(sight.track) or self._newcomer(sight, look, seen)
            seen.add(who)
            self._ended.discard(who)
            same = Sight(sight.track, sight.what, sight.score, sight.box, who, sight.began)
            sights.append(same)
            self._last[who] = _Last(same, look.at_s)
        for track in look.ended:
            if track in self._who:
                self._ended.add(self._who.pop(track))
        return replace(look, sights=tuple(sights), gone=self._gone(look.at_s))

    def lose(self) -> None:
        """The camera is away: nobody who comes later is one of these."""
        self._last.clear()
        self._who.clear()
        self._ended.clear()

    def _newcomer(self, sight: Sight, look: SceneLook, seen: set[int]) -> int:
        """The number of a track not seen before; the one that it goes on for counts as over."""
        who = self._same_as(sight, look, seen)
        if who is None:
            who, self._next = self._next, self._next + 1
        else:
            self._who = {track: other for track, other in self._who.items() if other != who}
        self._who[sight.track] = who
        return who

    def _same_as(self, sight: Sight, look: SceneLook, seen: set[int]) -> int | None:
        """Whom a new track goes on for: the nearest of those that fit."""
        fitting = [
            (distance(last.sight.foot, sight.foot, look.aspect) / sight.height, who)
            for who, last in self._last.items()
            if who not in seen and _fits(last, sight, look)
        ]
        return min(fitting)[1] if fitting else None

    def _gone(self, at_s: float) -> tuple[int, ...]:
        gone = tuple(who for who in self._ended if at_s - self._last[who].at_s > BRIDGE_S or _at_edge(self._last[who]))
        for who in gone:
            self._ended.discard(who)
            del self._last[who]
        return gone


def _fits(last: _Last, sight: Sight, look: SceneLook) -> bool:
    gap_s = look.at_s - last.at_s
    if not UNSEEN_S <= gap_s <= BRIDGE_S or not _alike(last.sight.what, sight.what) or _at_edge(last):
        return False
    if not 1 / _SIZE <= last.sight.height / sight.height <= _SIZE:
        return False
    reach = min(_MOST, _REACH + _WALK * gap_s) * sight.height
    return distance(last.sight.foot, sight.foot, look.aspect) <= reach


def _alike(one: RuleClass, other: RuleClass) -> bool:
    """Whether the detector may take the one for the other."""
    two_wheeled = (RuleClass.BICYCLE, RuleClass.MOTORCYCLE)
    if RuleClass.PERSON in (one, other):
        return one is other
    return (one in two_wheeled) == (other in two_wheeled)


def _at_edge(last: _Last) -> bool:
    """Whether it was last seen where things leave the picture."""
    x1, y1, x2, y2 = last.sight.box
    return x1 < _EDGE or x2 > 1 - _EDGE or y1 < _EDGE or y2 > 1 - _EDGE
