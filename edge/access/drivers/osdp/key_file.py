"""A reader's key file while its key is changed: the new key lies beside it until the reader has proven to hold it.

Order of writes: the new key goes to `<file>.new` (mode 600) and is synced before the reader hears of it, and it takes
the old one's place by a rename, which is synced too, when the reader has proven to hold it. So neither a crash nor a
power cut loses the only copy of a key that a reader may hold.
"""

import contextlib
import os
from pathlib import Path

from edge.access.secret_files import read_secret

KEY_BYTES = 16


class KeyFile:
    """The file of one reader's key."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.pending = path.with_name(path.name + ".new")

    def read(self) -> bytes:
        """The key in force.

        Raises:
            OSError, ValueError: if it cannot be read or is no key.
        """
        return _read(self.path)

    def read_pending(self) -> bytes | None:
        """The key that an interrupted change left behind, if there is one and it can be read."""
        with contextlib.suppress(OSError, ValueError):
            return _read(self.pending)
        return None

    def write_pending(self, key: bytes) -> None:
        """Keep a new key beside the old one, on the disk.

        Raises:
            OSError: if the folder cannot be written.
        """
        self.pending.unlink(missing_ok=True)
        descriptor = os.open(self.pending, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            os.fchmod(descriptor, 0o600)
            self._give_to_its_owner(descriptor)
            os.write(descriptor, key.hex().encode() + b"\n")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        self._sync_folder()

    def confirm(self) -> None:
        """Put the new key in the place of the old one."""
        self.pending.replace(self.path)
        self._sync_folder()

    def discard(self) -> None:
        """Forget the new key: no reader holds it."""
        self.pending.unlink(missing_ok=True)
        self._sync_folder()

    def holds_new(self, reader: str) -> str:
        """What a person is told, as by the two below."""
        return f'reader "{reader}" holds its new key, proven over its secure channel; it is in {self.path}'

    def holds_old(self, reader: str) -> str:
        return f'reader "{reader}" did not take the new key: it holds its old one, and {self.path} was not changed'

    def may_hold_either(self, reader: str) -> str:
        """The sentence's remedy follows."""
        return (
            f'reader "{reader}" does not answer, and holds either the key that it held before or the new one, which '
            f"is kept in {self.pending}: "
        )

    def _give_to_its_owner(self, descriptor: int) -> None:
        """Who runs this as root must not take the file from the gateway's own user."""
        if os.geteuid() == 0:
            owner = (self.path if self.path.exists() else self.path.parent).stat()
            os.fchown(descriptor, owner.st_uid, owner.st_gid)

    def _sync_folder(self) -> None:
        descriptor = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _read(path: Path) -> bytes:
    text = read_secret(path)
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise ValueError("a reader's key is 32 hex digits (16 random bytes)")
    return key
