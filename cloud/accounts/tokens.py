"""Tokens for programs: each is an account's, may some of what the account may, ends by itself, and is shown once.

The account's role and part of the hub are looked up at each use: a token never does more than its account could now.
"""

import secrets
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import insert, select, update

from cloud.accounts.permissions import PERMISSIONS, Permission
from cloud.accounts.scope import Recent, scope_of
from cloud.accounts.sessions import SignedIn, token_hash
from cloud.audit import AuditLog
from cloud.database.engine import Database
from cloud.database.tables import Account, AccountRole, ApiToken

PREFIX = "gth_"
"""By which a leaked token is known in a log or a repository."""
LONGEST = timedelta(days=366)
_TOKEN_BYTES = 32
_MAX_CHARACTERS = 80
_USED_EVERY = timedelta(minutes=1)
"""So often it is written that a token is used: once a minute, not once a request."""


class TokenError(ValueError):
    """A token that cannot be made or found."""


@dataclass(frozen=True)
class TokenSummary:
    """A token as it is listed."""

    id: UUID
    username: str
    name: str
    permissions: tuple[Permission, ...]
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    last_used_at: datetime | None
    """To about a minute; None: never."""


class ApiTokens:
    """Thread-safe: state is in the database alone."""

    def __init__(
        self,
        database: Database,
        now: Callable[[], datetime],
        make_id: Callable[[], UUID],
        audit: AuditLog,
        recent: Recent,
    ) -> None:
        self._database = database
        self._now = now
        self._make_id = make_id
        self._audit = audit
        self._recent = recent

    def create(self, username: str, name: str, permissions: Collection[Permission], lifetime: timedelta) -> str:
        """Make a token and return it; it is stored nowhere.

        Raises:
            TokenError: if there is no such account, it may not what the token is to, or the time is too long.
        """
        if not timedelta() < lifetime <= LONGEST:
            raise TokenError(f"a token lasts {LONGEST.days} days at the most")
        with self._database.read() as connection:
            found = connection.execute(select(Account.id, Account.role).where(Account.username == username)).first()
        if found is None:
            raise TokenError(f"there is no account {username!r}; 'accounts list' shows those there are")
        if beyond := sorted(set(permissions) - PERMISSIONS[AccountRole(found.role)]):
            raise TokenError(f"account {username!r} itself may not {beyond[0]}: its role is {found.role}")
        if not permissions:
            raise TokenError("say what the token may, for example --may watch")
        token, identifier, now = PREFIX + secrets.token_urlsafe(_TOKEN_BYTES), self._make_id(), self._now()
        may = sorted(set(permissions))
        detail = {"account": str(found.id), "token": str(identifier), "may": " ".join(may)}
        self._audit.append("account.token", None, detail)
        with self._database.write() as connection:
            connection.execute(
                insert(ApiToken).values(
                    id=identifier,
                    account_id=found.id,
                    name=name[:120],
                    token_hash=token_hash(token),
                    permissions=may,
                    created_at=now,
                    expires_at=now + lifetime,
                    revoked_at=None,
                    last_used_at=None,
                )
            )
        return token

    def list(self) -> list[TokenSummary]:
        """Every token, the newest first."""
        query = (
            select(ApiToken.__table__, Account.username)
            .join(Account, Account.id == ApiToken.account_id)
            .order_by(ApiToken.created_at.desc(), ApiToken.id.desc())
        )
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        return [
            TokenSummary(
                row.id,
                row.username,
                row.name,
                tuple(Permission(each) for each in row.permissions),
                row.created_at,
                row.expires_at,
                row.revoked_at,
                row.last_used_at,
            )
            for row in rows
        ]

    def revoke(self, identifier: UUID) -> None:
        """End a token at once.

        Raises:
            TokenError: if there is none of this id, or it was revoked before.
        """
        self._audit.append("account.token.revoked", None, {"token": str(identifier)})
        live = (ApiToken.id == identifier) & ApiToken.revoked_at.is_(None)
        with self._database.write() as connection:
            if connection.execute(update(ApiToken).where(live).values(revoked_at=self._now())).rowcount == 0:
                raise TokenError("there is no such token that is not revoked: 'accounts tokens list' shows them")

    def find(self, token: str) -> SignedIn | None:
        """The account behind a token, with what the token may; None if it is no living one."""
        if not token.startswith(PREFIX) or len(token) > _MAX_CHARACTERS:
            return None
        stored = token_hash(token)
        now = self._now()
        query = (
            select(Account.id, Account.username, Account.role, ApiToken.permissions, ApiToken.last_used_at)
            .join(Account, Account.id == ApiToken.account_id)
            .where(
                ApiToken.token_hash == stored,
                ApiToken.expires_at > now,
                ApiToken.revoked_at.is_(None),
                Account.disabled_at.is_(None),
            )
        )
        with self._database.read() as connection:
            row = connection.execute(query).first()
            if row is None:
                return None
            scope = scope_of(connection, row.id, self._recent)
        if row.last_used_at is None or now - row.last_used_at >= _USED_EVERY:
            with self._database.write() as connection:
                connection.execute(update(ApiToken).where(ApiToken.token_hash == stored).values(last_used_at=now))
        role = AccountRole(row.role)
        may = PERMISSIONS[role] & {Permission(each) for each in row.permissions if each in set(Permission)}
        return SignedIn(row.id, row.username, role, may, scope, stored)
