"""The outbox's file and its reader: opened as soon as the disk allows it, moved aside when damaged, closed cleanly.

The file may be away for as long as the disk refuses it; the writer asks again and again, and nobody else waits for it.
"""

import errno
import logging
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

from edge.counters import Counters
from edge.outbox.ballast import Ballast
from edge.outbox.file import CorruptOutbox, OutboxFile, OutboxFull, OutboxReader
from edge.outbox.rows import OutboxRow

_log = logging.getLogger(__name__)

FAULTS = (OutboxFull, CorruptOutbox, OSError, sqlite3.Error)
"""What opening and writing may meet."""
_TOO_LITTLE_BYTES = 256 * 1024
"""With less free than this, a file that cannot be opened is put down to the full disk: SQLite's index of the log takes
32 KiB, and its error does not say that it found no room."""


class Storage:
    """Opened, closed and written by one thread; `rows` may be read from another meanwhile.

    Args:
        new_stream: makes the name of a stream.
        wall_s: the wall clock, for the name of a damaged file.
    """

    def __init__(
        self,
        path: Path,
        quota_bytes: int,
        ballast: Ballast,
        new_stream: Callable[[], UUID],
        wall_s: Callable[[], float],
        counters: Counters,
    ) -> None:
        self.path = path
        self.file: OutboxFile | None = None
        self._quota_bytes, self._ballast, self._new_stream = quota_bytes, ballast, new_stream
        self._wall_s, self._counters = wall_s, counters
        self._reader: OutboxReader | None = None
        self._lock = threading.Lock()

    def open(self) -> str | None:
        """Open the file anew. If it is damaged, move it aside; if the disk is full, give it the ballast's room.

        Returns:
            Why a new stream began in the place of a damaged file; None mostly.

        Raises:
            OutboxFull, CorruptOutbox, OSError, sqlite3.Error: if it cannot be opened now; `file` is then None.
        """
        with self._lock:
            self._close()
            damaged = None
            try:
                file = self._new_file()
            except CorruptOutbox as error:
                damaged = self._move_aside(error)
                file = self._new_file()
            except (OutboxFull, sqlite3.OperationalError):  # SQLite's index of the log needs 32 KiB before anything
                if not self._ballast.is_held:
                    raise
                self._counters.add("ballast_released")
                self._ballast.release()
                file = self._new_file()
            self._reader = OutboxReader(self.path)
            self.file = file
            return damaged

    def rows(self, first: int, last: int, limit: int) -> list[OutboxRow]:
        """Committed rows; none while there is no file.

        Raises:
            sqlite3.Error: if the file cannot be read.
        """
        with self._lock:
            return self._reader.rows(first, last, limit) if self._reader is not None else []

    def close(self) -> None:
        with self._lock:
            if self.file is not None:
                self.file.checkpoint()
            self._close()

    def is_for_want_of_room(self, error: Exception) -> bool:
        """Whether a fault comes from a disk without room."""
        if isinstance(error, OutboxFull) or getattr(error, "errno", None) == errno.ENOSPC:
            return True
        try:
            return self._ballast.free_bytes() < _TOO_LITTLE_BYTES
        except OSError:
            return False

    def size_bytes(self) -> int:
        """On disk, with the log."""
        return sum(_size_bytes(self.path.with_name(self.path.name + suffix)) for suffix in ("", "-wal"))

    def _new_file(self) -> OutboxFile:
        return OutboxFile(self.path, self._quota_bytes, self._new_stream())

    def _close(self) -> None:
        reader, file = self._reader, self.file
        self._reader = self.file = None
        if reader is not None:
            reader.close()
        if file is not None:
            file.close()

    def _move_aside(self, error: CorruptOutbox) -> str:
        aside = self.path.with_name(f"{self.path.name}.corrupt-{int(self._wall_s())}")
        for suffix in ("", "-wal", "-shm"):
            part = self.path.with_name(self.path.name + suffix)
            if part.exists():
                part.rename(aside.with_name(aside.name + suffix))
        self._counters.add("outbox_corrupt")
        _log.error("outbox damaged: moved aside, a new stream begins", extra={"aside": aside.name})
        return f"{self.path.name} was damaged ({error}); moved aside as {aside.name}, a new stream begins"


def _size_bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # not there, or moved aside at this moment
        return 0
