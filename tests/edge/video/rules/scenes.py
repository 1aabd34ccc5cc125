"""Made-up scenes for rules: tracks that go where a test says, on a clock that a test sets."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from edge.clock import Moment
from edge.door_news import DoorNews
from edge.observations import Observation
from edge.video.rules.config import RuleClass
from edge.video.rules.engine import Drawing, RuleEngine
from edge.video.rules.scene import Finding, SceneLook, Sight
from edge.video.rules.surroundings import Surroundings
from protocols.event_data import EventData
from protocols.rules import SpecialDay
from tests.edge.video.parts import camera

SHANGHAI = ZoneInfo("Asia/Shanghai")
NOON = datetime(2026, 5, 6, 12, 0, tzinfo=SHANGHAI).timestamp()
"""A Wednesday."""

LEFT_HALF = {"id": "z-left", "polygon": [[0, 0], [0.5, 0], [0.5, 1], [0, 1]]}
UPRIGHT = {"id": "l-door", "points": [[0.5, 1.0], [0.5, 0.2]], "to_left": "out", "to_right": "in"}
"""From the picture's lower edge upwards: who walks to the right goes in."""

HEIGHT = 0.3
Data = TypeVar("Data", bound=EventData)


def at(x: float, foot: float = 0.8, track: int = 1, what: str = "person", height: float = HEIGHT) -> Sight:
    """A thing that stands at (x, foot), cut off where the picture ends."""
    half = 0.15 * height if what == "person" else 0.5 * height
    left, right = (min(1.0, max(0.0, side)) for side in (x - half, x + half))
    return Sight(track, RuleClass(what), 0.8, (left, foot - height, right, foot))


class Scene:
    """A camera's rules, fed at 5 looks a second. Starts at `begin` wall time, 1000 s monotonic."""

    def __init__(
        self,
        *rules: dict[str, Any],
        zones: Iterable[dict[str, Any]] = (LEFT_HALF,),
        lines: Iterable[dict[str, Any]] = (UPRIGHT,),
        begin: float = NOON,
        special_days: tuple[SpecialDay, ...] = (),
    ) -> None:
        config = camera(zone=list(zones), line=list(lines), rule=list(rules))
        self.recorded: list[Observation] = []
        self.doors = DoorNews(self.recorded.append)
        drawing = Drawing(
            {zone.id: zone.polygon for zone in config.zones}, {line.id: line for line in config.lines}, config.rules
        )
        self.special_days = special_days
        self.engine = RuleEngine(drawing, Surroundings(SHANGHAI, lambda: self.special_days, self.doors))
        self.findings: list[tuple[float, Finding]] = []
        self._begin = begin
        self.at_s = 0.0

    @property
    def moment(self) -> Moment:
        return Moment(self._begin + self.at_s, 1000.0 + self.at_s)

    def see(self, *sights: Sight, ended: tuple[int, ...] = (), after_s: float = 0.2) -> list[Finding]:
        """One look, and the time until the next."""
        found = self.engine.see(SceneLook(self.moment, sights, ended, aspect=1.0))
        self.findings += [(self.at_s, finding) for finding in found]
        self.at_s = round(self.at_s + after_s, 6)
        return found

    def stay(self, seconds: float, *sights: Sight, every_s: float = 0.2) -> None:
        """The same for a while."""
        for _ in range(round(seconds / every_s)):
            self.see(*sights, after_s=every_s)

    def walk(self, start: float, stop: float, track: int = 1, step: float = 0.02, **more: Any) -> None:
        """Somebody walks along x, five steps a second."""
        steps = round(abs(stop - start) / step)
        for i in range(steps + 1):
            self.see(at(start + (stop - start) * i / steps, track=track, **more))

    def door(self, data: EventData, door: str = "d-east") -> None:
        """The door tells something now."""
        self.doors(Observation(door, "gate-east", data, self.moment))

    def of(self, kind: type[Data]) -> list[Data]:
        return [finding.data for _, finding in self.findings if isinstance(finding.data, kind)]

    @property
    def times(self) -> list[float]:
        """When something was told, in seconds from the beginning."""
        return [told_s for told_s, _ in self.findings]
