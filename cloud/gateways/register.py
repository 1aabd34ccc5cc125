"""Adds, lists and revokes gateways, and makes their one-time codes. It only writes the database: a running hub, which
is another process, sees the change within a second (`cloud.gateways.roster`)."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from cloud.database.engine import Database
from cloud.database.tables import EnrolmentCode as CodeRow
from cloud.database.tables import Gateway
from cloud.gateways.purposes import CODE_SECRET
from cloud.vault import Vault
from protocols import enrolment, topics

CODE_LIFETIME = timedelta(hours=24)
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,38}")
_NAME_TRIES = 20


class GatewayError(ValueError):
    """A gateway that cannot be added or found; the text says what to do."""


@dataclass(frozen=True)
class GatewaySummary:
    """A line of `gatehouse hub gateways list`."""

    id: str
    state: str
    """waiting (for its code to be used), enrolled or revoked."""
    presence: str
    key_id: str
    enrolled_at: datetime | None
    code_expires_at: datetime | None


class GatewayRegister:
    """The acts of an administrator on gateways."""

    def __init__(
        self,
        database: Database,
        vault: Vault,
        now: Callable[[], datetime],
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self._database = database
        self._vault = vault
        self._now = now
        self._random_bytes = random_bytes

    def add(self, name: str, lifetime: timedelta = CODE_LIFETIME) -> enrolment.EnrolmentCode:
        """Add a gateway and make its first code.

        Raises:
            GatewayError: for a bad, reserved or taken name.
        """
        if not _NAME.fullmatch(name) or name in topics.RESERVED_GATEWAYS:
            raise GatewayError(
                f"{name!r} cannot be a gateway's name: use 1 to 39 small letters, digits and dashes, and not 'hub'"
            )
        try:
            with self._database.write() as connection:
                connection.execute(insert(Gateway).values(id=name, created_at=self._now(), session=0))
                return self._make_code(connection, name, lifetime)
        except IntegrityError as error:
            raise GatewayError(
                f"there is a gateway {name!r} already; 'gateways code {name}' makes a new code"
            ) from error

    def new_code(self, name: str, lifetime: timedelta = CODE_LIFETIME) -> enrolment.EnrolmentCode:
        """A code to enrol a gateway anew, with other keys; older codes of it end. A revoked one may come back so.

        Raises:
            GatewayError: if there is no such gateway.
        """
        with self._database.write() as connection:
            self._must_exist(connection, name)
            connection.execute(delete(CodeRow).where(CodeRow.gateway_id == name))
            return self._make_code(connection, name, lifetime)

    def revoke(self, name: str) -> None:
        """End a gateway's keys, codes and access to the broker.

        Raises:
            GatewayError: if there is no such gateway.
        """
        with self._database.write() as connection:
            self._must_exist(connection, name)
            connection.execute(delete(CodeRow).where(CodeRow.gateway_id == name))
            connection.execute(
                update(Gateway)
                .where(Gateway.id == name)
                .values(
                    revoked_at=self._now(),
                    message_key_sealed=None,
                    card_key_sealed=None,
                    broker_password_sealed=None,
                )
            )

    def list(self) -> list[GatewaySummary]:
        """Every gateway, by name."""
        with self._database.read() as connection:
            codes = dict(connection.execute(select(CodeRow.gateway_id, CodeRow.expires_at)).all())
            rows = connection.execute(
                select(Gateway.id, Gateway.enrolled_at, Gateway.revoked_at, Gateway.presence, Gateway.key_id).order_by(
                    Gateway.id
                )
            ).all()
        return [
            GatewaySummary(
                id=row.id,
                state="revoked" if row.revoked_at else "enrolled" if row.enrolled_at else "waiting",
                presence=row.presence or "never seen",
                key_id=row.key_id or "-",
                enrolled_at=row.enrolled_at,
                code_expires_at=codes.get(row.id),
            )
            for row in rows
        ]

    def _make_code(self, connection: Connection, name: str, lifetime: timedelta) -> enrolment.EnrolmentCode:
        connection.execute(delete(CodeRow).where(CodeRow.expires_at < self._now()))
        taken = set(connection.execute(select(CodeRow.name)).scalars())
        for _ in range(_NAME_TRIES):
            code = enrolment.new_code(self._random_bytes)
            if code.name not in taken:
                connection.execute(
                    insert(CodeRow).values(
                        name=code.name,
                        gateway_id=name,
                        secret_sealed=self._vault.seal(code.secret.encode(), CODE_SECRET),
                        expires_at=self._now() + lifetime,
                        failures=0,
                    )
                )
                return code
        raise GatewayError("too many codes are waiting to be used; let some expire, or revoke their gateways")

    @staticmethod
    def _must_exist(connection: Connection, name: str) -> None:
        if connection.execute(select(Gateway.id).where(Gateway.id == name)).first() is None:
            raise GatewayError(f"there is no gateway {name!r}; 'gateways list' shows those there are")
