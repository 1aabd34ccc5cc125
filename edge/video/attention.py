"""Which frames the detector is asked about: while something moves, and now and then while someone stands still."""

from edge.video.motion import Motion

LINGER_S = 1.0
"""How long the detector goes on after the last movement: a walker pauses, a light settles."""


class Attention:
    """One camera's wakefulness. Not shared between threads."""

    def __init__(self) -> None:
        self._awake_until_s: float | None = None
        self._asked_s = 0.0

    def wants(self, motion: Motion, at_s: float, look_every_s: float, restless: bool) -> bool:
        """Whether the frame at `at_s` (monotonic) is worth the detector.

        Args:
            motion: what the motion gate says of it.
            at_s: when it was taken.
            look_every_s: how often those who are followed are looked at while nothing moves; infinite for nobody.
            restless: whether a track is unconfirmed or was missed at the last look.
        """
        if self._awake_until_s is None or motion.moves or motion.recalibrated:
            self._awake_until_s = at_s + LINGER_S
        is_due = at_s - self._asked_s >= look_every_s
        if at_s > self._awake_until_s and not restless and not is_due:
            return False
        self._asked_s = at_s
        return True
