"""How much of the uplink live video may take: an account that fills at a fixed rate and may fall into debt."""

BURST_S = 2.0
LEAST_BURST_BYTES = 512 * 1024
"""Enough for a group of pictures at the start, so that the first picture comes at once."""
CALM = 0.9


class Budget:
    """Bytes per second for all streams together. Used by one thread."""

    def __init__(self, bytes_per_s: float) -> None:
        self.bytes_per_s = bytes_per_s
        self._most_bytes = max(bytes_per_s * BURST_S, LEAST_BURST_BYTES)
        self._left_bytes = self._most_bytes
        self._at_s: float | None = None

    def spend(self, size_bytes: int, now_s: float) -> None:
        """So much was sent."""
        self._fill(now_s)
        self._left_bytes -= size_bytes

    def is_spent(self, now_s: float) -> bool:
        """Whether more was sent than the rate allows."""
        self._fill(now_s)
        return self._left_bytes <= 0

    def carries(self, bytes_per_s: float) -> bool:
        """Whether streams of that rate together fit in, with something to spare."""
        return bytes_per_s <= CALM * self.bytes_per_s

    def _fill(self, now_s: float) -> None:
        if self._at_s is not None:
            gained = (now_s - self._at_s) * self.bytes_per_s
            self._left_bytes = min(self._most_bytes, self._left_bytes + gained)
        self._at_s = now_s
