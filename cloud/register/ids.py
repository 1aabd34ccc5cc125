"""Ids of new rows of the register."""

import os
import threading
import time
from uuid import UUID

from protocols.ids import UuidV7Maker


class IdMaker:
    """UUIDv7 for any thread."""

    def __init__(self) -> None:
        self._make = UuidV7Maker(time.time, os.urandom)
        self._lock = threading.Lock()

    def __call__(self) -> UUID:
        with self._lock:
            return self._make()
