"""The doors' modes on disk, so that a restart or a power cut undoes no lockdown and no order of an operator.

A small file, replaced whole by a thread of its own: no door waits for the disk. When the disk refuses, memory alone
knows, which is told, and it is tried again. A file that cannot be read is moved aside, which is told as well: nobody
knows then whether a lockdown was in force.
"""

import logging
import threading
from pathlib import Path
from uuid import UUID

from pydantic import BaseModel, ConfigDict, ValidationError

from edge.access.modes import Commanded
from edge.durable import write_durably
from edge.worker import Worker
from protocols.access_events import DoorMode, ModeCause

FILE_NAME = "door-modes.json"
MAX_FILE_BYTES = 1024 * 1024
_RETRY_S = 2.0
_log = logging.getLogger(__name__)


class _Kept(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class KeptDoor(_Kept):
    """What is to outlive a restart, of one door; `told` is what the hub was told last."""

    commanded: Commanded | None = None
    told: DoorMode = DoorMode.NORMAL
    told_cause: ModeCause | None = None


class KeptModes(_Kept):
    """The same of every door, and the lockdown."""

    v: int = 1
    lockdown: bool = False
    lockdown_corr: UUID | None = None
    doors: dict[str, KeptDoor] = {}


class ModeFile:
    """The file in `folder`; None: memory alone, in tests. `keep` may be called by any one thread."""

    def __init__(self, folder: Path | None) -> None:
        self._path = None if folder is None else folder / FILE_NAME
        self._wanted: KeptModes | None = None
        self._changed = threading.Event()
        self._worker = Worker("door-modes", self._run)
        self.off_disk: str | None = None
        """Why memory alone knows; None while the disk does."""
        self.fault: str | None = None
        """Why the file that was found could not be used."""

    def load(self) -> KeptModes:
        """What was kept; nothing if there is no file, or none that can be read (`fault` says why)."""
        if self._path is None:
            return KeptModes()
        try:
            return KeptModes.model_validate_json(_read(self._path))
        except FileNotFoundError:
            return KeptModes()
        except (OSError, ValueError) as error:
            reason = f"{error.error_count()} faults" if isinstance(error, ValidationError) else str(error)
            self.fault = f"{self._path}: {reason}; whether a lockdown was in force is not known"
            _log.error("door modes cannot be read", extra={"reason": self.fault})
            self._move_aside()
            return KeptModes()

    def start(self) -> None:
        self._worker.start()

    def stop(self, timeout_s: float = 2.0) -> None:
        """Write what is not written yet, once, and end."""
        self._worker.ask_to_stop()
        self._changed.set()
        self._worker.stop(timeout_s)
        self._write()

    def keep(self, modes: KeptModes) -> None:
        """Have this written soon; the newest counts. Never blocks."""
        self._wanted = modes
        self._changed.set()

    def _run(self, stopping: threading.Event) -> None:
        while not stopping.is_set():
            self._changed.wait(_RETRY_S if self.off_disk is not None else None)
            self._changed.clear()
            self._write()

    def _write(self) -> None:
        wanted = self._wanted
        if wanted is None or self._path is None:
            return
        try:
            write_durably(self._path, wanted.model_dump_json().encode())
        except OSError as error:
            if self.off_disk is None:
                _log.error("door modes cannot be written", extra={"reason": str(error)})
            self.off_disk = f"{self._path}: cannot be written: {error}"
            return
        self.off_disk = None
        if self._wanted is wanted:
            self._wanted = None

    def _move_aside(self) -> None:
        if self._path is None:
            return
        try:
            self._path.rename(self._path.with_name(f"{FILE_NAME}.bad"))
        except OSError as error:
            _log.error("door modes cannot be moved aside", extra={"reason": str(error)})


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        content = file.read(MAX_FILE_BYTES + 1)
    if len(content) > MAX_FILE_BYTES:
        raise ValueError("far too long")
    return content
