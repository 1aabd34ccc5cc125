"""Holds receipts back so that a gateway gets at most ten a second, the first at once. It publishes nothing itself."""

from collections.abc import Iterable
from uuid import UUID

from protocols.receipts import Receipt

MIN_INTERVAL_S = 0.1
"""Ten receipts a second and gateway: a signature costs some 70 us here and its check twice that at the gateway."""

_QUIET_GATEWAYS_REMEMBERED = 10_000


class ReceiptPacer:
    """The newest receipt of each stream, until it may be sent. For one thread; time is passed in (monotonic seconds).

    Only the newest is kept: what is stored of a stream only grows, so it says all that the ones before said.
    """

    def __init__(self) -> None:
        self._pending: dict[str, dict[UUID, Receipt]] = {}
        self._last_sent_s: dict[str, float] = {}

    def add(self, receipts: Iterable[tuple[str, Receipt]]) -> None:
        for gateway, receipt in receipts:
            self._pending.setdefault(gateway, {})[receipt.stream] = receipt

    def due(self, now_s: float) -> list[tuple[str, Receipt]]:
        """Take the receipts that may be sent now."""
        ready = [gateway for gateway in self._pending if self._due_s(gateway) <= now_s]
        if len(self._last_sent_s) > _QUIET_GATEWAYS_REMEMBERED:
            self._last_sent_s = {g: at for g, at in self._last_sent_s.items() if now_s - at < MIN_INTERVAL_S}
        taken = []
        for gateway in ready:
            self._last_sent_s[gateway] = now_s
            taken += [(gateway, receipt) for receipt in self._pending.pop(gateway).values()]
        return taken

    def wait_s(self, now_s: float) -> float | None:
        """Seconds until the next is due; None while nothing is pending."""
        if not self._pending:
            return None
        return max(min(self._due_s(gateway) for gateway in self._pending) - now_s, 0.0)

    def _due_s(self, gateway: str) -> float:
        return self._last_sent_s.get(gateway, float("-inf")) + MIN_INTERVAL_S
