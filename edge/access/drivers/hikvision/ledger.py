"""Which entries of a device's log were delivered: each once, in whatever order stream, pushes and search bring them.

A device numbers its entries. Everything up to the `mark` is settled; above it the delivered ones are remembered one by
one, until a search has brought what is missing between them. The file is written after the delivery: a power cut in
between doubles an entry rather than losing it.
"""

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from protocols.isapi import AccessEvent

MAX_REMEMBERED = 8192
"""Delivered entries above the mark; beyond, the lower half counts as settled."""

SEARCH_MARGIN = timedelta(hours=1)
"""How much earlier than the mark a search begins: a device's clock is set back now and then."""

MAX_FILE_BYTES = 1024 * 1024


@dataclass
class Ledger:
    """The state for one device.

    Attributes:
        device: the device's serial number; another device has another log.
        mark: the number up to which everything is settled; 0: none yet, and `at` decides.
        at: the time of the entry at the mark, or from when on entries count while there is none; in a zone.
        above: numbers above the mark that were delivered.
    """

    device: str
    mark: int
    at: datetime
    above: set[int] = field(default_factory=set)

    def is_new(self, event: AccessEvent, at: datetime | None) -> bool:
        """Whether an entry was not delivered yet; `at` is its time in a zone."""
        if event.serial is None:
            return event.current
        if event.serial <= self.mark or event.serial in self.above:
            return False
        return self.mark > 0 or event.current or at is None or at >= self.at

    def take(self, event: AccessEvent, at: datetime | None) -> None:
        """An entry was delivered."""
        if event.serial is None:
            return
        self.above.add(event.serial)
        while self.mark and self.mark + 1 in self.above:
            self._settle(self.mark + 1)
        if at is not None and self.mark == event.serial:
            self.at = at
        if len(self.above) > MAX_REMEMBERED:
            self._settle(sorted(self.above)[MAX_REMEMBERED // 2])

    @property
    def has_gap(self) -> bool:
        """Whether entries may be missing below one that was delivered."""
        return bool(self.above)

    def searched(self, upto: int, at: datetime | None) -> None:
        """A search brought everything up to this number and time."""
        if upto <= self.mark:
            return
        self._settle(upto)
        if at is not None:
            self.at = at

    def begin_anew(self) -> None:
        """The device's log was begun anew: numbers start over, entries after `at` are new."""
        self.mark = 0
        self.at += timedelta(seconds=1)
        self.above.clear()

    @property
    def search_from(self) -> datetime:
        """From when on to search."""
        return self.at - SEARCH_MARGIN if self.mark else self.at

    def _settle(self, upto: int) -> None:
        self.mark = upto
        self.above = {serial for serial in self.above if serial > upto}


def load(path: Path, device: str, now: datetime) -> Ledger:
    """The ledger of a device as it was saved; one that begins now where there is none for it, or an unreadable one.

    Devices tell times in whole seconds; so does `now` count.
    """
    now = now.replace(microsecond=0)
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            return Ledger(device, 0, now)
        saved: Any = json.loads(path.read_bytes())
        at = datetime.fromisoformat(saved["at"]).astimezone(now.tzinfo)
        ledger = Ledger(saved["device"], int(saved["mark"]), at, {int(each) for each in saved["above"]})
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return Ledger(device, 0, now)
    return ledger if ledger.device == device else Ledger(device, 0, now)


def content(ledger: Ledger) -> bytes:
    """The ledger as its file holds it."""
    fields = {
        "device": ledger.device,
        "mark": ledger.mark,
        "at": ledger.at.isoformat(),
        "above": sorted(ledger.above),
    }
    return json.dumps(fields).encode()
