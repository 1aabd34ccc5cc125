"""Argon2id (RFC 9106) for passwords, with a bound on how many are hashed at once: each takes 64 MiB."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

MIN_CHARACTERS = 10
MAX_CHARACTERS = 128
_AT_ONCE = 2
_PATIENCE_S = 5.0


class UnacceptablePassword(ValueError):
    """A password too short or too long to be set."""


class TooBusy(Exception):
    """More log-ins are being checked than the hub has memory for; try again in a moment."""


class Passwords:
    """Hashes and checks passwords. A check takes as long for an unknown user as for a known one."""

    def __init__(self, hasher: PasswordHasher | None = None) -> None:
        self._hasher = hasher or PasswordHasher()
        self._decoy = self._hasher.hash("no account has this password")
        self._places = threading.BoundedSemaphore(_AT_ONCE)

    def hash(self, password: str) -> str:
        """The encoded hash of a new password.

        Raises:
            UnacceptablePassword: if it has fewer than 10 or more than 128 characters.
            TooBusy: if others are being hashed for long.
        """
        if not MIN_CHARACTERS <= len(password) <= MAX_CHARACTERS:
            raise UnacceptablePassword(f"a password has {MIN_CHARACTERS} to {MAX_CHARACTERS} characters")
        with self._place():
            return self._hasher.hash(password)

    def fits(self, encoded: str | None, password: str) -> bool:
        """Whether `password` is the one of `encoded`; with None (no such account) the same work ends in False.

        Raises:
            TooBusy: as `hash`.
        """
        if len(password) > MAX_CHARACTERS:
            encoded, password = None, ""
        with self._place():
            try:
                verified = self._hasher.verify(encoded or self._decoy, password)
            except (VerificationError, InvalidHashError):
                return False
        return verified and encoded is not None

    def is_outdated(self, encoded: str) -> bool:
        """Whether the hash was made with weaker parameters than today's."""
        return self._hasher.check_needs_rehash(encoded)

    @contextmanager
    def _place(self) -> Iterator[None]:
        if not self._places.acquire(timeout=_PATIENCE_S):
            raise TooBusy("too many log-ins at once")
        try:
            yield
        finally:
            self._places.release()
