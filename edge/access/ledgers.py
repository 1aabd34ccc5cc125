"""What doors remember beside the policy: uses, who is in which area, first cards, and when the hub was last heard.

All of it is decided from memory and follows to the disk (`edge.access.ledger_file`), so that a restart forgets nothing
but what changed in the last moment before a power cut. It holds ids and keyed hashes, no card and no person.
"""

from pathlib import Path

from edge.access.ledger_file import LedgerFile
from edge.access.presence_ledger import PresenceLedger
from edge.access.use_ledger import UseLedger

NOTED_EVERY_S = 60.0
"""So often at the most a moment is written, which spares the flash."""

_TABLES = {
    "use": "ref BLOB PRIMARY KEY, count INTEGER NOT NULL, forget_at_s REAL",
    "presence": "who BLOB PRIMARY KEY, area TEXT, at_s REAL NOT NULL",
    "first_card": "door TEXT PRIMARY KEY, until_s REAL NOT NULL, frees INTEGER NOT NULL",
    "moment": "name TEXT PRIMARY KEY, wall_s REAL NOT NULL",
}


class Ledgers:
    """The ledgers of one gateway.

    Args:
        path: the file, such as `access.db` in the state folder; None: memory alone.
    """

    def __init__(self, path: Path | None) -> None:
        self._file = LedgerFile(path, _TABLES)
        self.uses = UseLedger(self._file)
        self.presence = PresenceLedger(self._file)
        self._first_cards: dict[str, tuple[float, bool]] = {}
        for door, until_s, frees in self._file.found("first_card"):
            self._first_cards[str(door)] = float(str(until_s)), bool(frees)
        self._moments = {str(name): float(str(wall_s)) for name, wall_s in self._file.found("moment")}

    @property
    def off_disk(self) -> str | None:
        """Why memory alone remembers; None while the disk follows."""
        return self._file.off_disk

    def flush(self, timeout_s: float = 5.0) -> bool:
        """Wait until everything is on the disk; whether it is."""
        return self._file.flush(timeout_s)

    def close(self) -> None:
        """Write what is left and end."""
        self._file.close()

    def first_card_came(self, door: str, until_s: float, frees: bool) -> None:
        """Others get in at `door` until `until_s` (wall clock); `frees`: it stands free as well."""
        self._first_cards[door] = until_s, frees
        self._file.put("first_card", (door, until_s, int(frees)))

    def first_card_until_s(self, door: str) -> float:
        """Until when others get in since a first card came; in the past if none did."""
        return self._first_cards.get(door, (0.0, False))[0]

    def freed_until_s(self, door: str) -> float:
        """Until when a first card has freed a door; in the past if none has."""
        until_s, frees = self._first_cards.get(door, (0.0, False))
        return until_s if frees else 0.0

    def moment(self, name: str) -> float | None:
        """A moment that was noted under this name, in wall seconds; at most `NOTED_EVERY_S` older than the latest."""
        return self._moments.get(name)

    def note_moment(self, name: str, wall_s: float) -> None:
        """Note a moment, unless the noted one is near it."""
        noted = self._moments.get(name)
        if noted is None or abs(wall_s - noted) >= NOTED_EVERY_S:
            self._moments[name] = wall_s
            self._file.put("moment", (name, wall_s))
