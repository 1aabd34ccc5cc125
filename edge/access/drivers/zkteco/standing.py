"""Whether one device is there, as its calls tell, and what the controller hears of it."""

import math
from collections.abc import Sequence

from edge.access.drivers.interface import Deliver, OutputsForgotten, ReaderDown, ReaderUp
from edge.clock import Clock
from protocols.access_events import ReaderOfflineReason

SILENT_S = 30.0
"""Three times the 10 s that a device waits for an answer (TimeoutSec) before it tries again."""

STRANGER_EVERY_S = 60.0
"""Whoever sends made-up serial numbers must not fill the event log."""


class Standing:
    """One thread at a time, but for `is_up`.

    Args:
        readers: those of the device, by id.
        is_listed: whether its serial number is in the site file.
        encrypted: whether the listener speaks TLS.
    """

    def __init__(
        self, readers: Sequence[str], clock: Clock, deliver: Deliver, *, is_listed: bool, encrypted: bool
    ) -> None:
        self._readers, self._clock, self._deliver = readers, clock, deliver
        self._is_listed, self._encrypted = is_listed, encrypted
        self._heard_s = clock.monotonic_s()
        self._up = False
        self._down_detail = ""
        self._stranger_told_s = -math.inf

    @property
    def is_up(self) -> bool:
        return self._up

    def heard(self, *, begins_anew: bool) -> None:
        """The device called; one that begins anew has forgotten its outputs."""
        self._heard_s = self._clock.monotonic_s()
        was_up = self._up
        if not was_up:
            self._up, self._down_detail = True, ""
            for reader in self._readers:
                self._deliver(ReaderUp(reader, self._encrypted))
        if not was_up or begins_anew:
            for reader in self._readers:
                self._deliver(OutputsForgotten(reader))

    def tick(self) -> None:
        """Notice a silence."""
        silent_s = self._clock.monotonic_s() - self._heard_s
        if silent_s > SILENT_S and (self._up or not self._down_detail):
            self.lose(ReaderOfflineReason.NO_ANSWER, self._silence())

    def lose(self, reason: ReaderOfflineReason, detail: str) -> None:
        """The device cannot be used; told when the cause is new."""
        if detail == self._down_detail:
            return
        self._up, self._down_detail = False, detail
        for reader in self._readers:
            self._deliver(ReaderDown(reader, reason, detail))

    def tell_stranger(self, detail: str) -> None:
        """Something else than this device calls in its place: told now and then, while the device itself is away."""
        now_s = self._clock.monotonic_s()
        if self._up or now_s - self._stranger_told_s < STRANGER_EVERY_S:
            return
        self._stranger_told_s = now_s
        self.lose(ReaderOfflineReason.UNKNOWN_DEVICE, detail)

    def await_call(self) -> None:
        """The gateway listens (again): if the device stays away, that is its own fault from now on."""
        if not self._up:
            self._heard_s, self._down_detail = self._clock.monotonic_s(), ""

    def _silence(self) -> str:
        if not self._is_listed:
            return "the device has no serial number in the site file yet, and no unlisted device has called"
        return (
            f"the device has not called for {SILENT_S:.0f} s: check its power, its network, and the server address "
            f"and port in its cloud server settings"
        )
