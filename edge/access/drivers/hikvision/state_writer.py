"""Writes small state files durably in a thread of its own, so that a slow disk holds nobody up."""

import logging
import threading
from pathlib import Path

from edge.durable import write_durably

_log = logging.getLogger(__name__)


class StateWriter:
    """Of several contents for one file that wait, the newest is written.

    Attributes:
        faults: how often the disk refused. The content then waits for the next `put` or the end.
    """

    def __init__(self, name: str) -> None:
        self._waiting: dict[Path, bytes] = {}
        self._changed = threading.Condition()
        self._closing = self._writing = False
        self.faults = 0
        self._thread = threading.Thread(target=self._run, name=name)

    def start(self) -> None:
        self._thread.start()

    def put(self, path: Path, content: bytes) -> None:
        """Have `content` written to `path` soon."""
        with self._changed:
            self._waiting[path] = content
            self._changed.notify_all()

    def flush(self) -> None:
        """Wait until what was put is written, or was refused."""
        with self._changed:
            self._changed.wait_for(lambda: not (self._waiting or self._writing))

    def close(self) -> None:
        """Write what waits, and end."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closing)
                if not self._waiting:
                    return
                work, self._waiting = self._waiting, {}
                self._writing = True
            for path, content in work.items():
                self._write(path, content)
            with self._changed:
                self._writing = False
                self._changed.notify_all()

    def _write(self, path: Path, content: bytes) -> None:
        try:
            write_durably(path, content)
        except OSError as error:
            self.faults += 1
            _log.warning("%s cannot be written: %s", path, error.strerror)
