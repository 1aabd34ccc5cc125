"""Which frames the detector is asked about: while something moves, and now and then while someone stands still."""

from enum import IntEnum

from edge.video.analysis import Followed
from edge.video.motion import Motion

LINGER_S = 1.0
"""How long the detector goes on after the last movement: a walker pauses, a light settles."""

TOUCHED_S = 1.0
"""How often what is still is looked at again while nothing moves but it: someone who waits shifts his feet."""


class Interest(IntEnum):
    """Why a frame is worth the detector; false if it is not."""

    NONE = 0
    RECHECK = 1
    """Someone stands still and was not looked at for a while."""
    AWAKE = 2
    """Something moves, or has a moment ago."""


class Attention:
    """One camera's wakefulness. Not shared between threads."""

    def __init__(self) -> None:
        self._awake_until_s: float | None = None
        self._asked_s = 0.0

    def wants(self, motion: Motion, at_s: float, followed: Followed) -> Interest:
        """Whether the frame at `at_s` (monotonic) is worth the detector.

        Args:
            motion: what the motion gate says of it.
            at_s: when it was taken.
            followed: who is being followed.
        """
        is_disturbed = motion.recalibrated or (motion.moves and not motion.is_within(followed.still))
        if self._awake_until_s is None or is_disturbed:
            self._awake_until_s = at_s + LINGER_S
        every_s = min(TOUCHED_S, followed.look_every_s) if motion.moves else followed.look_every_s
        is_awake = followed.restless or at_s <= self._awake_until_s
        if not is_awake and at_s - self._asked_s < every_s:
            return Interest.NONE
        self._asked_s = at_s
        return Interest.AWAKE if is_awake else Interest.RECHECK
