"""Named counts of everything that went wrong or was dropped, read by `/metrics`. Never reset while the daemon runs."""

import threading
from collections import Counter


class Counters:
    """Counts by name; safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()

    def add(self, name: str, count: int = 1) -> None:
        """Count `name`, which is lower case with underscores: it becomes a metric's label."""
        with self._lock:
            self._counts[name] += count

    def __getitem__(self, name: str) -> int:
        with self._lock:
            return self._counts[name]

    def snapshot(self) -> dict[str, int]:
        """A copy of all counts so far."""
        with self._lock:
            return dict(self._counts)
