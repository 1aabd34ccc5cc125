"""Accounts and their log-ins: made and ended by an administrator at the command line, never there by default."""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, insert, select, update
from sqlalchemy.exc import IntegrityError

from cloud.accounts.enrolment import Enrolment, EnrolmentOver, Enrolments, EnrolmentWanted
from cloud.accounts.own import OwnAccount, password_mark
from cloud.accounts.passwords import Passwords
from cloud.accounts.scope import Scope
from cloud.accounts.second_factor import CodeWanted, SecondFactorMissing, SecondFactors, SetUpMeanwhile
from cloud.accounts.sessions import Sessions, SessionSummary, SignedIn
from cloud.accounts.throttle import LoginThrottle
from cloud.accounts.tokens import ApiTokens
from cloud.accounts.totp import setup_uri
from cloud.audit import AuditLog
from cloud.database.engine import Database
from cloud.database.tables import Account, AccountRole, Grid, LoginSession, Place

_USERNAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_MAX_ADDRESS_CHARACTERS = 64


class AccountError(ValueError):
    """An account that cannot be made or found: a bad, taken or unknown name."""


class BadLogin(Exception):
    """Wrong user name or password; it is not said which."""


@dataclass(frozen=True)
class LogIn:
    """A successful log-in. Its `repr` never shows the token."""

    account_id: UUID
    token: str = field(repr=False)


@dataclass(frozen=True)
class AccountSummary:
    """An account as `accounts list` shows it; `sessions` counts those that are open now.

    `place` and `grid` are the codes of what it is bound to; both None: the whole hub.
    """

    username: str
    role: AccountRole
    place: str | None
    grid: str | None
    created_at: datetime
    disabled_at: datetime | None
    sessions: int


@dataclass(frozen=True)
class Binding:
    """The part of the hub that an account is for, by codes: a place with all below it, within it a grid; or neither."""

    place: str | None = None
    grid: str | None = None


WHOLE_HUB = Binding()


class Accounts:
    """Makes and ends accounts, logs them in and out; all of it is audited, refused log-ins too."""

    def __init__(
        self,
        database: Database,
        now: Callable[[], datetime],
        make_id: Callable[[], UUID],
        passwords: Passwords,
        throttle: LoginThrottle,
        sessions: Sessions,
        second_factors: SecondFactors,
        enrolments: Enrolments,
        tokens: ApiTokens,
        audit: AuditLog,
    ) -> None:
        self._database = database
        self._now = now
        self._make_id = make_id
        self._passwords = passwords
        self._throttle = throttle
        self.sessions = sessions
        self._second_factors = second_factors
        self.enrolments = enrolments
        self.own = OwnAccount(database, passwords, throttle, sessions, second_factors, enrolments, audit)
        self.tokens = tokens
        self._audit = audit

    def create_account(self, username: str, password: str, role: AccountRole, binding: Binding = WHOLE_HUB) -> UUID:
        """Make an account and return its id.

        Raises:
            AccountError: if the name is taken or not made of a-z, 0-9, dot, dash and underscore, or the place or grid
                is not there, or the role needs one.
            UnacceptablePassword: if the password is too short or too long.
        """
        if not _USERNAME.fullmatch(username):
            raise AccountError(
                f"user name {username!r}: write 1 to 63 of a-z, 0-9, '.', '-', '_', a letter or digit first"
            )
        account_id, encoded = self._make_id(), self._passwords.hash(password)
        values = {"id": account_id, "username": username, "password_hash": encoded, "role": role}
        values |= self._bound(role, binding)
        try:
            with self._database.write() as connection:
                connection.execute(insert(Account).values(**values, created_at=self._now(), disabled_at=None))
        except IntegrityError as error:
            raise AccountError(f"user name {username!r} is taken") from error
        self._audit.append("account.created", None, {"account": str(account_id), **_told(role, binding)})
        return account_id

    def bind(self, username: str, role: AccountRole, binding: Binding) -> None:
        """Give an account a role and the part of the hub that it is for, and end its sessions, at once.

        Raises:
            AccountError: if there is none of that name, the place or grid is not there, or the role needs one.
        """
        account_id, _ = self._find(username)
        values = self._bound(role, binding)
        self._audit.append("account.bound", None, {"account": str(account_id), **_told(role, binding)})
        self._change(account_id, {"role": role, **values})

    def list_accounts(self) -> list[AccountSummary]:
        """Every account, by name."""
        is_open = (LoginSession.account_id == Account.id) & (LoginSession.expires_at > self._now())
        query = (
            select(
                Account.username,
                Account.role,
                Account.created_at,
                Account.disabled_at,
                Place.code.label("place"),
                Grid.code.label("grid"),
                func.count(LoginSession.token_hash).label("sessions"),
            )
            .outerjoin(LoginSession, is_open)
            .outerjoin(Place, Place.id == Account.place_id)
            .outerjoin(Grid, Grid.id == Account.grid_id)
            .group_by(Account.id, Place.code, Grid.code)
            .order_by(Account.username)
        )
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        return [
            AccountSummary(
                row.username, AccountRole(row.role), row.place, row.grid, row.created_at, row.disabled_at, row.sessions
            )
            for row in rows
        ]

    def disable(self, username: str) -> None:
        """Let an account in no more and end its sessions, at once. What it did stays linked to it.

        Raises:
            AccountError: if there is none of that name, or it is disabled already.
        """
        account_id, disabled_at = self._find(username)
        if disabled_at is not None:
            raise AccountError(f"account {username!r} is disabled already")
        self._audit.append("account.disabled", None, {"account": str(account_id)})
        self._change(account_id, {"disabled_at": self._now()})

    def enable(self, username: str) -> None:
        """Let a disabled account in again, with the password that it had.

        Raises:
            AccountError: if there is none of that name, or it is not disabled.
        """
        account_id, disabled_at = self._find(username)
        if disabled_at is None:
            raise AccountError(f"account {username!r} is not disabled")
        self._audit.append("account.enabled", None, {"account": str(account_id)})
        self._change(account_id, {"disabled_at": None})

    def set_password(self, username: str, password: str) -> None:
        """Give an account another password and end its sessions, at once. A disabled one stays disabled.

        Raises:
            AccountError: if there is none of that name.
            UnacceptablePassword: if the password is too short or too long.
        """
        account_id, _ = self._find(username)
        encoded = self._passwords.hash(password)
        self._audit.append("account.password", None, {"account": str(account_id)})
        self._change(account_id, {"password_hash": encoded})

    def new_second_factor(self, username: str) -> tuple[bytes, str]:
        """A secret for an authenticator program, and what its QR code says; nothing is stored yet.

        Raises:
            AccountError: if there is none of that name.
        """
        self._find(username)
        secret = self._second_factors.new_secret()
        return secret, setup_uri(secret, username)

    def set_second_factor(self, username: str, secret: bytes, code: str) -> tuple[str, ...]:
        """Ask the account for codes of this secret from now on, end its sessions, and return its recovery codes.

        Raises:
            AccountError: if there is none of that name.
            WrongCode: if the code is not the secret's.
        """
        account_id, _ = self._find(username)
        codes = self._second_factors.set_up(account_id, secret, code)
        self._audit.append("account.second_factor", None, {"account": str(account_id)})
        self._change(account_id, {})
        return codes

    def remove_second_factor(self, username: str) -> None:
        """Ask the account for no codes any more, and end its sessions.

        Raises:
            AccountError: if there is none of that name, or it has no second factor.
        """
        account_id, _ = self._find(username)
        if not self._second_factors.remove(account_id):
            raise AccountError(f"account {username!r} has no second factor")
        self._audit.append("account.second_factor.removed", None, {"account": str(account_id)})
        self._change(account_id, {})

    def end_sessions(self, username: str) -> None:
        """Log an account out everywhere, at once.

        Raises:
            AccountError: if there is none of that name.
        """
        account_id, _ = self._find(username)
        self._audit.append("account.sessions.ended", None, {"account": str(account_id)})
        self._change(account_id, {})

    def list_sessions(self, username: str) -> list[SessionSummary]:
        """The living sessions of an account, the one used last first.

        Raises:
            AccountError: if there is none of that name.
        """
        account_id, _ = self._find(username)
        return self.sessions.list_of(account_id)

    def end_session(self, username: str, session: UUID) -> None:
        """End one session of an account, at once.

        Raises:
            AccountError: if there is none of that name, or it has no such session.
        """
        account_id, _ = self._find(username)
        if not self.end_listed(account_id, [session], by=None):
            raise AccountError(f"account {username!r} has no such session; 'accounts sessions {username}' shows them")

    def end_listed(self, account_id: UUID, sessions: Collection[UUID], by: UUID | None) -> list[str]:
        """End these of an account's sessions, at once; the hashes of those that there were.

        Args:
            by: the account that asks; None: the command line.
        """
        for each in sessions:
            self._audit.append("account.session.ended", by, {"account": str(account_id), "session": str(each)})
        return self.sessions.end(account_id, sessions)

    def find_within(self, username: str, scope: Scope) -> UUID | None:
        """The account of a name, if it is bound to nothing outside a scope."""
        query = select(Account.id).where(Account.username == username, scope.covers_account())
        with self._database.read() as connection:
            found: UUID | None = connection.execute(query).scalar()
        return found

    def _find(self, username: str) -> tuple[UUID, datetime | None]:
        query = select(Account.id, Account.disabled_at).where(Account.username == username)
        with self._database.read() as connection:
            row = connection.execute(query).first()
        if row is None:
            raise AccountError(f"there is no account {username!r}; 'accounts list' shows those there are")
        return row.id, row.disabled_at

    def _bound(self, role: AccountRole, binding: Binding) -> dict[str, UUID | None]:
        if role is AccountRole.GRID_MEMBER and binding.grid is None:
            raise AccountError("a grid member is bound to a grid: write --grid CODE")
        with self._database.read() as connection:
            place = connection.execute(select(Place.id).where(Place.code == binding.place)).scalar()
            grid = connection.execute(select(Grid.id).where(Grid.code == binding.grid)).scalar()
        if binding.place is not None and place is None:
            raise AccountError(f"there is no place {binding.place!r}: import the register first, or correct the code")
        if binding.grid is not None and grid is None:
            raise AccountError(f"there is no grid {binding.grid!r}: import the register first, or correct the code")
        return {"place_id": place, "grid_id": grid}

    def _change(self, account_id: UUID, values: dict[str, Any]) -> None:
        with self._database.write() as connection:
            if values:
                connection.execute(update(Account).where(Account.id == account_id).values(**values))
            self.sessions.end_all(connection, account_id)

    def log_in(self, username: str, password: str, address: str, code: str = "", browser: str = "") -> LogIn:
        """Check a password, and the code of who has a second factor, and open a session.

        Raises:
            Throttled: after too many wrong passwords.
            BadLogin: if user name, password or code is wrong, or the account is disabled.
            CodeWanted: as `SecondFactors.check`.
            EnrolmentWanted: if the role needs a second factor, and none was set up: `log_in_enrolling` goes on.
            TooBusy: if too many log-ins are being checked.
        """
        username, address = username.strip().casefold(), address[:_MAX_ADDRESS_CHARACTERS]
        self._throttle.begin(username, address)
        with self._database.read() as connection:
            row = connection.execute(
                select(Account.id, Account.password_hash, Account.role).where(
                    Account.username == username, Account.disabled_at.is_(None)
                )
            ).first()
        fits = self._passwords.fits(row.password_hash if row else None, password)
        if row is not None and fits:
            try:
                fits = self._second_factors.check(row.id, AccountRole(row.role), code)
            except SecondFactorMissing as error:
                mark = password_mark(row.password_hash)
                raise EnrolmentWanted(self.enrolments.begin(row.id, username, mark)) from error
        token = self.sessions.open(row.id, row.password_hash, address, browser) if row is not None and fits else None
        if row is None or token is None:
            self._audit.append("login.refused", row.id if row else None, {"address": address})
            raise BadLogin("wrong user name or password")
        self._throttle.succeeded(username, address)
        if self._passwords.is_outdated(row.password_hash):
            self._rehash(row.id, row.password_hash, password)
        self._audit.append("login", row.id, {"address": address})
        return LogIn(row.id, token)

    def log_in_enrolling(
        self, enrolment: Enrolment, code: str, address: str, browser: str = ""
    ) -> tuple[LogIn, tuple[str, ...]]:
        """Set up the second factor that a log-in found missing, and open a session; the recovery codes come beside it.

        Raises:
            Throttled: after too many wrong codes or passwords.
            WrongCode: if the code is not the secret's.
            EnrolmentOver: if the account was disabled, or its password or second factor set, meanwhile.
        """
        address = address[:_MAX_ADDRESS_CHARACTERS]
        self._throttle.begin(enrolment.username, address)
        account = enrolment.account_id
        with self._database.read() as connection:
            query = select(Account.password_hash).where(Account.id == account, Account.disabled_at.is_(None))
            password_hash = connection.execute(query).scalar()
        if password_hash is None or password_mark(password_hash) != enrolment.holder:
            raise EnrolmentOver("the account is disabled or has another password")
        try:
            codes = self._second_factors.set_up(account, enrolment.secret, code, enrolment.known)
        except SetUpMeanwhile as error:
            raise EnrolmentOver("another one was set up meanwhile") from error
        token = self.sessions.open(account, password_hash, address, browser)
        if token is None:  # since the look above: who had the old password leaves nothing behind
            self._second_factors.remove(account)
            raise EnrolmentOver("the account was disabled or has another password")
        self._audit.append("account.second_factor", account, {"account": str(account)})
        self._throttle.succeeded(enrolment.username, address)
        self._audit.append("login", account, {"address": address})
        return LogIn(account, token), codes

    def log_in_vouched(self, account_id: UUID, address: str, browser: str = "", *, strongly: bool) -> LogIn:
        """Open a session for somebody whom the provider of log-ins vouched for; `strongly`: by a second factor too.

        Raises:
            BadLogin: if the account is disabled.
            CodeWanted: if it needs a second factor, and the provider asked for none that counts.
        """
        with self._database.read() as connection:
            role = connection.execute(select(Account.role).where(Account.id == account_id)).scalar()
        if role is None:
            raise BadLogin("there is no such account")
        if not strongly and self._second_factors.is_wanted(account_id, AccountRole(role)):
            raise CodeWanted
        detail = {"address": address[:_MAX_ADDRESS_CHARACTERS], "by": "oidc"}
        token = self.sessions.open(account_id, None, address, browser)
        self._audit.append("login.refused" if token is None else "login", account_id, detail)
        if token is None:
            raise BadLogin("the account is disabled")
        return LogIn(account_id, token)

    def log_out(self, signed_in: SignedIn) -> None:
        """End the session at once."""
        self.sessions.close(signed_in.session)
        self._audit.append("logout", signed_in.account_id, {})

    def _rehash(self, account_id: UUID, outdated: str, password: str) -> None:
        """With today's parameters, unless the password was changed meanwhile."""
        same = (Account.id == account_id) & (Account.password_hash == outdated)
        encoded = self._passwords.hash(password)
        with self._database.write() as connection:
            connection.execute(update(Account).where(same).values(password_hash=encoded))


def _told(role: AccountRole, binding: Binding) -> dict[str, str]:
    """For the audit."""
    return {"role": role.value, "place": binding.place or "", "grid": binding.grid or ""}
