"""Which account somebody is who logged in with the provider: bound by an administrator, never by itself."""

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, insert, select
from sqlalchemy.exc import IntegrityError

from cloud.accounts import AccountError
from cloud.audit import AuditLog
from cloud.database.engine import Database
from cloud.database.tables import Account, AccountSubject

MAX_CHARACTERS = 255


class Subjects:
    """Thread-safe: state is in the database alone."""

    def __init__(self, database: Database, audit: AuditLog, now: Callable[[], datetime]) -> None:
        self._database = database
        self._audit = audit
        self._now = now

    def bind(self, username: str, issuer: str, subject: str) -> None:
        """Let whoever the issuer calls `subject` (its `sub`) log in as this account; instead of whom it was before.

        Raises:
            AccountError: if there is no such account, the subject is empty or too long, or another account's.
        """
        if not 0 < len(subject) <= MAX_CHARACTERS:
            raise AccountError(f"a subject has 1 to {MAX_CHARACTERS} characters")
        account = self._find(username)
        values = {"account_id": account, "issuer": issuer, "subject": subject, "bound_at": self._now()}
        try:
            with self._database.write() as connection:
                connection.execute(delete(AccountSubject).where(AccountSubject.account_id == account))
                connection.execute(insert(AccountSubject).values(**values))
        except IntegrityError as error:
            raise AccountError("another account is bound to this subject") from error
        self._audit.append("account.subject", None, {"account": str(account), "issuer": issuer})

    def unbind(self, username: str) -> None:
        """Let the account in by its password alone.

        Raises:
            AccountError: if there is no such account, or it is bound to nobody.
        """
        account = self._find(username)
        with self._database.write() as connection:
            gone = connection.execute(delete(AccountSubject).where(AccountSubject.account_id == account))
        if gone.rowcount == 0:
            raise AccountError(f"account {username!r} is bound to nobody")
        self._audit.append("account.subject.removed", None, {"account": str(account)})

    def account(self, issuer: str, subject: str) -> UUID | None:
        """The account of a subject, if one is bound to it and not disabled."""
        query = (
            select(Account.id)
            .join(AccountSubject, AccountSubject.account_id == Account.id)
            .where(AccountSubject.issuer == issuer, AccountSubject.subject == subject, Account.disabled_at.is_(None))
        )
        with self._database.read() as connection:
            return connection.execute(query).scalar()

    def _find(self, username: str) -> UUID:
        with self._database.read() as connection:
            found = connection.execute(select(Account.id).where(Account.username == username)).scalar()
        if found is None:
            raise AccountError(f"there is no account {username!r}")
        return found
