"""A thread that somebody owns: it is asked to stop, and what ended it is kept for its supervisor."""

import logging
import threading
from collections.abc import Callable

_log = logging.getLogger(__name__)


class Worker:
    """Runs `body(stopping)` in a thread; the body returns soon after `stopping` is set.

    A worker may be started again after it ended, which is how the supervisor restarts a crashed part.
    """

    def __init__(self, name: str, body: Callable[[threading.Event], None]) -> None:
        self.name = name
        self._body = body
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._failure: str | None = None

    def start(self) -> None:
        """Start the thread, unless it runs."""
        if self.is_alive:
            return
        self._stopping = threading.Event()
        self._failure = None
        self._thread = threading.Thread(target=self._run, args=(self._stopping,), name=self.name, daemon=True)
        self._thread.start()

    def ask_to_stop(self) -> None:
        self._stopping.set()

    def stop(self, timeout_s: float) -> bool:
        """Ask the body to stop and wait for it; whether it ended in time."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout_s)
        return not self.is_alive

    @property
    def is_alive(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    @property
    def failure(self) -> str | None:
        """Why the thread ended though nobody had asked it to; None while it runs or if it was stopped."""
        return self._failure

    def _run(self, stopping: threading.Event) -> None:
        try:
            self._body(stopping)
        except Exception as error:  # noqa: BLE001 - the supervisor restarts the part and reports it
            self._failure = f"{type(error).__name__}: {error}"
            _log.exception("part failed", extra={"part": self.name})
        else:
            if not stopping.is_set():
                self._failure = "ended by itself"
