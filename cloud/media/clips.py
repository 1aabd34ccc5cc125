"""Clips on disk, named by their SHA-256, their rows in the database, and parts of clips under way. Files: mode 600.

A part is appended to a file of its gateway's; when all is there it is hashed, synced and renamed, and then comes the
row. What a crash or a gateway that never came back leaves is removed by its age.
"""

import contextlib
import hashlib
import os
import threading
from collections.abc import Callable, Collection, Iterator
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError

from cloud.database.engine import Database
from cloud.database.tables import Clip
from protocols.clips import UploadState

MOST_UNDER_WAY = 16
"""Of one gateway; with more, the one that has waited longest is dropped."""
LEAST_FREE_BYTES = 512 * 1024 * 1024
"""Below it no part is taken: the database lies on the same disk."""
STALE_PART = timedelta(days=3)
_INCOMING = "incoming"
_LOCKS = 32


class UploadFault(Exception):
    """A part that is not taken; `kind` is for the counter."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind


class WrongPlace(UploadFault):
    """The part does not begin where the hub's ends; `state` says where that is."""

    def __init__(self, state: UploadState) -> None:
        super().__init__("wrong_place", f"the hub has {state.offset} bytes")
        self.state = state


class NoRoom(UploadFault):
    """The hub's disk is nearly full."""


class ClipStore:
    """Thread-safe.

    Args:
        folder: made with mode 700 when it is missing.
        free_bytes: what may still be written to the disk of a folder.
    """

    def __init__(
        self,
        folder: Path,
        database: Database,
        now: Callable[[], datetime],
        free_bytes: Callable[[Path], int] | None = None,
    ) -> None:
        self._folder, self._database, self._now = folder, database, now
        self._free_bytes = free_bytes if free_bytes is not None else _free_bytes
        self._locks = [threading.Lock() for _ in range(_LOCKS)]
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        (folder / _INCOMING).mkdir(exist_ok=True, mode=0o700)

    def state(self, gateway: str, sha256: str) -> UploadState:
        """How much of a clip of a gateway is there."""
        if self._is_known(sha256):
            return UploadState(offset=0, done=True)
        return UploadState(offset=_size(self._part(gateway, sha256)))

    def add(self, gateway: str, sha256: str, size_bytes: int, offset: int, data: bytes) -> UploadState:
        """Append a part; with the last, check and keep the clip.

        Raises:
            WrongPlace: the gateway goes on from the state that it tells.
            UploadFault: `hash` or `kind`: the whole is not what it claims to be, and what there was is gone;
                `size`: the part ends beyond the clip.
            NoRoom, OSError: if the disk does not take it.
        """
        with self._locks[int(sha256[:8], 16) % _LOCKS]:
            if self._is_known(sha256):
                return UploadState(offset=size_bytes, done=True)
            part = self._part(gateway, sha256)
            present = _size(part)
            if present > size_bytes:
                part.unlink(missing_ok=True)
                present = 0
            if offset != present:
                raise WrongPlace(UploadState(offset=present))
            if offset + len(data) > size_bytes:
                raise UploadFault("size", "the part ends beyond the clip's end")
            if self._free_bytes(self._folder) < LEAST_FREE_BYTES + len(data):
                raise NoRoom("no_room", "the hub's disk is nearly full")
            if not present:
                self._limit_under_way(gateway)
            _append(part, data)
            if offset + len(data) < size_bytes:
                return UploadState(offset=offset + len(data))
            self._complete(part, gateway, sha256, size_bytes)
            return UploadState(offset=size_bytes, done=True)

    def find(self, sha256: str) -> Path | None:
        """Where a clip lies, if there is one."""
        path = self._path(sha256)
        return path if self._is_known(sha256) and path.is_file() else None

    def remove(self, sha256: str) -> None:
        """Delete a clip's file; its row is the caller's."""
        self._path(sha256).unlink(missing_ok=True)

    def remove_files_older_than(self, moment: datetime, keep: Collection[str] = ()) -> None:
        """Delete files last written before `moment`, which have no row, and parts that nobody went on with for days.

        Args:
            keep: names of clips that have a row all the same.
        """
        stale = self._now() - STALE_PART
        for path in self._folder.glob("*/*"):
            before = stale if path.parent.name == _INCOMING else moment
            with contextlib.suppress(FileNotFoundError):
                if path.name not in keep and path.stat().st_mtime < before.timestamp():
                    path.unlink()

    def _complete(self, part: Path, gateway: str, sha256: str, size_bytes: int) -> None:
        with part.open("rb") as file:
            is_film = file.read(8)[4:] == b"ftyp"
            file.seek(0)
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            os.fsync(file.fileno())
        if digest != sha256:
            part.unlink()
            raise UploadFault("wrong_hash", "the SHA-256 in the path is not the clip's")
        if not is_film:
            part.unlink()
            raise UploadFault("not_a_clip", "not an MP4 file")
        path = self._path(sha256)
        path.parent.mkdir(exist_ok=True, mode=0o700)
        part.replace(path)
        values = {"sha256": sha256, "gateway_id": gateway, "size_bytes": size_bytes, "received_at": self._now()}
        with contextlib.suppress(IntegrityError), self._database.write() as connection:  # it came twice at once
            connection.execute(insert(Clip).values(**values))

    def _limit_under_way(self, gateway: str) -> None:
        for surplus in sorted(self._parts(gateway), key=_age)[: -(MOST_UNDER_WAY - 1)]:
            surplus.unlink(missing_ok=True)

    def _parts(self, gateway: str) -> Iterator[Path]:
        return (self._folder / _INCOMING).glob(f"{gateway}.*")

    def _is_known(self, sha256: str) -> bool:
        with self._database.read() as connection:
            return connection.execute(select(Clip.sha256).where(Clip.sha256 == sha256)).first() is not None

    def _part(self, gateway: str, sha256: str) -> Path:
        return self._folder / _INCOMING / f"{gateway}.{sha256}"

    def _path(self, sha256: str) -> Path:
        return self._folder / sha256[:2] / sha256


def _append(path: Path, data: bytes) -> None:
    before = _size(path)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(descriptor, view) :]
    except OSError:
        os.ftruncate(descriptor, before)
        raise
    finally:
        os.close(descriptor)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _age(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _free_bytes(folder: Path) -> int:
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize
