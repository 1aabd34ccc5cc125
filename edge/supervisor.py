"""The loop that owns every part of the gateway: starts it, notices that it failed, starts it again with back-off.

A part that fails takes no other down. Each has a named state that `/healthz` shows, and a restart is an event.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from edge.backoff import Backoff
from edge.clock import Clock, now
from edge.counters import Counters
from edge.observations import Observation, Recorder
from protocols.events import SourceRestarted

_log = logging.getLogger(__name__)

_FIRST_RETRY_S = 1.0
_LONGEST_RETRY_S = 60.0
_WELL_AFTER_S = 60.0
"""A part that ran this long has recovered: its next failure counts as a first one."""


class PartState(StrEnum):
    """What a person sees of a part."""

    WAITING = "waiting"
    RUNNING = "running"
    FAILED = "failed"
    STOPPED = "stopped"


class Part(Protocol):
    """Something that runs by itself between `start` and `stop`, and can be started again after a failure."""

    def start(self) -> None: ...

    def stop(self) -> object: ...

    @property
    def failure(self) -> str | None:
        """Why it no longer works; None while it does."""
        ...


@dataclass(frozen=True)
class PartStatus:
    """A part's state, why it failed last, and how often it was started again."""

    state: PartState
    reason: str
    restarts: int


@dataclass
class _Supervised:
    name: str
    part: Part
    backoff: Backoff
    state: PartState = PartState.WAITING
    reason: str = ""
    restarts: int = 0
    since_s: float = 0.0
    retry_at_s: float = 0.0


class Supervisor:
    """Called by one thread; `states` by any.

    Args:
        parts: by name, in the order in which they start; they stop in the order given to `stop`.
        device: the gateway's id, of which restarts are told.
        jitter: a number in [0, 1) for each call.
    """

    def __init__(
        self,
        parts: Sequence[tuple[str, Part]],
        clock: Clock,
        record: Recorder,
        device: str,
        place: str,
        jitter: Callable[[], float],
        counters: Counters,
    ) -> None:
        self._parts = [
            _Supervised(name, part, Backoff(_FIRST_RETRY_S, _LONGEST_RETRY_S, jitter)) for name, part in parts
        ]
        self._clock, self._record, self._device, self._place, self._counters = clock, record, device, place, counters

    def start(self) -> None:
        """Start every part; one that fails is tried again later and holds up no other."""
        for supervised in self._parts:
            self._start(supervised)

    def tick(self) -> None:
        """Notice failures and start again what is due."""
        now_s = self._clock.monotonic_s()
        for supervised in self._parts:
            if supervised.state is PartState.RUNNING:
                failure = supervised.part.failure
                if failure is not None:
                    self._failed(supervised, failure)
                elif now_s - supervised.since_s > _WELL_AFTER_S:
                    supervised.backoff.reset()
            elif supervised.state is PartState.FAILED and now_s >= supervised.retry_at_s:
                self._start(supervised)

    def stop(self, names: Sequence[str], timeout_s: float) -> bool:
        """Stop these parts side by side; whether all ended in time."""
        chosen = [supervised for supervised in self._parts if supervised.name in names]
        threads = [threading.Thread(target=self._stop, args=(supervised,), daemon=True) for supervised in chosen]
        for thread in threads:
            thread.start()
        deadline_s = self._clock.monotonic_s() + timeout_s
        for thread in threads:
            thread.join(max(deadline_s - self._clock.monotonic_s(), 0.0))
        return not any(thread.is_alive() for thread in threads)

    def states(self) -> dict[str, PartStatus]:
        """Every part's state by name."""
        return {part.name: PartStatus(part.state, part.reason, part.restarts) for part in self._parts}

    def _start(self, supervised: _Supervised) -> None:
        again = supervised.state is PartState.FAILED
        try:
            supervised.part.start()
        except Exception as error:  # noqa: BLE001 - whatever one part raises, the others go on
            self._failed(supervised, f"{type(error).__name__}: {error}")
            return
        supervised.state, supervised.since_s = PartState.RUNNING, self._clock.monotonic_s()
        if again:
            supervised.restarts += 1
            self._counters.add("part_restarts")
            _log.warning("part started again", extra={"part": supervised.name, "attempt": supervised.backoff.attempts})
            data = SourceRestarted(
                source=supervised.name, reason=supervised.reason[:300], attempt=max(supervised.backoff.attempts, 1)
            )
            self._record(Observation(self._device, self._place, data, now(self._clock)))

    def _failed(self, supervised: _Supervised, reason: str) -> None:
        wait_s = supervised.backoff.next_s()
        self._counters.add("part_failures")
        _log.error("part failed", extra={"part": supervised.name, "reason": reason, "retry_in_s": round(wait_s, 1)})
        supervised.state, supervised.reason = PartState.FAILED, reason
        supervised.retry_at_s = self._clock.monotonic_s() + wait_s

    def _stop(self, supervised: _Supervised) -> None:
        if supervised.state is not PartState.RUNNING:
            return
        try:
            supervised.part.stop()
        except Exception as error:  # noqa: BLE001 - the others still have to be stopped
            _log.error("part did not stop cleanly", extra={"part": supervised.name, "reason": str(error)})
        supervised.state = PartState.STOPPED
