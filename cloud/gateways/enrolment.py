"""The hub's half of enrolment (`protocols.enrolment`): a one-time code is exchanged for keys and the broker's password.

A refusal never says whether a code exists. A code dies with its use, with its time, or with five wrong guesses.
"""

import logging
import os
from collections import Counter
from collections.abc import Callable
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Connection, delete, select, update

from cloud.broker.access import GatewayAccess
from cloud.credentials.marks import leave_mark
from cloud.database.engine import Database
from cloud.database.tables import EnrolmentCode as CodeRow
from cloud.database.tables import Gateway
from cloud.gateways.purposes import BROKER_PASSWORD, CARD_KEY, CODE_SECRET, MESSAGE_KEY
from cloud.gateways.rate import AttemptLimit
from cloud.private_files import new_password
from cloud.vault import Vault
from protocols import enrolment as wire

MAX_FAILURES = 5
_NONCE_BYTES = 12

log = logging.getLogger(__name__)


class EnrolmentRefused(Exception):
    """No keys for this request. `too_many` says that it was not even looked at."""

    def __init__(self, text: str, too_many: bool = False) -> None:
        super().__init__(text)
        self.too_many = too_many


class EnrolmentService:
    """Answers requests.

    Args:
        access: where gateways reach the broker.
        admitted: called with (gateway, broker password) before the answer is given, to open the broker to it.
    """

    def __init__(
        self,
        database: Database,
        vault: Vault,
        hub_public_key: bytes,
        access: Callable[[], GatewayAccess],
        admitted: Callable[[str, str], None],
        limit: AttemptLimit,
        now: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._vault = vault
        self._hub_key = wire.encode_key(hub_public_key)
        self._access = access
        self._admitted = admitted
        self._limit = limit
        self._now = now
        self.counts: Counter[str] = Counter()
        """enrolled, refused, limited."""

    def enrol(self, request: wire.EnrolmentRequest, address: str) -> wire.EnrolmentAnswer:
        """Exchange a code for keys.

        Raises:
            EnrolmentRefused: if the code is unknown, used, expired or void, the code's proof is wrong, or there were
                too many attempts.
        """
        if not self._limit.take(address):
            self.counts["limited"] += 1
            raise EnrolmentRefused("too many attempts; wait a minute", too_many=True)
        try:
            gateway, password, answer = self._exchange(request)
        except EnrolmentRefused:
            self.counts["refused"] += 1
            log.warning("enrolment from %s refused (code named %s)", address, request.code_name)
            raise
        self._admitted(gateway, password)
        self.counts["enrolled"] += 1
        log.info("gateway %s enrolled from %s", gateway, address)
        return answer

    def _exchange(self, request: wire.EnrolmentRequest) -> tuple[str, str, wire.EnrolmentAnswer]:
        with self._database.write() as connection:
            found = self._proven(connection, request)
            if found is not None:
                gateway, code, shared, own_key = found
                connection.execute(delete(CodeRow).where(CodeRow.gateway_id == gateway))
                return self._grant(connection, gateway, code, shared, own_key, request)
        # outside, so that the count of failures is committed
        raise EnrolmentRefused(
            "the code is unknown, used, expired or void; ask for a new one: gatehouse hub gateways code"
        )

    def _proven(
        self, connection: Connection, request: wire.EnrolmentRequest
    ) -> tuple[str, wire.EnrolmentCode, bytes, str] | None:
        """Gateway, code, X25519 result and the hub's exchange key; None if the proof is wrong, which is counted."""
        row = connection.execute(select(CodeRow).where(CodeRow.name == request.code_name).with_for_update()).first()
        if row is None or row.expires_at <= self._now() or row.failures >= MAX_FAILURES:
            return None
        code = wire.EnrolmentCode(row.name, self._vault.open(row.secret_sealed, CODE_SECRET).decode())
        wanted = wire.request_mac(code, request.exchange_key, request.version)
        private = X25519PrivateKey.generate()
        try:
            shared = private.exchange(X25519PublicKey.from_public_bytes(wire.decode_key(request.exchange_key)))
        except ValueError:  # a point of low order
            shared = b""
        if not wire.same(wanted, request.mac) or not shared:
            connection.execute(update(CodeRow).where(CodeRow.name == code.name).values(failures=CodeRow.failures + 1))
            return None
        return row.gateway_id, code, shared, wire.encode_key(private.public_key().public_bytes_raw())

    def _grant(
        self,
        connection: Connection,
        gateway: str,
        code: wire.EnrolmentCode,
        shared: bytes,
        own_key: str,
        request: wire.EnrolmentRequest,
    ) -> tuple[str, str, wire.EnrolmentAnswer]:
        keys = wire.derive_keys(code, shared, request, own_key)
        password = new_password()
        key_id = self._store(connection, gateway, keys, password)
        access = self._access()
        broker = wire.BrokerAccess(
            host=access.host, port=access.port, username=gateway, password=password, ca_pem=access.ca_pem
        )
        nonce = os.urandom(_NONCE_BYTES)
        grant = wire.Grant(gateway=gateway, broker=broker, key_id=key_id).model_dump_json().encode()
        box = wire.encode_key(nonce + AESGCM(keys.box_key).encrypt(nonce, grant, None))
        mac = wire.answer_mac(code, request, own_key, self._hub_key, box)
        answer = wire.EnrolmentAnswer(exchange_key=own_key, hub_key=self._hub_key, box=box, mac=mac)
        return gateway, password, answer

    def _store(self, connection: Connection, gateway: str, keys: wire.AgreedKeys, password: str) -> str:
        former = connection.execute(select(Gateway.key_id).where(Gateway.id == gateway)).scalar_one()
        key_id = f"k{int(former[1:]) + 1 if former else 1}"
        connection.execute(
            update(Gateway)
            .where(Gateway.id == gateway)
            .values(
                enrolled_at=self._now(),
                revoked_at=None,
                key_id=key_id,
                message_key_sealed=self._vault.seal(keys.message_key, MESSAGE_KEY),
                card_key_sealed=self._vault.seal(keys.card_key, CARD_KEY),
                broker_password_sealed=self._vault.seal(password.encode(), BROKER_PASSWORD),
                session=0,  # a new gateway counts its sessions from one
                presence=None,
            )
        )
        leave_mark(connection, gateway)  # its credentials are hashed under another key now
        return key_id
