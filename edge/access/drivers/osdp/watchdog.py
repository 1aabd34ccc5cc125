"""Keeps one reader alive: libosdp 3.2.9 parks a reader for 300 s after a single NAK or time-out.

Sans-io: what was observed and the time go in, what to do and to report comes out. A reader that is down is disabled for
a pause and enabled for a try, over and over; tries and pauses grow, so that a dead reader costs its bus little. Short
drops (a key change, one corrupted frame) recover within a second and are not reported.
"""

from dataclasses import dataclass
from enum import Enum, StrEnum, auto

TRY_S = (0.6, 1.2, 2.4, 4.0)
"""How long an attempt may take; the handshake of a busy bus at 9600 baud needs the longer ones."""

PAUSE_S = (0.06, 0.06, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""How long a reader stays disabled before an attempt; libosdp needs 60 ms to forget it."""

REPORT_AFTER_S = 1.5
"""A reader that was up is reported down after this long: a key change takes 0.12 s, a parked reader 0.5 s."""

FIRST_REPORT_AFTER_S = 3.0
"""A reader that has never answered is reported down after this long."""

SILENCE_S = 3.0
"""A reader is polled every 50 ms; nothing at all for this long is a loss (libosdp itself takes 8 s to see it)."""


class Order(Enum):
    DISABLE = auto()
    ENABLE = auto()


class Loss(StrEnum):
    """Why a reader is down; the values are those of `protocols.events.ReaderOfflineReason`."""

    NO_ANSWER = "no_answer"
    KEY = "key"


@dataclass(frozen=True)
class Standing:
    """What to report: the reader is up, or down for a reason."""

    up: bool
    reason: Loss | None = None


class Watchdog:
    """One reader's. It starts enabled, never up yet."""

    def __init__(self, now_s: float) -> None:
        self._enabled = True
        self._attempt = 0
        self._since_s = now_s
        self._heard_s = now_s
        self._down_s: float | None = now_s
        self._report_at_s: float | None = now_s + FIRST_REPORT_AFTER_S
        self._heard_while_down = False
        self._standing: Standing | None = None
        self._patience_until_s = 0.0
        self.restarts = 0

    @property
    def is_refused(self) -> bool:
        """Whether the reader, down as it is, answers and yet a whole attempt brought about no channel."""
        return self._down_s is not None and self._attempt > 0 and self._heard_while_down

    def be_patient(self, until_s: float) -> None:
        """Report no loss before then: it is known why the reader is away."""
        self._patience_until_s = max(until_s, self._patience_until_s)

    def begin_anew(self, now_s: float) -> None:
        """The panel was made anew: the reader is enabled, and an attempt begins."""
        self._enabled, self._since_s, self._attempt = True, now_s, 0
        self._heard_while_down = False
        if self._down_s is None:
            self._down_s, self._report_at_s = now_s, now_s + REPORT_AFTER_S

    def observe(
        self, up: bool, heard: bool, now_s: float, *, ready: bool = True, enabled: bool = True
    ) -> tuple[Order | None, Standing | None]:
        """What to do now, and what to report if that changed.

        Args:
            up: whether libosdp holds a secure channel with the reader.
            heard: whether any reply of the reader came since the last call.
            ready: whether a reader that is up may be reported so already.
            enabled: whether libosdp has the reader enabled: it obeys an order only when it no longer waits for a reply,
                which can take a second, and may so disable a reader long after that was ordered.
        """
        if heard:
            self._heard_s = now_s
        if up and now_s - self._heard_s < SILENCE_S:
            return None, self._up(ready)
        if self._down_s is None:
            self._down_s, self._report_at_s = now_s, now_s + REPORT_AFTER_S
            self._heard_while_down = False
            return self._disable(now_s), None
        self._heard_while_down |= heard
        if self._enabled and not enabled:
            self._enabled, self._since_s = False, now_s
        return self._order(now_s), self._down(now_s)

    def _up(self, ready: bool) -> Standing | None:
        self._down_s = self._report_at_s = None
        self._attempt = 0
        return self._changed(Standing(True)) if ready else None

    def _down(self, now_s: float) -> Standing | None:
        if self._report_at_s is None or now_s < max(self._report_at_s, self._patience_until_s):
            return None
        reason = Loss.KEY if self._heard_while_down else Loss.NO_ANSWER
        return self._changed(Standing(False, reason))

    def _changed(self, standing: Standing) -> Standing | None:
        if standing == self._standing or (self._standing is not None and not standing.up and not self._standing.up):
            return None
        self._standing = standing
        return standing

    def _order(self, now_s: float) -> Order | None:
        spent_s = now_s - self._since_s
        if self._enabled and spent_s >= TRY_S[min(self._attempt, len(TRY_S) - 1)]:
            self._attempt += 1
            return self._disable(now_s)
        if not self._enabled and spent_s >= PAUSE_S[min(self._attempt, len(PAUSE_S) - 1)]:
            self._enabled, self._since_s = True, now_s
            return Order.ENABLE
        return None

    def _disable(self, now_s: float) -> Order:
        self._enabled, self._since_s = False, now_s
        self.restarts += 1
        return Order.DISABLE
