"""Tailgating and passing without a credential: people who come through a door against whom that door let in.

Who comes in is seen at a line, in one direction, or in a zone, by appearing there: whoever walks into the zone from
elsewhere in the picture has not come through the door. Each grant lets one person in. A door that was opened from
inside, by a guard or by its own device, or that stands free, lets in whoever comes: another cause, and no alarm.
"""

from collections import deque
from dataclasses import dataclass

from edge.clock import Moment
from edge.observations import Observation
from edge.video.rules.config import LineConfig, TailgatingRule
from edge.video.rules.crossing import LineWatch
from edge.video.rules.dwelling import PERSONS
from edge.video.rules.scene import CoolDown, Finding, SceneLook, Sight, box_of, feet, instant
from edge.video.zones import Polygon, inside
from protocols.access_events import (
    AccessDenied,
    AccessGranted,
    DenialReason,
    DoorClosed,
    DoorMode,
    DoorModeChanged,
    DoorOpened,
    DoorReleased,
    GrantReason,
    ReleaseCause,
)
from protocols.camera_events import PersonPassedUnbidden, PersonTailgated

MOST_KEPT = 200
"""Of grants, and of people who passed: the oldest are forgotten."""

SECOND_WITHIN_S = 15.0
"""Where a door wants two persons, the first of them is refused with a reason of its own so long before the grant."""

AFTER_CLOSING_S = 3.0
"""Who came through as the door fell shut reaches the line or is seen in the zone so long after."""


class Excuses:
    """When whoever comes in is let in without a grant of his own. Times are monotonic seconds.

    Args:
        window_s: for so long after a release the door may be opened.
        strict_exit: the exit button excuses nobody.
    """

    def __init__(self, window_s: float, strict_exit: bool) -> None:
        self._window_s, self._strict_exit = window_s, strict_exit
        self._is_free = False
        self._is_excused_open = False
        self._spans: deque[tuple[float, float]] = deque(maxlen=32)
        self._open_since_s = 0.0

    def begin(self, at_s: float) -> None:
        """The rule begins: whoever comes just now was perhaps let in before."""
        self._spans.append((at_s, at_s + self._window_s))

    def released(self, cause: ReleaseCause, at_s: float) -> None:
        if self._excuses(cause):
            self._spans.append((at_s, at_s + self._window_s))

    def opened(self, cause: ReleaseCause, at_s: float) -> None:
        if self._excuses(cause) and not self._is_free:
            self._is_excused_open, self._open_since_s = True, at_s

    def closed(self, at_s: float) -> None:
        self._end(self._is_excused_open and not self._is_free, at_s)
        self._is_excused_open = False

    def mode(self, mode: DoorMode, at_s: float) -> None:
        is_free = mode is DoorMode.FREE
        if is_free and not self._is_free:
            self._open_since_s = at_s
        self._end(self._is_free and not is_free, at_s)
        self._is_free = is_free

    def cover(self, at_s: float, slack_s: float) -> bool:
        """Whether who passed at `at_s` is excused; news of it may have come `slack_s` later."""
        if (self._is_free or self._is_excused_open) and at_s >= self._open_since_s - slack_s:
            return True
        return any(since_s - slack_s <= at_s <= until_s for since_s, until_s in self._spans)

    def _excuses(self, cause: ReleaseCause) -> bool:
        if cause is ReleaseCause.REQUEST_TO_EXIT:
            return not self._strict_exit
        return cause is not ReleaseCause.CREDENTIAL

    def _end(self, was_standing: bool, at_s: float) -> None:
        if was_standing:
            self._spans.append((self._open_since_s, at_s + AFTER_CLOSING_S))


@dataclass
class _Passed:
    sight: Sight
    moment: Moment
    judged: bool = False
    covered: bool = False
    told: bool = False

    @property
    def at_s(self) -> float:
        return self.moment.monotonic_s


class Tailgating:
    """Of one door and one camera.

    Args:
        rule: its configuration.
        line: the line, if it names one.
        polygon: else the zone.
    """

    def __init__(self, rule: TailgatingRule, line: LineConfig | None, polygon: Polygon | None) -> None:
        self.id, self.door = rule.id, rule.door
        self._rule = rule
        self._watch = LineWatch(line, PERSONS) if line is not None else None
        self._polygon = polygon
        self._known: set[int] = set()
        self._began = False
        self._grants: deque[float] = deque(maxlen=MOST_KEPT)
        self._first_of_two_s = float("-inf")
        self._excuses = Excuses(rule.window_s, rule.strict_exit)
        self._passed: deque[_Passed] = deque(maxlen=MOST_KEPT)
        self._cool_down = CoolDown(rule.cool_down_s)

    def note(self, news: Observation) -> None:
        """What the door told."""
        at_s = news.moment.monotonic_s
        match news.data:
            case AccessGranted() as granted:
                self._granted(granted, at_s)
            case AccessDenied(reason=DenialReason.SECOND_PERSON_MISSING):
                self._first_of_two_s = at_s
            case DoorReleased(cause=cause):
                self._excuses.released(cause, at_s)
            case DoorOpened(cause=cause):
                self._excuses.opened(cause, at_s)
            case DoorClosed():
                self._excuses.closed(at_s)
            case DoorModeChanged(mode=mode):
                self._excuses.mode(mode, at_s)

    def see(self, look: SceneLook, may_tell: bool) -> list[Finding]:
        if not self._began:
            self._began = True
            self._excuses.begin(look.at_s)
        self._passed.extend(_Passed(sight, look.moment) for sight in self._came_in(look))
        self._judge(look.at_s)
        while self._passed and look.at_s - self._passed[0].at_s > self._kept_s:
            self._passed.popleft()
        if not may_tell:
            for passed in self._passed:
                passed.told = passed.told or passed.judged
            return []
        return self._tell(look.at_s)

    def lose(self) -> None:
        if self._watch is not None:
            self._watch.lose()
        self._known.clear()

    @property
    def _kept_s(self) -> float:
        return 2 * self._rule.window_s + self._rule.min_s + self._rule.cool_down_s

    def _granted(self, granted: AccessGranted, at_s: float) -> None:
        if granted.reason is GrantReason.FREE_PASSAGE:
            return  # who had to show nothing is excused by the door's mode
        if self._rule.readers and granted.reader not in self._rule.readers:
            self._excuses.released(ReleaseCause.REQUEST_TO_EXIT, at_s)
            return
        if 0 <= at_s - self._first_of_two_s <= SECOND_WITHIN_S:
            self._grants.append(at_s)
            self._first_of_two_s = float("-inf")
        self._grants.append(at_s)

    def _came_in(self, look: SceneLook) -> list[Sight]:
        if self._watch is not None:
            return [crossed.sight for crossed in self._watch.see(look) if crossed.direction == self._rule.direction]
        new = [sight for sight in look.sights if sight.is_person and sight.who not in self._known]
        self._known.update(sight.who for sight in new)
        self._known.difference_update(look.gone)
        if not new or self._polygon is None:
            return []
        return [sight for sight, is_in in zip(new, inside(self._polygon, feet(new)), strict=True) if is_in]

    def _judge(self, at_s: float) -> None:
        """Those for whom no more grants are waited: each takes the oldest grant that fits."""
        rule = self._rule
        for passed in self._passed:
            if passed.judged or at_s < passed.at_s + rule.min_s:
                continue
            passed.judged = True
            if self._excuses.cover(passed.at_s, rule.min_s):
                passed.told = True  # neither counted nor told
                continue
            fitting = [g for g in self._grants if passed.at_s - rule.window_s <= g <= passed.at_s + rule.min_s]
            if fitting:
                self._grants.remove(min(fitting))
                passed.covered = True

    def _tell(self, at_s: float) -> list[Finding]:
        """One event for all who came in uncovered and were not told yet."""
        due = [passed for passed in self._passed if passed.judged and not passed.covered and not passed.told]
        if not due or not self._cool_down.is_over(at_s):
            return []
        self._cool_down.start(at_s)
        since_s = due[0].at_s - self._rule.window_s
        with_grant = [passed for passed in self._passed if passed.covered and passed.at_s >= since_s]
        for passed in due:
            passed.told = True
        last = due[-1]
        kind = PersonTailgated if with_grant else PersonPassedUnbidden
        data = kind(
            rule=self.id,
            door=self.door,
            track=last.sight.track,
            box=box_of(last.sight.box),
            persons=len(due) + len(with_grant),
            grants=len(with_grant),
            since=instant(min((*due, *with_grant), key=lambda passed: passed.at_s).moment),
        )
        return [Finding(self.id, data, (last.sight.track,))]
