"""Whether a camera still sees its scene: covered, blurred, turned away, frozen or dark, told once each time.

The scene is learnt from the first sound pictures and slowly ever after, so that day and season change it, and a bag
over the lens does not. Looks at a hundred rows of luma every 2 s; finds nothing and nobody in them.
"""

from dataclasses import dataclass
from math import exp

import numpy as np

from edge.clock import Moment
from edge.video.rules.config import CameraHealthRule
from edge.video.rules.hours import Hours
from edge.video.rules.luma import Luma, View, fault_alone, fault_of, learnt_with, small, view_of
from edge.video.rules.scene import CoolDown, instant
from protocols.camera_events import CameraImpaired, CameraRestored, SceneFault
from protocols.event_data import EventData

EVERY_S = 2.0

LEARN_OVER_S = 600.0
"""The time constant of learning, once the scene is known: dusk takes longer, a hand before the lens is shorter."""

WELL_AFTER_S = 5.0
"""A fault is over after so long without it."""

NEW_SCENE_AFTER_S = 1800.0
"""Who turned the camera for longer than this meant it: the view is learnt anew."""


@dataclass
class _Trouble:
    """A fault that lasts."""

    fault: SceneFault
    since: Moment
    seen_s: float
    told: SceneFault | None = None


class CameraHealth:
    """One rule about one camera. Not shared between threads.

    Args:
        rule: its configuration.
        hours: when it holds.
    """

    def __init__(self, rule: CameraHealthRule, hours: Hours) -> None:
        self.id = rule.id
        self._rule, self._hours = rule, hours
        self._cool_down = CoolDown(rule.cool_down_s)
        self._scene: View | None = None
        self._learnt_s = 0.0
        self._trouble: _Trouble | None = None
        self._before: Luma | None = None
        self._same_since: Moment | None = None
        self._last_s = float("-inf")

    def is_due(self, at_s: float) -> bool:
        """Whether it is time for another look (monotonic seconds)."""
        return at_s - self._last_s >= EVERY_S

    def glance(self, luma: Luma, moment: Moment) -> list[EventData]:
        """Look at a picture's luma plane [H,W]; what that makes true."""
        shrunk = small(luma)
        at_s = moment.monotonic_s
        gap_s = min(EVERY_S, at_s - self._last_s)
        self._last_s = at_s
        is_frozen = self._is_frozen(shrunk, moment)
        view = view_of(shrunk)
        if self._scene is not None and self._scene.outlines.shape != view.outlines.shape:
            self._forget()
        fault = self._fault(view) or (SceneFault.FROZEN if is_frozen else None)
        if fault is None:
            self._learn(view, gap_s)
        return self._troubled(fault, moment) if fault is not None else self._well(moment)

    def lose(self) -> None:
        """The camera is away; its scene is still known when it comes back."""
        self._before, self._same_since = None, None
        self._last_s = float("-inf")

    def _fault(self, view: View) -> SceneFault | None:
        alone = fault_alone(view)
        if self._scene is None or self._learnt_s < self._rule.learn_s:
            return alone
        return fault_of(view, self._scene)

    def _learn(self, view: View, gap_s: float) -> None:
        if self._scene is None:
            self._scene, self._learnt_s = view, 0.0
            return
        self._learnt_s += gap_s
        over_s = min(LEARN_OVER_S, max(self._learnt_s, EVERY_S))
        self._scene = learnt_with(self._scene, view, 1.0 - exp(-gap_s / over_s))

    def _forget(self) -> None:
        self._scene, self._learnt_s = None, 0.0

    def _is_frozen(self, shrunk: Luma, moment: Moment) -> bool:
        """Whether the picture has been the same, to the last grey level, for long enough."""
        before, self._before = self._before, shrunk
        if before is None or before.shape != shrunk.shape or not np.array_equal(before, shrunk):
            self._same_since = None
            return False
        if self._same_since is None:
            self._same_since = Moment(moment.wall_s - EVERY_S, moment.monotonic_s - EVERY_S)
        return moment.monotonic_s - self._same_since.monotonic_s >= self._rule.frozen_s

    def _troubled(self, fault: SceneFault, moment: Moment) -> list[EventData]:
        at_s = moment.monotonic_s
        if self._trouble is None:
            since = self._same_since if fault is SceneFault.FROZEN and self._same_since is not None else moment
            self._trouble = _Trouble(fault, since, at_s)
        trouble = self._trouble
        trouble.fault, trouble.seen_s = fault, at_s
        lasted_s = at_s - trouble.since.monotonic_s
        if fault is SceneFault.TURNED and lasted_s >= NEW_SCENE_AFTER_S:
            self._forget()
            return self._over(moment)
        is_told = trouble.told is None and fault in self._rule.faults and lasted_s >= self._rule.min_s
        if not is_told or not self._cool_down.is_over(at_s) or not self._hours.hold(moment.wall_s):
            return []
        trouble.told = fault
        self._cool_down.start(at_s)
        return [CameraImpaired(rule=self.id, fault=fault, since=instant(trouble.since))]

    def _well(self, moment: Moment) -> list[EventData]:
        if self._trouble is None or moment.monotonic_s - self._trouble.seen_s < WELL_AFTER_S:
            return []
        return self._over(moment)

    def _over(self, moment: Moment) -> list[EventData]:
        trouble, self._trouble = self._trouble, None
        if trouble is None or trouble.told is None:
            return []
        after_s = round(moment.monotonic_s - trouble.since.monotonic_s, 3)
        return [CameraRestored(rule=self.id, fault=trouble.told, after_s=after_s)]
