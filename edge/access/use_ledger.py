"""How often each credential with a limited number of uses has opened a door of this gateway.

A use is counted when the door is granted, before anybody passes, and given back when the door was then not opened: so
that a code for one use cannot open two doors, or one door twice, in the seconds in between. A gateway that ends in
those seconds has spent the use.
"""

from uuid import UUID

from edge.access.ledger_file import LedgerFile

FORGET_AFTER_S = 7 * 86_400.0
"""A count is kept for so long after its credential ended, in case the clock goes back."""


class UseLedger:
    """Counts by credential."""

    def __init__(self, file: LedgerFile) -> None:
        self._file = file
        self._counts: dict[bytes, tuple[int, float | None]] = {}
        for ref, count, ends_s in file.found("use"):
            self._counts[bytes(ref)] = int(count), ends_s  # type: ignore[call-overload,assignment]

    def __len__(self) -> int:
        return len(self._counts)

    def count(self, ref: UUID) -> int:
        """How many uses are spent."""
        return self._counts.get(ref.bytes, (0, None))[0]

    def spend(self, ref: UUID, ends_s: float | None) -> None:
        """Count a use of a credential that ends at `ends_s` (wall seconds; None: never)."""
        self._put(ref.bytes, self.count(ref) + 1, ends_s)

    def give_back(self, ref: UUID) -> None:
        """Undo `spend`."""
        count, ends_s = self._counts.get(ref.bytes, (0, None))
        if count > 0:
            self._put(ref.bytes, count - 1, ends_s)

    def forget_ended(self, wall_s: float) -> None:
        """Drop the counts of credentials that ended long ago."""
        for key, (_, ends_s) in list(self._counts.items()):
            if ends_s is not None and ends_s + FORGET_AFTER_S < wall_s:
                del self._counts[key]
                self._file.drop("use", key)

    def _put(self, key: bytes, count: int, ends_s: float | None) -> None:
        self._counts[key] = count, ends_s
        self._file.put("use", (key, count, ends_s))
