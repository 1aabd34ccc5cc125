"""Whether a camera's packets grew: an encoder spends bytes where something moves, which costs nothing to notice.

Only packets between key frames count. A moment's average is compared with the quiet level, that falls quickly and rises
slowly, so that steady rain becomes the new quiet and a walker does not.
"""

from math import exp

_MOMENT_S = 0.25
_FALL_S = 2.0
_RISE_S = 30.0
_SETTLE_S = 2.0
_LEAST_BYTES = 60.0
_FACTOR = 1.35
_DEVIATIONS = 3.0
_MOST_CAUTION = 4.0


class SizeWatch:
    """Follows the sizes of one connection's packets. Not shared between threads."""

    def __init__(self) -> None:
        self._moment = 0.0
        self._quiet = 0.0
        self._spread = 0.0
        self._began_s: float | None = None
        self._last_s = 0.0
        self._caution = 1.0

    def see(self, size: int, at_s: float) -> bool:
        """Whether packets between key frames have grown, with this one of `size` bytes at `at_s` (s, rising)."""
        if self._began_s is None:
            self._began_s = self._last_s = at_s
            self._moment = self._quiet = float(size)
            return False
        gap_s = max(0.0, at_s - self._last_s)
        self._last_s = at_s
        self._moment += (size - self._moment) * (1.0 - exp(-gap_s / _MOMENT_S))
        growth = self._moment - self._quiet
        grew = growth > self._caution * (_LEAST_BYTES + (_FACTOR - 1.0) * self._quiet + _DEVIATIONS * self._spread)
        is_settling = at_s - self._began_s < _SETTLE_S
        weight = 1.0 - exp(-gap_s / (_FALL_S if growth < 0 or is_settling else _RISE_S))
        self._quiet += growth * weight
        self._spread += (abs(growth) - self._spread) * weight
        return grew and not is_settling

    def was_right(self, moved: bool) -> None:
        """What came of the last growth: a false alarm makes it cautious, a true one less so."""
        self._caution = max(1.0, self._caution * 0.7) if moved else min(_MOST_CAUTION, self._caution * 1.3)
