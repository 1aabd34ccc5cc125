"""Up to which event of a board's ring everything was delivered, kept on disk."""

import json
import os
from pathlib import Path

from edge.durable import write_durably

FILE_NAME = "events.json"


class Position:
    """The index of the next event to deliver.

    Saved after each event by an atomic rename, which a killed process survives; `make_durable` lets it survive a power
    failure too.

    Args:
        folder: the driver's own.
        serial: the board's; another board's file does not count.
    """

    def __init__(self, folder: Path, serial: int) -> None:
        self._path, self._serial = folder / FILE_NAME, serial
        self._durable = True
        self.next: int | None = _read(self._path, serial)
        """None: nothing was ever delivered of this board."""

    def save(self, following: int) -> None:
        """Everything before `following` was delivered.

        Raises:
            OSError: if the disk refuses; `next` has moved on all the same.
        """
        self.next, self._durable = following, False
        beside = self._path.with_name(f".{FILE_NAME}.part")
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(self._content(following))
        beside.replace(self._path)

    def make_durable(self) -> None:
        """Have the newest position on the disk itself.

        Raises:
            OSError: if the disk refuses.
        """
        if not self._durable and self.next is not None:
            write_durably(self._path, self._content(self.next))
            self._durable = True

    def _content(self, following: int) -> bytes:
        return json.dumps({"serial": self._serial, "next": following}).encode()


def _read(path: Path, serial: int) -> int | None:
    try:
        kept = json.loads(path.read_bytes())
        following = kept["next"] if kept["serial"] == serial else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return following if isinstance(following, int) and following > 0 else None
