"""One camera's rules at work: they are shown what is seen, and what they find is told with a picture of it."""

import threading
from collections import Counter
from collections.abc import Callable
from typing import cast

import cv2

from edge.clock import Moment
from edge.video.config import CameraConfig
from edge.video.masks import black_out
from edge.video.rules.config import CameraHealthRule
from edge.video.rules.engine import Drawing, RuleEngine
from edge.video.rules.health import CameraHealth
from edge.video.rules.hours import Hours
from edge.video.rules.luma import Luma
from edge.video.rules.scene import Finding, SceneLook
from edge.video.rules.surroundings import Surroundings
from edge.video.snapshot import Image, cut
from protocols.camera_events import CameraImpaired, CameraRestored, SceneFault
from protocols.event_data import EventData

_ONE = 1.0
_SEVERAL = 0.25
"""The margins of a picture around one thing and around several, in their size."""

_HIDING = {SceneFault.COVERED, SceneFault.TURNED}
"""What stood in such a camera's picture is not gone because it is no longer found."""

Tell = Callable[[Moment, EventData, Image | None], None]


class CameraRules:
    """The rules of one camera.

    `see`, `lose` and `close` are called by one thread at a time, `glance` by the camera's alone, the rest by any.

    Args:
        camera: its zones, lines and rules.
        surroundings: what they need to know of the site.
        tell: takes an event's data and its picture; returns at once.
        best_view: the best picture of a track that lives or ended a moment ago.
    """

    def __init__(
        self, camera: CameraConfig, surroundings: Surroundings, tell: Tell, best_view: Callable[[int], Image | None]
    ) -> None:
        self._camera, self._tell, self._best_view = camera, tell, best_view
        zones = {zone.id: zone.polygon for zone in camera.zones}
        drawing = Drawing(zones, {line.id: line for line in camera.lines}, camera.rules)
        self._engine = RuleEngine(drawing, surroundings)
        self._health = [
            CameraHealth(rule, Hours(rule.hours, surroundings.zone, surroundings.special_days))
            for rule in camera.rules
            if isinstance(rule, CameraHealthRule)
        ]
        self._is_hidden = threading.Event()
        self._told = Counter({rule.id: 0 for rule in camera.rules})

    @property
    def told(self) -> dict[str, int]:
        """How often each rule told something."""
        return dict(self._told)

    @property
    def news_lost(self) -> int:
        """What doors told for these rules and nobody took in time."""
        return self._engine.news_lost

    @property
    def is_idle(self) -> bool:
        """Whether no rule is about what moves in the picture."""
        return self._engine.is_idle

    def see(self, look: SceneLook, image: Image | None) -> None:
        """A look, and its frame BGR [H,W,3] if there is one."""
        if self._is_hidden.is_set():
            self._engine.miss_nothing()
        for finding in self._engine.see(look):
            self._told[finding.rule] += 1
            self._tell(look.moment, finding.data, self._picture(finding, image))

    def wants_glance(self, at_s: float) -> bool:
        """Whether a rule about the camera's own health is due to look at a frame taken at `at_s` (monotonic)."""
        return any(health.is_due(at_s) for health in self._health)

    def glance(self, luma: Luma, moment: Moment) -> None:
        """A frame's luma plane [H,W], for the rules about the camera's health."""
        masked = black_out(luma.copy(), self._camera.privacy_mask)
        for health in self._health:
            for data in health.glance(masked, moment):
                if isinstance(data, CameraImpaired) and data.fault in _HIDING:
                    self._is_hidden.set()
                elif isinstance(data, CameraRestored):
                    self._is_hidden.clear()
                self._told[health.id] += 1
                self._tell(moment, data, cast(Image, cv2.cvtColor(masked, cv2.COLOR_GRAY2BGR)))

    def lose(self) -> None:
        """The camera is away."""
        self._engine.lose()
        for health in self._health:
            health.lose()

    def close(self) -> None:
        """Nothing more is seen."""
        self._engine.close()

    def _picture(self, finding: Finding, image: Image | None) -> Image | None:
        if image is not None and finding.box is not None:
            return cut(image, finding.box, _ONE if len(finding.tracks) == 1 else _SEVERAL)
        views = (self._best_view(track) for track in finding.tracks)
        return next((view for view in views if view is not None), None)
