"""Which camera's frame the detector sees next: shares by priority, deadlines, and how far it is from what was asked.

Start-time fair queueing (Goyal 1996): each camera has a virtual time that goes on by 1/weight with each of its frames;
the one that is least far ahead is served. While there is time for all, all are served; when there is not, rates fall in
proportion to the weights, and what a camera does not use goes to the others. A frame is replaced by a newer one, and
dropped when its deadline has passed: analysis gets coarser, and never late. Every frame is counted as one of these.

An onset comes first: the frames of a camera in which movement has just begun are served before those of cameras that
have been busy for long, which lose little by it, while a short visit lost is lost for good. Among themselves onsets
take turns by priority. They cost their camera nothing of its share, but of four turns at least one is left to the
others while any of those waits; how long an onset lasts, and how often one may be, `attention` bounds.

A glance is a frame that the detector is not asked about, but by which tracks are followed. It takes a twentieth of the
time of a look, so it is served at once, only never before an older frame of its camera. What is replaced or dropped is
glanced at.

Pure: time comes in, no thread, no clock. Not safe to share between threads.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Generic, TypeVar

DEADLINE_S = 1.0
"""How long a frame may wait for the detector: what an event may be late at most."""

MOST_LATE = 12
"""Frames of an onset that wait for the detector while decoding catches up with a camera that slept."""

MOST_GLANCES = 12
"""Glances of one camera that wait; the oldest give way."""

ONSETS_AT_A_STRETCH = 3
"""Turns that onsets take before another camera's frame, if one waits."""

WINDOW_S = 10.0
"""Over what time rates are told."""

DEGRADED_BELOW = 0.9
"""The share of the frames asked for that is analysed: below it a camera is degraded."""

Frame = TypeVar("Frame")


class Priority(StrEnum):
    """Whose frames come first when there is not time for all."""

    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"

    @property
    def weight(self) -> int:
        """How many frames it gets where a camera of low priority gets one."""
        return {Priority.HIGH: 4, Priority.NORMAL: 2, Priority.LOW: 1}[self]


@dataclass(frozen=True, slots=True)
class Rate:
    """What a camera asked for and got in the last whole window, frames a second."""

    asked: float = 0.0
    analysed: float = 0.0

    @property
    def is_degraded(self) -> bool:
        """Whether the camera gets noticeably less than it asks for."""
        return self.analysed < DEGRADED_BELOW * self.asked


@dataclass(slots=True)
class Tally:
    """What became of one camera's frames since the start. Those that still wait are `asked` less the next three.

    Glances are not among them but those that gave way: `unfollowed`.
    """

    asked: int = 0
    analysed: int = 0
    replaced: int = 0
    expired: int = 0
    unfollowed: int = 0


@dataclass(slots=True)
class _Waiting(Generic[Frame]):
    """`number` counts a camera's frames and glances in the order in which they were handed in."""

    number: int
    frame: Frame
    until_s: float
    is_onset: bool = False


@dataclass(slots=True)
class _Lane(Generic[Frame]):
    """One camera's frames that wait: those of an onset in their order, then the newest; and its glances.

    `virtual` is its virtual time among all cameras, `onset` that among onsets.
    """

    step: float
    virtual: float = 0.0
    onset: float = 0.0
    late: deque[_Waiting[Frame]] = field(default_factory=deque)
    newest: _Waiting[Frame] | None = None
    glances: deque[_Waiting[Frame]] = field(default_factory=deque)
    handed_in: int = 0
    tally: Tally = field(default_factory=Tally)
    window: tuple[int, int] = (0, 0)
    rate: Rate = Rate()

    @property
    def first(self) -> _Waiting[Frame] | None:
        return self.late[0] if self.late else self.newest

    @property
    def is_empty(self) -> bool:
        return self.first is None

    @property
    def has_glance(self) -> bool:
        """Whether a glance is older than every frame that waits."""
        first = self.first
        return bool(self.glances) and (first is None or self.glances[0].number < first.number)

    def expire(self, now_s: float) -> None:
        while (first := self.first) is not None and first.until_s < now_s:
            self.tally.expired += 1
            self.glance_at(self.pop())

    def pop(self) -> _Waiting[Frame]:
        """Take the first frame out, of which there is one."""
        if self.late:
            return self.late.popleft()
        if self.newest is None:
            raise IndexError("no frame waits")
        first, self.newest = self.newest, None
        return first

    def replace(self, waiting: _Waiting[Frame]) -> None:
        """A frame that has just been taken out gave way to another."""
        self.tally.replaced += 1
        self.glance_at(waiting)

    def glance_at(self, waiting: _Waiting[Frame]) -> None:
        """What the detector does not see is glanced at, in its order."""
        self.glances = deque(sorted([*self.glances, waiting], key=lambda each: each.number))
        if len(self.glances) > MOST_GLANCES:
            self.glances.popleft()
            self.tally.unfollowed += 1


class Schedule(Generic[Frame]):
    """The frames of all cameras that wait for the detector.

    Args:
        priorities: one per camera.
        deadline_s: how long a frame may wait.
    """

    def __init__(self, priorities: Sequence[Priority], deadline_s: float = DEADLINE_S) -> None:
        self._lanes: list[_Lane[Frame]] = [_Lane(1.0 / priority.weight) for priority in priorities]
        self._deadline_s = deadline_s
        self._virtual = 0.0
        self._onset = 0.0
        self._onsets_served = 0
        self._window_s: float | None = None

    def put(self, camera: int, frame: Frame, now_s: float, late: bool = False, onset: bool = False) -> None:
        """A frame waits from `now_s` on (monotonic). It replaces one that waits.

        Args:
            camera: whose it is.
            frame: what is handed out again.
            now_s: when it is handed in.
            late: decoding catches up: it waits behind the other late ones, and replaces the oldest of many.
            onset: movement has just begun: it goes before those of others.
        """
        lane = self._lanes[camera]
        self._roll(now_s)
        lane.expire(now_s)
        if lane.is_empty:  # who asked for nothing has saved up nothing
            lane.virtual, lane.onset = max(lane.virtual, self._virtual), max(lane.onset, self._onset)
        lane.tally.asked += 1
        waiting = self._handed_in(lane, frame, now_s, onset)
        if late:
            if len(lane.late) == MOST_LATE:
                lane.replace(lane.late.popleft())
            lane.late.append(waiting)
            return
        replaced, lane.newest = lane.newest, waiting
        if replaced is not None:
            lane.replace(replaced)

    def put_glance(self, camera: int, frame: Frame, now_s: float) -> None:
        """A frame by which tracks are followed waits behind all others of its camera."""
        lane = self._lanes[camera]
        lane.glance_at(self._handed_in(lane, frame, now_s))

    def take(self, now_s: float) -> tuple[int, Frame] | None:
        """The camera and frame to be analysed now; None if none waits whose deadline has not passed."""
        self._roll(now_s)
        for lane in self._lanes:
            lane.expire(now_s)
        ready = [(i, lane, first) for i, lane in enumerate(self._lanes) if (first := lane.first) is not None]
        if not ready:
            return None
        onsets = [(lane.onset, lane.step, i) for i, lane, first in ready if first.is_onset]
        others = [(lane.virtual, lane.step, i) for i, lane, first in ready if not first.is_onset]
        is_onset = bool(onsets) and (not others or self._onsets_served < ONSETS_AT_A_STRETCH)
        camera = min(onsets if is_onset else others)[2]
        self._onsets_served = self._onsets_served + 1 if is_onset else 0
        return camera, self._serve(self._lanes[camera], is_onset).frame

    def take_glance(self, now_s: float) -> tuple[int, Frame] | None:
        """A camera and a frame that tracks are to be followed to; None if frames come before all that wait."""
        for camera, lane in enumerate(self._lanes):
            lane.expire(now_s)
            if lane.has_glance:
                return camera, lane.glances.popleft().frame
        return None

    @property
    def has_work(self) -> bool:
        """Whether a frame or a glance waits."""
        return any(lane.glances or not lane.is_empty for lane in self._lanes)

    @property
    def is_empty(self) -> bool:
        """Whether no frame waits, not even one whose deadline has passed."""
        return all(lane.is_empty for lane in self._lanes)

    def tally(self, camera: int) -> Tally:
        """What became of a camera's frames since the start."""
        return self._lanes[camera].tally

    def rate(self, camera: int, now_s: float) -> Rate:
        """What a camera asked for and got in the last whole window."""
        self._roll(now_s)
        return self._lanes[camera].rate

    def _handed_in(self, lane: _Lane[Frame], frame: Frame, now_s: float, onset: bool = False) -> _Waiting[Frame]:
        lane.handed_in += 1
        return _Waiting(lane.handed_in, frame, now_s + self._deadline_s, onset)

    def _serve(self, lane: _Lane[Frame], is_onset: bool) -> _Waiting[Frame]:
        """Take the lane's first frame, and charge the lane for it."""
        lane.tally.analysed += 1
        if is_onset:
            self._onset = lane.onset
            lane.onset += lane.step
        else:
            self._virtual = lane.virtual
            lane.virtual += lane.step
        return lane.pop()

    def _roll(self, now_s: float) -> None:
        """Begin a new window when the last is over; one in which nobody called is as long as that took."""
        if self._window_s is None:
            self._window_s = now_s
        elapsed_s = now_s - self._window_s
        if elapsed_s < WINDOW_S:
            return
        self._window_s = now_s
        for lane in self._lanes:
            lane.expire(now_s)
            tally, (asked, analysed) = lane.tally, lane.window
            settled = tally.asked - len(lane.late) - (lane.newest is not None)
            lane.rate = Rate((settled - asked) / elapsed_s, (tally.analysed - analysed) / elapsed_s)
            lane.window = settled, tally.analysed
