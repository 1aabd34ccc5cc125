"""All the rules of one camera: each sees every look, and what they find is handed back. Not shared between threads."""

from collections.abc import Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from edge.door_news import DoorNews, Listener
from edge.video.rules.bridging import Bridge
from edge.video.rules.config import (
    AnyRule,
    CameraHealthRule,
    CrowdRule,
    ForbiddenRule,
    LineConfig,
    LineCrossingRule,
    LoiteringRule,
    ObjectLeftRule,
    ObjectTakenRule,
    StandingRule,
    TailgatingRule,
    TwoWheelerRule,
)
from edge.video.rules.crossing import ForbiddenLine, LineCrossing
from edge.video.rules.dwelling import Crowd, forbidden, loitering, standing, two_wheeler
from edge.video.rules.hours import Hours
from edge.video.rules.objects import ObjectLeft, ObjectTaken
from edge.video.rules.scene import Finding, Rule, SceneLook
from edge.video.rules.surroundings import Surroundings
from edge.video.rules.tailgating import Tailgating
from edge.video.zones import Polygon


@dataclass(frozen=True)
class Drawing:
    """What is drawn on a camera's picture, and the rules about it."""

    zones: dict[str, Polygon]
    lines: dict[str, LineConfig]
    rules: Sequence[AnyRule]


class RuleEngine:
    """The rules of one camera.

    Args:
        drawing: its zones, lines and rules.
        surroundings: time zone, calendar and doors.
    """

    def __init__(self, drawing: Drawing, surroundings: Surroundings) -> None:
        self._rules = [
            (_made(rule, drawing, surroundings.zone), Hours(rule.hours, surroundings.zone, surroundings.special_days))
            for rule in drawing.rules
            if not isinstance(rule, CameraHealthRule)
        ]
        self._tailgating = [rule for rule, _ in self._rules if isinstance(rule, Tailgating)]
        self._doors = surroundings.doors
        self._news = _listener(self._tailgating, surroundings.doors)
        self._bridge = Bridge()

    @property
    def is_idle(self) -> bool:
        """Whether there is no rule at all."""
        return not self._rules

    @property
    def news_lost(self) -> int:
        """What the doors told and nobody took in time."""
        return 0 if self._news is None else self._news.lost

    def see(self, look: SceneLook) -> list[Finding]:
        """What this look makes true. Frames come in the order of time; that time passed may be told ahead of them, as
        pictures are late now and then."""
        self._hear()
        look = self._bridge.join(look)
        findings: list[Finding] = []
        for rule, hours in self._rules:
            findings += rule.see(look, hours.hold(look.moment.wall_s))
        return findings

    def lose(self) -> None:
        """The camera is away: what stands in its picture when it comes back is new."""
        self._bridge.lose()
        for rule, _ in self._rules:
            rule.lose()

    def miss_nothing(self) -> None:
        """The scene is hidden at present: what is not found in it is not gone."""
        for rule, _ in self._rules:
            if isinstance(rule, ObjectTaken):
                rule.lose()

    def close(self) -> None:
        """No more looks come: stop listening to the doors."""
        if self._doors is not None and self._news is not None:
            self._doors.leave(self._news)

    def _hear(self) -> None:
        for news in self._news.take() if self._news is not None else ():
            for rule in self._tailgating:
                if rule.door == news.device:
                    rule.note(news)


def _listener(rules: Sequence[Tailgating], doors: DoorNews | None) -> Listener | None:
    return doors.listen(frozenset(rule.door for rule in rules)) if rules and doors is not None else None


def _made(rule: AnyRule, drawing: Drawing, zone: ZoneInfo) -> Rule:
    """The rule at work. Its references are sound: the configuration has been checked."""
    polygon = None if rule.zone_named is None else drawing.zones[rule.zone_named]
    line = None if rule.line_named is None else drawing.lines[rule.line_named]
    match rule:
        case ForbiddenRule():
            return forbidden(rule, polygon) if line is None else ForbiddenLine(rule, line)
        case TailgatingRule():
            return Tailgating(rule, line, polygon)
        case LineCrossingRule():
            return LineCrossing(rule, drawing.lines[rule.line], zone)
        case LoiteringRule():
            return loitering(rule, polygon)
        case CrowdRule():
            return Crowd(rule, polygon)
        case StandingRule():
            return standing(rule, polygon)
        case TwoWheelerRule():
            return two_wheeler(rule, polygon)
        case ObjectLeftRule():
            return ObjectLeft(rule, polygon)
        case ObjectTakenRule():
            return ObjectTaken(rule, polygon)
        case _:
            raise ValueError(f"rule {rule.id} is not about what moves in a picture")
