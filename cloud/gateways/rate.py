"""How many attempts at enrolment the hub looks at: a bucket for each address, and one for all together."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

_MAX_ADDRESSES = 10_000


@dataclass(frozen=True)
class Allowance:
    """A bucket of `burst` attempts that fills by `per_s` a second."""

    burst: float
    per_s: float


class AttemptLimit:
    """Token buckets in memory; the address that was quiet longest is forgotten first."""

    def __init__(
        self,
        monotonic_s: Callable[[], float],
        each: Allowance = Allowance(10, 1 / 6),
        together: Allowance = Allowance(100, 2),
    ) -> None:
        self._monotonic_s = monotonic_s
        self._each, self._together = each, together
        self._lock = threading.Lock()
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._all = (together.burst, monotonic_s())

    def take(self, address: str) -> bool:
        """Whether one more attempt from this address is looked at."""
        with self._lock:
            now = self._monotonic_s()
            allowed, self._buckets[address] = _taken(
                self._buckets.get(address, (self._each.burst, now)), self._each, now
            )
            self._buckets.move_to_end(address)
            while len(self._buckets) > _MAX_ADDRESSES:
                self._buckets.popitem(last=False)
            if not allowed:
                return False
            allowed, self._all = _taken(self._all, self._together, now)
            return allowed


def _taken(bucket: tuple[float, float], allowance: Allowance, now: float) -> tuple[bool, tuple[float, float]]:
    left, then = bucket
    left = min(allowance.burst, left + (now - then) * allowance.per_s)
    return (True, (left - 1, now)) if left >= 1 else (False, (left, now))
