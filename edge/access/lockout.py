"""Against guessing PINs: after five wrong ones within a minute a reader takes no digits for a while, longer each time.

Only time forgives: a right PIN between wrong ones does not, or whoever knows one could guess others with it.
"""

from collections import deque
from dataclasses import dataclass, field

TRIES = 5
WITHIN_S = 60.0
FIRST_S = 30.0
LONGEST_S = 300.0
FORGIVEN_AFTER_S = 900.0
"""So long after a lock-out ended, the next begins with `FIRST_S` again."""


@dataclass
class _Reader:
    wrong_at_s: deque[float] = field(default_factory=lambda: deque(maxlen=TRIES))
    until_s: float = float("-inf")
    last_s: float = 0.0


class Lockout:
    """Wrong tries by reader; all times are of the monotonic clock."""

    def __init__(self) -> None:
        self._readers: dict[str, _Reader] = {}

    def holds(self, reader: str, now_s: float) -> bool:
        """Whether a reader takes no digits now."""
        known = self._readers.get(reader)
        return known is not None and now_s < known.until_s

    def wrong(self, reader: str, now_s: float) -> float | None:
        """Count a wrong try; for how long the reader is locked out by it, or None."""
        known = self._readers.setdefault(reader, _Reader())
        known.wrong_at_s.append(now_s)
        if len(known.wrong_at_s) < TRIES or now_s - known.wrong_at_s[0] > WITHIN_S:
            return None
        again = known.last_s > 0 and now_s - known.until_s < FORGIVEN_AFTER_S
        known.last_s = min(2 * known.last_s, LONGEST_S) if again else FIRST_S
        known.until_s = now_s + known.last_s
        known.wrong_at_s.clear()
        return known.last_s
