"""Accounts and their log-ins: made by an administrator at the command line, never by default."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError

from cloud.accounts.passwords import Passwords
from cloud.accounts.sessions import Sessions, SignedIn
from cloud.accounts.throttle import LoginThrottle
from cloud.audit import AuditLog
from cloud.database.engine import Database
from cloud.database.tables import Account, AccountRole

_USERNAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_MAX_ADDRESS_CHARACTERS = 64


class AccountError(ValueError):
    """An account that cannot be made: a bad or taken name."""


class BadLogin(Exception):
    """Wrong user name or password; it is not said which."""


@dataclass(frozen=True)
class LogIn:
    """A successful log-in. Its `repr` never shows the token."""

    account_id: UUID
    token: str = field(repr=False)


class Accounts:
    """Makes accounts, logs them in and out; every log-in, refusal and log-out is audited."""

    def __init__(
        self,
        database: Database,
        now: Callable[[], datetime],
        make_id: Callable[[], UUID],
        passwords: Passwords,
        throttle: LoginThrottle,
        sessions: Sessions,
        audit: AuditLog,
    ) -> None:
        self._database = database
        self._now = now
        self._make_id = make_id
        self._passwords = passwords
        self._throttle = throttle
        self.sessions = sessions
        self._audit = audit

    def create_account(self, username: str, password: str, role: AccountRole) -> UUID:
        """Make an account and return its id.

        Raises:
            AccountError: if the name is taken or not made of a-z, 0-9, dot, dash and underscore.
            UnacceptablePassword: if the password is too short or too long.
        """
        if not _USERNAME.fullmatch(username):
            raise AccountError(
                f"user name {username!r}: write 1 to 63 of a-z, 0-9, '.', '-', '_', a letter or digit first"
            )
        account_id, encoded = self._make_id(), self._passwords.hash(password)
        values = {"id": account_id, "username": username, "password_hash": encoded, "role": role}
        try:
            with self._database.write() as connection:
                connection.execute(insert(Account).values(**values, created_at=self._now(), disabled_at=None))
        except IntegrityError as error:
            raise AccountError(f"user name {username!r} is taken") from error
        self._audit.append("account.created", None, {"account": str(account_id), "role": role.value})
        return account_id

    def log_in(self, username: str, password: str, address: str) -> LogIn:
        """Check a password and open a session.

        Raises:
            Throttled: after too many wrong passwords.
            BadLogin: if user name or password is wrong, or the account is disabled.
            TooBusy: if too many log-ins are being checked.
        """
        username, address = username.strip().casefold(), address[:_MAX_ADDRESS_CHARACTERS]
        self._throttle.begin(username, address)
        with self._database.read() as connection:
            row = connection.execute(
                select(Account.id, Account.password_hash).where(
                    Account.username == username, Account.disabled_at.is_(None)
                )
            ).first()
        if not self._passwords.fits(row.password_hash if row else None, password) or row is None:
            self._audit.append("login.refused", row.id if row else None, {"address": address})
            raise BadLogin("wrong user name or password")
        self._throttle.succeeded(username, address)
        if self._passwords.is_outdated(row.password_hash):
            self._rehash(row.id, password)
        self._audit.append("login", row.id, {"address": address})
        return LogIn(row.id, self.sessions.open(row.id))

    def log_out(self, signed_in: SignedIn) -> None:
        """End the session at once."""
        self.sessions.close(signed_in.session)
        self._audit.append("logout", signed_in.account_id, {})

    def _rehash(self, account_id: UUID, password: str) -> None:
        encoded = self._passwords.hash(password)
        with self._database.write() as connection:
            connection.execute(update(Account).where(Account.id == account_id).values(password_hash=encoded))
