"""What proves that the hub is there now: its signed echo of a nonce that was sent to it.

Whoever holds the broker can deliver what the hub once signed again and again, and so could keep a gateway believing
that it is in touch with its hub. An echo cannot be had in advance, and it counts from the moment of the question, not
of the answer: held back, it is worth no more.

An older hub echoes nothing. Until a hub has echoed for the first time, anything that it signed and that is not retained
counts, as before; from then on, also after a restart, echoes alone do (`EchoMark`). The uplink's thread owns all this.
"""

import logging
import re
from collections.abc import Callable
from pathlib import Path

from edge.clock import Clock, HubTime
from edge.counters import Counters
from edge.durable import write_durably
from edge.identity import HubKey
from edge.uplink.connection import Incoming
from protocols.presence import Echo
from protocols.sealing import open_with_signature

_log = logging.getLogger(__name__)
_KEY_ID = re.compile(r"[0-9a-f]{16}")

NONCE_BYTES = 16
MAX_OPEN = 8
"""Births whose echo may still come. Policy when full: the oldest is forgotten."""


class EchoMark:
    """Whether the hub with this key has ever echoed, kept in a file. A hub with another key, after an enrolment there,
    is not held to what this one could. A file that cannot be read, or holds no key's id, counts as that it has."""

    def __init__(self, path: Path, hub_key: HubKey) -> None:
        self._path, self._key_id = path, hub_key.key_id
        try:
            kept = path.read_text().strip()
            self._on_disk = kept == hub_key.key_id or _KEY_ID.fullmatch(kept) is None
        except FileNotFoundError:
            self._on_disk = False
        except (OSError, UnicodeDecodeError) as error:
            _log.error("whether the hub echoes cannot be read; taken for yes", extra={"reason": str(error)})
            self._on_disk = True
        self.is_set = self._on_disk

    def set(self) -> bool:
        """The hub echoes; whether that is on disk. It is tried again at each call until it is."""
        self.is_set = True
        if not self._on_disk:
            try:
                write_durably(self._path, f"{self._key_id}\n".encode())
            except OSError as error:
                _log.error("that the hub echoes cannot be kept", extra={"reason": str(error)})
            else:
                self._on_disk = True
        return self._on_disk


class Freshness:
    """Nonces out, echoes in.

    Args:
        heard: is told for how many seconds before now the hub is known to have been there; never blocks.
        told_time: is told the hub's time with each echo; never blocks.
        random: the system's randomness, such as `os.urandom`.
    """

    def __init__(
        self,
        hub_key: HubKey,
        mark: EchoMark,
        clock: Clock,
        random: Callable[[int], bytes],
        counters: Counters,
        heard: Callable[[float], None],
        told_time: Callable[[HubTime], None],
    ) -> None:
        self._hub_key, self._mark, self._clock, self._random = hub_key, mark, clock, random
        self._counters, self._heard, self._told_time = counters, heard, told_time
        self._open: dict[str, float] = {}
        """Nonce -> when it was made, the oldest first."""

    def new_nonce(self) -> str:
        """What to send along with the next birth."""
        while len(self._open) >= MAX_OPEN:
            del self._open[next(iter(self._open))]
        nonce = self._random(NONCE_BYTES).hex()
        self._open[nonce] = self._clock.monotonic_s()
        return nonce

    def presume(self) -> None:
        """Something tells that the hub is there and does not prove that it is now: only with an older hub it counts."""
        if not self._mark.is_set:
            self._heard(0.0)

    def on_echo(self, message: Incoming) -> None:
        """Take an echo from the broker.

        Raises:
            ProtocolError, ValidationError: if the hub did not sign it for this gateway, or it is none.
        """
        body = open_with_signature(message.topic, message.payload, self._hub_key.verify)
        echo = Echo.model_validate_json(body)
        asked_s = self._open.pop(echo.nonce, None)
        if asked_s is None:  # of a birth before a restart, or played again
            self._counters.add("echoes_not_asked_for")
            return
        self._counters.add("echoes")
        if not self._mark.set():
            self._counters.add("echo_mark_not_kept")
        heard_s = self._clock.monotonic_s()
        self._heard(heard_s - asked_s)
        self._told_time(HubTime(echo.time.timestamp(), asked_s, heard_s))
