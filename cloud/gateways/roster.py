"""Keeps the broker's users those of the database, whichever process changed them: at most half a second later."""

import logging
import threading

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from cloud.broker.access import Broker, BrokerError
from cloud.database.engine import Database
from cloud.database.tables import Gateway
from cloud.gateways.purposes import BROKER_PASSWORD
from cloud.vault import Vault, VaultError

POLL_S = 0.5

log = logging.getLogger(__name__)


class Roster:
    """Lets the enrolled gateways into the broker and cuts off the revoked ones."""

    def __init__(self, database: Database, vault: Vault, broker: Broker) -> None:
        self._database = database
        self._vault = vault
        self._broker = broker
        self._lock = threading.Lock()
        self._opened: dict[str, tuple[bytes, str]] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="gateway roster", daemon=True)
        self.failures = 0

    def start(self) -> None:
        """Open the broker to the gateways and go on watching. Call it once the hub has subscribed.

        Raises:
            BrokerError: if the broker does not take its users.
        """
        self.sync()
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join(5.0)

    def sync(self) -> None:
        """Make the broker's users those of the database, now.

        Raises:
            BrokerError: if the broker does not take its users.
        """
        with self._lock:
            self._broker.set_gateways(self._wanted())

    def admitted(self, _gateway: str, _password: str) -> None:
        """What enrolment calls before it answers; a failure is mended by the next round."""
        self._try_sync()

    def _wanted(self) -> dict[str, str]:
        query = select(Gateway.id, Gateway.broker_password_sealed).where(
            Gateway.revoked_at.is_(None), Gateway.broker_password_sealed.is_not(None)
        )
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        opened: dict[str, tuple[bytes, str]] = {}
        for gateway, sealed in rows:
            assert sealed is not None  # noqa: S101 (the query's condition)
            known = self._opened.get(gateway)
            try:
                same = known is not None and known[0] == sealed
                opened[gateway] = known if known and same else (sealed, self._open(sealed))
            except VaultError as error:
                log.error("gateway %s stays out of the broker: %s", gateway, error)
        self._opened = opened
        return {gateway: password for gateway, (_, password) in opened.items()}

    def _open(self, sealed: bytes) -> str:
        return self._vault.open(sealed, BROKER_PASSWORD).decode()

    def _watch(self) -> None:
        while not self._stopping.wait(POLL_S):
            self._try_sync()

    def _try_sync(self) -> None:
        try:
            self.sync()
        except (BrokerError, SQLAlchemyError) as error:
            self.failures += 1
            log.error("the broker's users could not be brought up to date, trying again: %s", error)
