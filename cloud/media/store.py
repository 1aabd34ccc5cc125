"""Pictures on disk, named by their SHA-256, and their rows in the database. Files have mode 600.

A file is written beside its place, synced and renamed; then comes the row. A crash between leaves a file that nobody
is shown; the gateway sends it again, or the retention removes it by its age.
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from uuid import uuid4

from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError

from cloud.database.engine import Database
from cloud.database.tables import Picture


class PictureStore:
    """Thread-safe; several processes may share the folder.

    Args:
        folder: made with mode 700 when it is missing.
    """

    def __init__(self, folder: Path, database: Database, now: Callable[[], datetime]) -> None:
        self._folder = folder
        self._database = database
        self._now = now
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def add(self, sha256: str, data: bytes, gateway_id: str) -> bool:
        """Store a picture that was checked; False if it was there already.

        Raises:
            OSError: if the disk does not take it.
        """
        if self._is_known(sha256):
            return False
        self._write(sha256, data)
        values = {"sha256": sha256, "gateway_id": gateway_id, "size_bytes": len(data), "received_at": self._now()}
        try:
            with self._database.write() as connection:
                connection.execute(insert(Picture).values(**values))
        except IntegrityError:  # the same picture came twice at once
            return False
        return True

    def find(self, sha256: str) -> Path | None:
        """Where a picture lies, if there is one."""
        path = self._path(sha256)
        return path if self._is_known(sha256) and path.is_file() else None

    def remove(self, sha256: str) -> None:
        """Delete a picture's file; its row is the caller's."""
        self._path(sha256).unlink(missing_ok=True)

    def files_older_than(self, moment: datetime) -> Iterator[str]:
        """The names of files last written before `moment`: pictures, and what a crash left."""
        for path in self._folder.glob("??/*"):
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime < moment.timestamp():
                    yield path.name

    def _is_known(self, sha256: str) -> bool:
        with self._database.read() as connection:
            return connection.execute(select(Picture.sha256).where(Picture.sha256 == sha256)).first() is not None

    def _path(self, sha256: str) -> Path:
        return self._folder / sha256[:2] / sha256

    def _write(self, sha256: str, data: bytes) -> None:
        path = self._path(sha256)
        path.parent.mkdir(exist_ok=True, mode=0o700)
        beside = path.with_name(f"{sha256[:2]}-{uuid4().hex}.part")
        try:
            descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
        except OSError:
            beside.unlink(missing_ok=True)
            raise
