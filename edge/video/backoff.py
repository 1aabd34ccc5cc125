"""How long to wait before trying again: longer after each failure, with jitter so that not all return at once."""

from collections.abc import Callable


class Backoff:
    """Exponential back-off. Not shared between threads.

    Args:
        first_s: the wait after the first failure, before jitter.
        most_s: the longest wait, before jitter.
        uniform: a random number in [0, 1).
    """

    def __init__(self, first_s: float, most_s: float, uniform: Callable[[], float]) -> None:
        self._first_s = first_s
        self._most_s = most_s
        self._uniform = uniform
        self.failures = 0

    def next_s(self) -> float:
        """Count one more failure; how long to wait now: between 75 % and 125 % of the step."""
        step_s = min(self._most_s, self._first_s * 2.0 ** min(self.failures, 30))
        self.failures += 1
        return step_s * (0.75 + self._uniform() / 2)

    def reset(self) -> None:
        """It works again: the next failure is a first one."""
        self.failures = 0
