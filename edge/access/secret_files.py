"""Passwords and keys of devices: from files that nobody else may read, never from the site file itself."""

import stat
from pathlib import Path

MAX_SECRET_BYTES = 4096


def read_secret(path: Path) -> str:
    """The text of a secret file, without the white space around it.

    Raises:
        OSError: if it cannot be read.
        ValueError: if others may read it, or it is empty or far too long; the text says what to do.
    """
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise ValueError(f"others may read it (mode {mode:o}); run: chmod 600 {path}")
    with path.open("rb") as file:
        text = file.read(MAX_SECRET_BYTES + 1)
    if len(text) > MAX_SECRET_BYTES:
        raise ValueError(f"longer than {MAX_SECRET_BYTES} bytes; this is no password or key")
    secret = text.decode("utf-8", errors="replace").strip()
    if not secret:
        raise ValueError("it is empty")
    return secret
