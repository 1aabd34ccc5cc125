"""Encryption at rest of personal fields and gateway keys, under one master key that is a file of mode 600.

AES-256-GCM with a random nonce; the `purpose` is authenticated with the text, so a sealed value cannot be moved to
another column. `index` gives a keyed hash by which a sealed value is found again.
"""

import hmac
import os
import stat
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
_NONCE_BYTES = 12


class VaultError(Exception):
    """A key file that may not be used, or a value that was altered or sealed under another key."""


class Vault:
    """Seals and opens single values. Its `repr` never shows the key."""

    def __init__(self, master_key: bytes) -> None:
        if len(master_key) != KEY_BYTES:
            raise VaultError(f"the master key has {len(master_key)} bytes, not {KEY_BYTES}")
        self._cipher = AESGCM(hmac.digest(master_key, b"gatehouse vault seal 1", "sha256"))
        self._index_key = hmac.digest(master_key, b"gatehouse vault index 1", "sha256")

    @property
    def key_check(self) -> str:
        """64 hex digits that tell whether two vaults have the same master key, and nothing else of it."""
        return self.index("", "gatehouse vault key check 1")

    def seal(self, value: bytes, purpose: str) -> bytes:
        """Encrypt `value` for one purpose (`person.phone`, `gateway.message_key`)."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, value, purpose.encode())

    def open(self, sealed: bytes, purpose: str) -> bytes:
        """Decrypt what `seal` made.

        Raises:
            VaultError: if it was altered, sealed for another purpose or under another key.
        """
        try:
            return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], purpose.encode())
        except (InvalidTag, ValueError) as error:
            raise VaultError(f"a sealed {purpose} cannot be opened: altered, or the master key is another") from error

    def index(self, value: str, purpose: str) -> str:
        """A keyed hash (64 hex digits) of a normalised value, to find or compare it without opening it."""
        return hmac.digest(self._index_key, f"{purpose}\n{value}".encode(), "sha256").hex()


def read_secret_file(path: Path, length: int) -> bytes:
    """Read a secret of `length` bytes from a file that only its owner may read.

    Raises:
        VaultError: if it is missing, of another length, or readable by others.
    """
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        secret = path.read_bytes()
    except OSError as error:
        raise VaultError(f"secret file {path}: {error.strerror}") from error
    if mode & 0o077:
        raise VaultError(f"secret file {path} has mode {mode:o}: run 'chmod 600 {path}'")
    if len(secret) != length:
        raise VaultError(f"secret file {path} holds {len(secret)} bytes, not {length}")
    return secret


def read_or_make_secret_file(path: Path, length: int) -> bytes:
    """As `read_secret_file`; makes the file with random bytes if there is none.

    Raises:
        VaultError: as `read_secret_file`.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_secret_file(path, os.urandom(length))
    return read_secret_file(path, length)


def write_secret_file(path: Path, secret: bytes) -> None:
    """Write a secret to a file that is not there yet, and sync it."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(secret)
        file.flush()
        os.fsync(file.fileno())
