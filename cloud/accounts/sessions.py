"""Sessions: a random token in the browser's cookie, its SHA-256 in the database.

`expires_at` is the idle limit, moved forward while the session is used and never beyond the absolute limit; so one
column holds both. An open live page counts as use: a guard's shift is not cut short, a closed page is.
"""

import hashlib
import hmac
import secrets
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy import Connection, delete, insert, select, update

from cloud.accounts.permissions import PERMISSIONS, Permission
from cloud.accounts.scope import Recent, Scope, scope_of
from cloud.database.engine import Database
from cloud.database.tables import Account, AccountRole, LoginSession

_TOKEN_BYTES = 32
_MAX_TOKEN_CHARACTERS = 64
_MAX_ADDRESS_CHARACTERS = 64
_MAX_BROWSER_CHARACTERS = 200


@dataclass(frozen=True)
class SessionLimits:
    """How long a session lives at most (a long shift), and how long unused."""

    absolute: timedelta = timedelta(hours=13)
    idle: timedelta = timedelta(minutes=30)
    renew_every: timedelta = timedelta(minutes=1)
    """How much of the idle limit passes before it is written forward: a write a minute, not one a request."""


@dataclass(frozen=True)
class SessionSummary:
    """A living session as its owner sees it. `used_at` is right to about a minute; `browser` is its own claim."""

    id: UUID
    created_at: datetime
    used_at: datetime
    expires_at: datetime
    address: str
    browser: str
    token_hash: str = field(repr=False)


@dataclass(frozen=True)
class SignedIn:
    """The account behind a request, what it may do and where, and the hash that its session is stored under."""

    account_id: UUID
    username: str
    role: AccountRole
    permissions: frozenset[Permission]
    scope: Scope
    session: str


class Sessions:
    """Opens, finds and closes sessions. Thread-safe: state is in the database alone."""

    def __init__(
        self,
        database: Database,
        now: Callable[[], datetime],
        limits: SessionLimits,
        recent: Recent,
        make_token: Callable[[int], str] = secrets.token_urlsafe,
    ) -> None:
        self._database = database
        self._now = now
        self._limits = limits
        self._recent = recent
        self._make_token = make_token

    def open(self, account_id: UUID, password_hash: str | None, address: str = "", browser: str = "") -> str | None:
        """Open a session and return its token, which is stored nowhere.

        None if the account was disabled, or its password changed, since the password was checked against that hash.

        Args:
            password_hash: None if no password was asked for.
        """
        token = self._make_token(_TOKEN_BYTES)
        now = self._now()
        still = select(Account.id).where(Account.id == account_id, Account.disabled_at.is_(None))
        if password_hash is not None:
            still = still.where(Account.password_hash == password_hash)
        with self._database.write() as connection:
            if connection.execute(still.with_for_update()).first() is None:
                return None
            connection.execute(
                insert(LoginSession).values(
                    token_hash=token_hash(token),
                    id=uuid4(),
                    account_id=account_id,
                    created_at=now,
                    used_at=now,
                    address=address[:_MAX_ADDRESS_CHARACTERS],
                    browser="".join(each for each in browser if each.isprintable())[:_MAX_BROWSER_CHARACTERS],
                    expires_at=now + min(self._limits.idle, self._limits.absolute),
                )
            )
        return token

    def find(self, token: str | None) -> SignedIn | None:
        """The account of a token, if its session lives and the account is not disabled."""
        if not token or len(token) > _MAX_TOKEN_CHARACTERS:
            return None
        return self.find_by_hash(token_hash(token))

    def find_by_hash(self, session: str) -> SignedIn | None:
        """As `find`, for one who kept the hash alone (an open WebSocket). Counts as use."""
        now = self._now()
        query = (
            select(Account.id, Account.username, Account.role, LoginSession.created_at, LoginSession.used_at)
            .join(Account, Account.id == LoginSession.account_id)
            .where(LoginSession.token_hash == session, LoginSession.expires_at > now, Account.disabled_at.is_(None))
        )
        with self._database.read() as connection:
            row = connection.execute(query).first()
            if row is None or now >= row.created_at + self._limits.absolute:
                return None
            scope = scope_of(connection, row.id, self._recent)
        self._renew(session, now, row.created_at, row.used_at)
        role = AccountRole(row.role)
        return SignedIn(row.id, row.username, role, PERMISSIONS[role], scope, session)

    def _renew(self, session: str, now: datetime, created_at: datetime, used_at: datetime) -> None:
        until = min(now + self._limits.idle, created_at + self._limits.absolute)
        if now - used_at >= self._limits.renew_every:
            with self._database.write() as connection:
                connection.execute(
                    update(LoginSession).where(LoginSession.token_hash == session).values(expires_at=until, used_at=now)
                )

    def list_of(self, account_id: UUID) -> list[SessionSummary]:
        """The living sessions of an account, the one used last first."""
        columns = [LoginSession.__table__.c[each.name] for each in fields(SessionSummary)]
        mine = (LoginSession.account_id == account_id) & (LoginSession.expires_at > self._now())
        query = select(*columns).where(mine).order_by(LoginSession.used_at.desc(), LoginSession.id)
        with self._database.read() as connection:
            return [SessionSummary(**row) for row in connection.execute(query).mappings()]

    def end(self, account_id: UUID, sessions: Collection[UUID]) -> list[str]:
        """End these sessions of an account at once; the hashes of those that there were. Others' are left alone."""
        mine = (LoginSession.account_id == account_id) & LoginSession.id.in_(sessions)
        with self._database.write() as connection:
            return list(
                connection.execute(delete(LoginSession).where(mine).returning(LoginSession.token_hash)).scalars()
            )

    def end_all(self, connection: Connection, account_id: UUID, *, but: str = "") -> list[str]:
        """End the sessions of an account, all but the one of this hash; the hashes of those that there were."""
        others = (LoginSession.account_id == account_id) & (LoginSession.token_hash != but)
        return list(connection.execute(delete(LoginSession).where(others).returning(LoginSession.token_hash)).scalars())

    def renew_token(self, connection: Connection, session: str) -> str | None:
        """Give a session another token, so that who has the old one has nothing; it ends when it would have.

        None if it has ended.
        """
        token = self._make_token(_TOKEN_BYTES)
        live = (LoginSession.token_hash == session) & (LoginSession.expires_at > self._now())
        done = connection.execute(update(LoginSession).where(live).values(token_hash=token_hash(token)))
        return token if done.rowcount == 1 else None

    def close(self, session: str) -> None:
        """End a session at once."""
        with self._database.write() as connection:
            connection.execute(delete(LoginSession).where(LoginSession.token_hash == session))


def token_hash(token: str) -> str:
    """What a token is stored under, 64 hex digits."""
    return hashlib.sha256(token.encode()).hexdigest()


def csrf_token(token: str) -> str:
    """The token that a page of this session sends with every change; the cookie alone does not allow one."""
    return hmac.digest(token.encode(), b"gatehouse csrf 1", "sha256").hex()


def csrf_fits(token: str, presented: str | None) -> bool:
    """Compare in constant time."""
    return presented is not None and hmac.compare_digest(csrf_token(token).encode(), presented.encode())
