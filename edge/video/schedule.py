"""Which camera's frame the detector sees next: shares by priority, deadlines, and how far it is from what was asked.

Start-time fair queueing (Goyal 1996): each camera has a virtual time that goes on by 1/weight with each of its frames;
the one that is least far ahead is served. While there is time for all, all are served; when there is not, rates fall in
proportion to the weights, and what a camera does not use goes to the others. A frame is replaced by a newer one, and
dropped when its deadline has passed: analysis gets coarser, and never late. Every frame is counted as one of these.

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
    """What became of one camera's frames since the start. Those that still wait are `asked` less all others."""

    asked: int = 0
    analysed: int = 0
    replaced: int = 0
    expired: int = 0


@dataclass(slots=True)
class _Waiting(Generic[Frame]):
    frame: Frame
    until_s: float


@dataclass(slots=True)
class _Lane(Generic[Frame]):
    """One camera's frames that wait: those of an onset in their order, then the newest."""

    step: float
    virtual: float = 0.0
    late: deque[_Waiting[Frame]] = field(default_factory=deque)
    newest: _Waiting[Frame] | None = None
    tally: Tally = field(default_factory=Tally)
    window: tuple[int, int] = (0, 0)
    rate: Rate = Rate()

    @property
    def is_empty(self) -> bool:
        return self.newest is None and not self.late

    def expire(self, now_s: float) -> None:
        while self.late and self.late[0].until_s < now_s:
            self.late.popleft()
            self.tally.expired += 1
        if self.newest is not None and self.newest.until_s < now_s:
            self.newest = None
            self.tally.expired += 1

    def pop(self) -> _Waiting[Frame] | None:
        if self.late:
            return self.late.popleft()
        waiting, self.newest = self.newest, None
        return waiting


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
        self._window_s: float | None = None

    def put(self, camera: int, frame: Frame, now_s: float, late: bool = False) -> None:
        """A frame waits from `now_s` on (monotonic). It replaces one that waits.

        Args:
            camera: whose it is.
            frame: what is handed out again.
            now_s: when it is handed in.
            late: decoding catches up: it waits behind the other late ones, and replaces the oldest of many.
        """
        lane = self._lanes[camera]
        self._roll(now_s)
        lane.expire(now_s)
        if lane.is_empty:
            lane.virtual = max(lane.virtual, self._virtual)  # who asked for nothing has saved up nothing
        lane.tally.asked += 1
        waiting = _Waiting(frame, now_s + self._deadline_s)
        if late:
            if len(lane.late) == MOST_LATE:
                lane.late.popleft()
                lane.tally.replaced += 1
            lane.late.append(waiting)
            return
        lane.tally.replaced += lane.newest is not None
        lane.newest = waiting

    def take(self, now_s: float) -> tuple[int, Frame] | None:
        """The camera and frame to be analysed now; None if none waits whose deadline has not passed."""
        self._roll(now_s)
        for lane in self._lanes:
            lane.expire(now_s)
        ready = [(lane.virtual, lane.step, camera) for camera, lane in enumerate(self._lanes) if not lane.is_empty]
        if not ready:
            return None
        _, _, camera = min(ready)
        lane = self._lanes[camera]
        waiting = lane.pop()
        if waiting is None:
            return None
        self._virtual = lane.virtual
        lane.virtual += lane.step
        lane.tally.analysed += 1
        return camera, waiting.frame

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
