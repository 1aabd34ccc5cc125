"""Files that hold secrets: written whole or not at all, readable by their owner alone."""

import os
import secrets
from pathlib import Path

_PASSWORD_BYTES = 32


def write_private(path: Path, text: str) -> None:
    """Replace a file by rename, mode 600, flushed to the disk before its name appears."""
    temporary = path.with_name(path.name + ".new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def private_folder(path: Path) -> Path:
    """Make a folder of mode 700 if it is not there."""
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path


def new_password() -> str:
    """A random password of 256 bits, in characters that every broker's files take as they are."""
    return secrets.token_urlsafe(_PASSWORD_BYTES)


def kept_password(path: Path) -> str:
    """The password in a file; made at the first call."""
    if not path.exists():
        write_private(path, new_password())
    return path.read_text(encoding="utf-8").strip()
