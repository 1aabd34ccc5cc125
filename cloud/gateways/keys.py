"""The message keys of the gateways that may speak now, for whoever checks a seal.

Keys are read again when they are older than half a second, so that a revocation or an enrolment by any process holds
within that time; a key is unsealed only when it is new.
"""

import logging
import threading
from collections.abc import Callable
from time import monotonic

from sqlalchemy import select

from cloud.database.engine import Database
from cloud.database.tables import Gateway
from cloud.gateways.purposes import MESSAGE_KEY
from cloud.vault import Vault, VaultError
from protocols.sealing import MacKey

MAX_AGE_S = 0.5

log = logging.getLogger(__name__)


class GatewayKeys:
    """Looks keys up by gateway. Safe from any thread."""

    def __init__(self, database: Database, vault: Vault, monotonic_s: Callable[[], float] = monotonic) -> None:
        self._database = database
        self._vault = vault
        self._monotonic_s = monotonic_s
        self._lock = threading.Lock()
        self._keys: dict[str, tuple[bytes, MacKey]] = {}
        self._read_at = float("-inf")

    def key(self, gateway_id: str) -> MacKey | None:
        """The gateway's key; None if it is unknown, not enrolled or revoked."""
        with self._lock:
            if self._monotonic_s() - self._read_at > MAX_AGE_S:
                self._read()
            known = self._keys.get(gateway_id)
        return known[1] if known else None

    def forget(self) -> None:
        """Read the keys again at the next question."""
        with self._lock:
            self._read_at = float("-inf")

    def _read(self) -> None:
        query = select(Gateway.id, Gateway.key_id, Gateway.message_key_sealed).where(
            Gateway.revoked_at.is_(None), Gateway.message_key_sealed.is_not(None)
        )
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        fresh: dict[str, tuple[bytes, MacKey]] = {}
        for gateway, key_id, sealed in rows:
            assert key_id is not None and sealed is not None  # noqa: S101, PT018 (enrolment sets both)
            known = self._keys.get(gateway)
            if known and known[0] == sealed:
                fresh[gateway] = known
                continue
            try:
                fresh[gateway] = (sealed, MacKey(key_id, self._vault.open(sealed, MESSAGE_KEY)))
            except VaultError as error:
                log.error("gateway %s stays out: %s", gateway, error)
        self._keys = fresh
        self._read_at = self._monotonic_s()
