"""Who is in which area, as far as readers on the way in and out tell: what anti-passback is judged by.

Somebody is in one area at the most. `who` is the keyed hash of the holder, or of a credential without one its id.
"""

from dataclasses import dataclass

from edge.access.ledger_file import LedgerFile

MAX_KNOWN = 200_000
"""Beyond that whoever moved longest ago is forgotten."""


@dataclass(frozen=True, slots=True)
class Presence:
    """Where somebody went last (None: out of every area), and when (wall seconds)."""

    area: str | None
    at_s: float


class PresenceLedger:
    """Places by who is there; in the order of the last move."""

    def __init__(self, file: LedgerFile) -> None:
        self._file = file
        self._places: dict[bytes, Presence] = {}
        found = [(bytes(who), area, float(at_s)) for who, area, at_s in file.found("presence")]  # type: ignore[call-overload,arg-type]
        for who, area, at_s in sorted(found, key=lambda row: row[2]):
            self._places[who] = Presence(None if area is None else str(area), at_s)

    def __len__(self) -> int:
        return len(self._places)

    def of(self, who: bytes) -> Presence | None:
        """Where somebody is; None: not known."""
        return self._places.get(who)

    def moved(self, who: bytes, area: str | None, at_s: float) -> None:
        """Somebody went into `area`, or out of every area."""
        self._places.pop(who, None)
        self._places[who] = Presence(area, at_s)
        self._file.put("presence", (who, area, at_s))
        if len(self._places) > MAX_KNOWN:
            self._forget(next(iter(self._places)))

    def forget(self, area: str | None) -> None:
        """Forget who is in an area; None: who is anywhere."""
        for who, place in list(self._places.items()):
            if area is None or place.area == area:
                self._forget(who)

    def _forget(self, who: bytes) -> None:
        self._places.pop(who, None)
        self._file.drop("presence", who)
