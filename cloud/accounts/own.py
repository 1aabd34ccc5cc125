"""What who is logged in changes about his own account in a browser: the password, the second factor.

Each asks again for something that a session alone does not have. It ends every session of the account but the one that
asks, and that one gets another token, so that a stolen cookie is worth nothing afterwards.
"""

import hashlib
from dataclasses import dataclass, field
from typing import NoReturn
from uuid import UUID

from sqlalchemy import Row, select, update

from cloud.accounts.enrolment import Enrolment, EnrolmentOver, Enrolments
from cloud.accounts.passwords import Passwords
from cloud.accounts.second_factor import CodeWanted, SecondFactorMissing, SecondFactors, SetUpMeanwhile
from cloud.accounts.sessions import Sessions, SignedIn
from cloud.accounts.throttle import LoginThrottle
from cloud.audit import AuditLog
from cloud.database.engine import Database
from cloud.database.tables import Account, AccountRole


class NotProven(Exception):
    """The password or the code does not fit; it is not said which."""


class SessionOver(Exception):
    """The session ended meanwhile."""


@dataclass(frozen=True)
class Renewed:
    """The session's new token, and the hashes of all sessions that are no more. Its `repr` never shows the token."""

    token: str = field(repr=False)
    ended: tuple[str, ...]


@dataclass(frozen=True)
class Enrolled:
    """A second factor that counts from now on. Its `repr` shows no code."""

    session: Renewed
    recovery_codes: tuple[str, ...] = field(repr=False)


class OwnAccount:
    """Thread-safe: state is in the database, and in the throttle that log-ins have too."""

    def __init__(
        self,
        database: Database,
        passwords: Passwords,
        throttle: LoginThrottle,
        sessions: Sessions,
        second_factors: SecondFactors,
        enrolments: Enrolments,
        audit: AuditLog,
    ) -> None:
        self._database = database
        self._passwords = passwords
        self._throttle = throttle
        self._sessions = sessions
        self._second_factors = second_factors
        self._enrolments = enrolments
        self._audit = audit

    def has_second_factor(self, by: SignedIn) -> bool:
        """Whether the account has one."""
        return self._second_factors.known(by.account_id).set_up_at is not None

    def change_password(self, by: SignedIn, current: str, new: str, address: str) -> Renewed:
        """Give one's account another password.

        Raises:
            NotProven: if `current` is not the password, or is it no more.
            UnacceptablePassword, Throttled, TooBusy: as a log-in and `Accounts.set_password`.
            SessionOver: if the session ended meanwhile.
        """
        known = self._prove_password(by, current, address)
        encoded = self._passwords.hash(new)
        self._audit.append("account.password", by.account_id, {"account": str(by.account_id)})
        same = (Account.id == by.account_id) & (Account.password_hash == known)
        with self._database.write() as connection:
            if connection.execute(update(Account).where(same).values(password_hash=encoded)).rowcount != 1:
                raise NotProven
        return self._renew(by)

    def begin_second_factor(self, by: SignedIn, password: str, code: str, address: str) -> Enrolment:
        """Begin to set up an authenticator program, anew if there is one; nothing is stored yet.

        Args:
            password: the account's; empty: `code` is shown instead, of the second factor that it has.

        Raises:
            NotProven: if neither fits.
            Throttled, TooBusy: as a log-in.
        """
        if password or not self.has_second_factor(by):
            self._prove_password(by, password, address)
        else:
            self._prove_code(by, code, address)
        return self._enrolments.begin(by.account_id, by.username, by.session)

    def resume_second_factor(self, by: SignedIn, sealed: str) -> Enrolment:
        """The one that this session began.

        Raises:
            EnrolmentOver: if it did not, or too long ago.
        """
        enrolment = self._enrolments.resume(sealed)
        if (enrolment.account_id, enrolment.holder) != (by.account_id, by.session):
            raise EnrolmentOver("another session began it")
        return enrolment

    def set_second_factor(self, by: SignedIn, enrolment: Enrolment, code: str) -> Enrolled:
        """Ask for codes of this secret from now on.

        Raises:
            WrongCode: if the code is not the secret's.
            EnrolmentOver: if another one was set up meanwhile.
            SessionOver: if the session ended meanwhile.
        """
        try:
            codes = self._second_factors.set_up(by.account_id, enrolment.secret, code, enrolment.known)
        except SetUpMeanwhile as error:
            raise EnrolmentOver("another one was set up meanwhile") from error
        self._audit.append("account.second_factor", by.account_id, {"account": str(by.account_id)})
        return Enrolled(self._renew(by), codes)

    def _prove_password(self, by: SignedIn, password: str, address: str) -> str:
        """The hash that it fits."""
        self._throttle.begin(by.username, address)
        row = self._row(by.account_id)
        if not self._passwords.fits(row.password_hash if row else None, password) or row is None:
            self._refuse(by, address)
        self._throttle.succeeded(by.username, address)
        encoded: str = row.password_hash
        return encoded

    def _prove_code(self, by: SignedIn, code: str, address: str) -> None:
        self._throttle.begin(by.username, address)
        row = self._row(by.account_id)
        try:
            fits = row is not None and self._second_factors.check(by.account_id, AccountRole(row.role), code)
        except (CodeWanted, SecondFactorMissing):
            fits = False
        if not fits:
            self._refuse(by, address)
        self._throttle.succeeded(by.username, address)

    def _row(self, account_id: UUID) -> Row[str, AccountRole] | None:
        query = select(Account.password_hash, Account.role)
        with self._database.read() as connection:
            return connection.execute(query.where(Account.id == account_id, Account.disabled_at.is_(None))).first()

    def _refuse(self, by: SignedIn, address: str) -> NoReturn:
        self._audit.append("account.proof.refused", by.account_id, {"address": address})
        raise NotProven

    def _renew(self, by: SignedIn) -> Renewed:
        with self._database.write() as connection:
            ended = self._sessions.end_all(connection, by.account_id, but=by.session)
            token = self._sessions.renew_token(connection, by.session)
        if token is None:
            raise SessionOver
        return Renewed(token, (*ended, by.session))


def password_mark(password_hash: str) -> str:
    """By which a page that knows it knows which password was right; the stored hash stays here."""
    return hashlib.sha256(password_hash.encode()).hexdigest()
