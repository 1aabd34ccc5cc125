"""Room kept on the disk, to be given up when the disk is full.

Once the log cannot grow, SQLite can neither delete nor checkpoint, so a full outbox could never free itself. The
ballast is larger than the log gets (`wal_autocheckpoint`, 1000 pages of 4 KiB), which was measured to be needed.
"""

import os
from contextlib import suppress
from pathlib import Path

MIN_BALLAST_BYTES = 5 * 1024 * 1024


class Ballast:
    """A file of `size_bytes` that holds nothing."""

    def __init__(self, path: Path, size_bytes: int) -> None:
        self._path = path
        self._size_bytes = max(size_bytes, MIN_BALLAST_BYTES)

    @property
    def is_held(self) -> bool:
        with suppress(OSError):
            return self._path.stat().st_size >= self._size_bytes
        return False

    def hold(self) -> bool:
        """Take the room, if at least as much again stays free; whether it is held now."""
        if self.is_held:
            return True
        if self.free_bytes() < 2 * self._size_bytes:
            return False
        try:
            with self._path.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, self._size_bytes)
                os.fsync(file.fileno())
        except OSError:
            self.release()
            return False
        return True

    def release(self) -> None:
        """Give the room back to the disk."""
        self._path.unlink(missing_ok=True)

    def free_bytes(self) -> int:
        """What this user may still write to the disk."""
        disk = os.statvfs(self._path.parent)
        return disk.f_bavail * disk.f_frsize
