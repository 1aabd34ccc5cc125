"""What the doors' thread counts, and the newest latencies; `AccessStatus` shows them."""

from collections import Counter, deque
from types import MappingProxyType

from edge.access.decision import Decision
from edge.access.presentations import Card, CardAndPin, Code, Number, Pin, Plate, Presentation
from edge.access.status import AccessCounters
from protocols.access_events import DenialReason

_LATENCIES_KEPT = 2048
_KINDS: dict[type[Presentation], str] = {
    Card: "card",
    Number: "number",
    Pin: "pin",
    CardAndPin: "card_and_pin",
    Code: "code",
    Plate: "plate",
}


class Counts:
    """Written by the doors' thread (`dropped` by any), read by any."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._presented: Counter[str] = Counter()
        self._denied: Counter[DenialReason] = Counter()
        self._latencies_us: deque[int] = deque(maxlen=_LATENCIES_KEPT)

    def add(self, name: str) -> None:
        """Count one of `AccessCounters`' plain fields."""
        self._counts[name] += 1

    def presented(self, what: Presentation) -> None:
        self._presented[_KINDS[type(what)]] += 1

    def decided(self, decision: Decision) -> None:
        if decision.granted:
            self.add("granted")
        else:
            self._denied[decision.reason or DenialReason.UNKNOWN_CREDENTIAL] += 1

    def took_us(self, latency_us: int) -> None:
        """From a card's bytes to its strike command."""
        self._latencies_us.append(latency_us)

    def latencies_us(self) -> tuple[int, ...]:
        return tuple(self._latencies_us.copy())

    def frozen(self) -> AccessCounters:
        counts = self._counts
        return AccessCounters(
            presented=MappingProxyType({kind: self._presented[kind] for kind in _KINDS.values()}),
            granted=counts["granted"],
            denied=MappingProxyType({reason: self._denied[reason] for reason in DenialReason}),
            decided_by_devices=counts["decided_by_devices"],
            duress=counts["duress"],
            lock_outs=counts["lock_outs"],
            unsure_plates=counts["unsure_plates"],
            strike_failures=counts["strike_failures"],
            worker_restarts=counts["worker_restarts"],
            dropped_inputs=counts["dropped_inputs"],
            faults=counts["faults"],
        )
