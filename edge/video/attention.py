"""Which frames the detector is asked about, and how soon the next look is worth its cost.

Something moves: the detector looks at once and as often as it may (*briskly*), for that is when a walker has to be told
from a shadow and his speed is learnt. Once a scene has been busy for a while looks are further apart (*steady*): tracks
know where they go. So a busy camera costs what its steady rate costs, whatever it shows: a track that flickers and is
never confirmed, or one that is missed behind a tree, makes it no more.
"""

from enum import IntEnum

from edge.video.analysis import Followed
from edge.video.motion import Motion

LINGER_S = 1.0
"""How long the detector goes on after the last movement: a walker pauses, a light settles."""

TOUCHED_S = 1.0
"""How often what is still is looked at again while nothing moves but it: someone who waits shifts his feet."""

RESTLESS_S = 3.0
"""How long after the last movement who is not confirmed or was missed keeps the detector awake: longer than a track
lives unseen, so that one who was hidden for two seconds is found at once."""

PATIENT_S = 2.0
"""How often such a one is looked for after that."""

BRISK_S = 2.0
"""How long looks may be brisk at a stretch: enough to confirm who came in, and those who come behind."""

_REGAINED = 1.0 / 3.0
"""Seconds of brisk looks that one calm second gives back."""


class Interest(IntEnum):
    """What a frame is worth."""

    NONE = 0
    FOLLOW = 1
    """Something moves, or has a moment ago, but the detector looked lately: tracks are followed in the picture."""
    RECHECK = 2
    """A look: someone stands still and was not looked at for a while."""
    STEADY = 3
    """A look: something has moved for long."""
    BRISK = 4
    """A look: something has begun to move."""

    @property
    def is_look(self) -> bool:
        """Whether the detector is asked."""
        return self >= Interest.RECHECK

    @property
    def is_awake(self) -> bool:
        """Whether something moves, or has a moment ago."""
        return self not in (Interest.NONE, Interest.RECHECK)


class Attention:
    """One camera's wakefulness. Not shared between threads.

    Args:
        steady_every_s: how far looks are apart at least once the scene is steady; a tenth less counts, for cameras
            tremble.
    """

    def __init__(self, steady_every_s: float = 0.0) -> None:
        self._steady_every_s = 0.9 * steady_every_s
        self._disturbed_s: float | None = None
        self._asked_s = 0.0
        self._judged_s: float | None = None
        self._is_awake = False
        self._brisk_s = BRISK_S

    @property
    def is_steady(self) -> bool:
        """Whether it has been awake for so long that looks may be further apart."""
        return self._is_awake and self._brisk_s <= 0.0

    def only_follows(self, at_s: float) -> bool:
        """Whether it is steady and the last look was so lately that the frame at `at_s` is only to follow tracks by: it
        need not even be looked at for movement."""
        return self.is_steady and at_s - self._asked_s < self._steady_every_s

    def wants(self, motion: Motion, at_s: float, followed: Followed) -> Interest:
        """What the frame at `at_s` (monotonic) is worth, unless tracks are only to be followed by it.

        Args:
            motion: what the motion gate says of it.
            at_s: when it was taken.
            followed: who is being followed.
        """
        self._spend(at_s)
        is_disturbed = motion.recalibrated or (motion.moves and not motion.is_within(followed.still))
        if self._disturbed_s is None or is_disturbed:
            self._disturbed_s = at_s
        self._is_awake = at_s <= self._disturbed_s + (RESTLESS_S if followed.restless else LINGER_S)
        if not self._is_awake and at_s - self._asked_s < _every_s(motion, followed):
            return Interest.NONE
        self._asked_s = at_s
        if not self._is_awake:
            return Interest.RECHECK
        return Interest.STEADY if self.is_steady else Interest.BRISK

    def _spend(self, at_s: float) -> None:
        """Time passed: awake it uses up what there is of brisk looks, calm it gives them back."""
        elapsed_s = 0.0 if self._judged_s is None else max(0.0, at_s - self._judged_s)
        self._judged_s = at_s
        if self._is_awake:
            self._brisk_s = max(0.0, self._brisk_s - elapsed_s)
        else:
            self._brisk_s = min(BRISK_S, self._brisk_s + _REGAINED * elapsed_s)


def _every_s(motion: Motion, followed: Followed) -> float:
    """How often those who are followed are looked for while nobody else moves."""
    every_s = min(PATIENT_S, followed.look_every_s) if followed.restless else followed.look_every_s
    return min(TOUCHED_S, every_s) if motion.moves else every_s
