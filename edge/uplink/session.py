"""The gateway's session number: rises with every connection, kept on disk, so that a late will is known as late."""

from collections.abc import Callable
from pathlib import Path

from edge.durable import write_durably


class SessionCounter:
    """One number in a file. Should the file be unreadable, it goes on from the wall clock, which lies above."""

    def __init__(self, path: Path, wall_clock_s: Callable[[], float]) -> None:
        self._path, self._wall_clock_s = path, wall_clock_s
        self.current = self._read(wall_clock_s)

    def next(self) -> int:
        """Count one up and keep it.

        Raises:
            OSError: if the disk refuses; `current` has risen all the same.
        """
        self.current += 1
        write_durably(self._path, f"{self.current}\n".encode())
        return self.current

    def leap(self) -> None:
        """Go on from the wall clock: the number that is kept may be older than one the hub has seen."""
        self.current = max(self.current, int(self._wall_clock_s()))

    def _read(self, wall_clock_s: Callable[[], float]) -> int:
        try:
            return int(self._path.read_text())
        except FileNotFoundError:
            return 0
        except (OSError, ValueError):
            return int(wall_clock_s())
