"""Which frames the detector is asked about: while something moves, and now and then while someone stands still."""

from edge.video.motion import Motion

LINGER_S = 1.0
"""How long the detector goes on after the last movement: a walker pauses, a light settles."""

RECHECK_S = 2.0
"""How often someone who stands still is looked at again."""


class Attention:
    """One camera's wakefulness. Not shared between threads."""

    def __init__(self) -> None:
        self._awake_until_s: float | None = None
        self._asked_s = 0.0

    def wants(self, motion: Motion, at_s: float, followed: int, restless: bool) -> bool:
        """Whether the frame at `at_s` (monotonic) is worth the detector.

        Args:
            motion: what the motion gate says of it.
            at_s: when it was taken.
            followed: how many confirmed tracks live.
            restless: whether a track is unconfirmed or was missed at the last look.
        """
        if self._awake_until_s is None or motion.moves or motion.recalibrated:
            self._awake_until_s = at_s + LINGER_S
        is_due = followed > 0 and at_s - self._asked_s >= RECHECK_S
        if at_s > self._awake_until_s and not restless and not is_due:
            return False
        self._asked_s = at_s
        return True
