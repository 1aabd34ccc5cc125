"""Threads that are looked after: one that crashes or makes no progress is replaced. Knows nothing of video.

Python cannot end a thread that is stuck in a library. Such a one is abandoned: told to stop, watched no more, and a new
one takes over. A few abandoned ones are borne; beyond that no more are started until one of them comes back.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from edge.backoff import Backoff

_log = logging.getLogger(__name__)

MOST_ABANDONED = 3
"""Stuck threads borne of one worker: each holds a decoder's memory."""

CALM_AFTER_S = 60.0
"""A worker that ran so long without failing has recovered: its next failure counts as the first."""


class Run:
    """One life of a worker's thread: how it learns that it is to stop, and how it shows that it makes progress."""

    def __init__(self, monotonic_s: Callable[[], float]) -> None:
        self._monotonic_s = monotonic_s
        self._stop = threading.Event()
        self.started_s = monotonic_s()
        self.beat_s = self.started_s
        self.crash: str | None = None

    @property
    def stopped(self) -> bool:
        """Whether the thread is to end, and must no longer touch anything shared."""
        return self._stop.is_set()

    def stop(self) -> None:
        """Tell the thread to end."""
        self._stop.set()

    def beat(self) -> None:
        """The thread makes progress."""
        self.beat_s = self._monotonic_s()

    def pause(self, seconds: float) -> bool:
        """Wait, showing progress meanwhile; True if told to stop."""
        until_s = self._monotonic_s() + seconds
        while not self._stop.is_set():
            self.beat()
            left_s = until_s - self._monotonic_s()
            if left_s <= 0:
                return False
            self._stop.wait(min(left_s, 1.0))
        return True


@dataclass(frozen=True)
class Failure:
    """A worker failed and was started again, for the `attempt`-th time in a row."""

    worker: str
    reason: str
    attempt: int


class Worker:
    """Keeps one thread running. `start`, `tick` and `stop` are called by one supervising thread.

    Args:
        name: shown in events and thread lists.
        body: what the thread does; it returns when its `Run` is stopped, and beats more often than `stuck_after_s`.
        backoff: how long to wait before starting again.
        monotonic_s: the monotonic clock.
        stuck_after_s: a thread without a beat for so long is given up.
        on_stuck: called when one is given up.
    """

    def __init__(
        self,
        name: str,
        body: Callable[[Run], None],
        backoff: Backoff,
        monotonic_s: Callable[[], float],
        stuck_after_s: float,
        on_stuck: Callable[[], None] = lambda: None,
    ) -> None:
        self.name = name
        self.restarts = 0
        self._body = body
        self._backoff = backoff
        self._monotonic_s = monotonic_s
        self._stuck_after_s = stuck_after_s
        self._on_stuck = on_stuck
        self._run: Run | None = None
        self._thread: threading.Thread | None = None
        self._abandoned: list[threading.Thread] = []
        self._failure: str | None = None
        self._restart_at_s = 0.0

    def start(self) -> None:
        """Start the thread."""
        run = Run(self._monotonic_s)
        self._run = run
        self._thread = threading.Thread(target=self._live, args=(run,), name=self.name, daemon=True)
        self._thread.start()

    def tick(self) -> Failure | None:
        """Look after the thread; what was restarted, if it was."""
        now_s = self._monotonic_s()
        if self._failure is None:
            self._failure = self._look(now_s)
            if self._failure is not None:
                _log.error("%s failed: %s", self.name, self._failure)
                self._restart_at_s = now_s + self._backoff.next_s()
        self._abandoned = [thread for thread in self._abandoned if thread.is_alive()]
        if self._failure is None or now_s < self._restart_at_s or len(self._abandoned) >= MOST_ABANDONED:
            return None
        failure = Failure(self.name, self._failure, self._backoff.attempts)
        self._failure = None
        self.restarts += 1
        self.start()
        return failure

    def stop(self) -> None:
        """Tell the thread to end."""
        if self._run is not None:
            self._run.stop()

    def join(self, timeout_s: float) -> bool:
        """Wait for the thread to end; whether it did."""
        if self._thread is None:
            return True
        self._thread.join(max(0.0, timeout_s))
        return not self._thread.is_alive()

    def _look(self, now_s: float) -> str | None:
        """Why the thread needs replacing, if it does."""
        run, thread = self._run, self._thread
        if run is None or thread is None or run.stopped:
            return None
        if not thread.is_alive():
            return run.crash or "it ended by itself"
        if now_s - run.beat_s > self._stuck_after_s:
            run.stop()
            self._abandoned.append(thread)
            self._on_stuck()
            return f"no progress for {self._stuck_after_s:g} s"
        if now_s - run.started_s > CALM_AFTER_S:
            self._backoff.reset()
        return None

    def _live(self, run: Run) -> None:
        try:
            self._body(run)
        except Exception as error:  # noqa: BLE001 the supervisor's border: whatever it was, it is reported and restarted
            run.crash = f"{type(error).__name__}: {error}"[:280]
            _log.exception("%s crashed", self.name)
