"""How long to wait before the next attempt: doubling, bounded, with jitter so that a city does not call at once."""

from collections.abc import Callable


class Backoff:
    """Waits of `first_s`, doubling to `longest_s`, each spread over 75 % to 125 %.

    Args:
        jitter: a number in [0, 1) for each call.
    """

    def __init__(self, first_s: float, longest_s: float, jitter: Callable[[], float]) -> None:
        self._first_s, self._longest_s, self._jitter = first_s, longest_s, jitter
        self.attempts = 0

    def next_s(self) -> float:
        """The wait after one more failure, in seconds."""
        wait = min(self._first_s * 2**self.attempts, self._longest_s)
        self.attempts = min(self.attempts + 1, 30)
        return float(wait * (0.75 + 0.5 * self._jitter()))

    def reset(self) -> None:
        """It worked."""
        self.attempts = 0
