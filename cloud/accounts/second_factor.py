"""The second factor of an account: codes of an authenticator program, and recovery codes for a telephone that is lost.

The secret is sealed, recovery codes are kept as hashes, and each code is taken once. Who guesses codes is stopped by
the account itself, from whatever addresses the guesses come: after `MOST_FAILURES` none is taken for `LOCKED_FOR`.
"""

import base64
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from cloud.accounts import totp
from cloud.database.engine import Database
from cloud.database.tables import AccountRole, RecoveryCode, SecondFactor
from cloud.vault import Vault

REQUIRED_OF = frozenset({AccountRole.ADMINISTRATOR, AccountRole.CATEGORY_OFFICER})
RECOVERY_CODES = 10
_RECOVERY_BYTES = 10
MOST_FAILURES = 10
LOCKED_FOR = timedelta(minutes=15)
PURPOSE = "account.totp"
"""What the secret is sealed for (`cloud.vault`)."""


class CodeWanted(Exception):
    """The password is right, and a code is needed beside it."""


class SecondFactorMissing(Exception):
    """The account's role needs a second factor, and none was set up."""


class WrongCode(ValueError):
    """The code that is to prove that the authenticator program was set up does not fit."""


class SetUpMeanwhile(Exception):
    """Another second factor was set up since this one was begun."""


@dataclass(frozen=True)
class Known:
    """The second factor that an account had when setting up another was begun; `set_up_at` None: none."""

    set_up_at: datetime | None


class SecondFactors:
    """Thread-safe: state is in the database alone."""

    def __init__(
        self,
        database: Database,
        vault: Vault,
        now: Callable[[], datetime],
        random_bytes: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._database = database
        self._vault = vault
        self._now = now
        self._random_bytes = random_bytes

    def new_secret(self) -> bytes:
        """For an authenticator program; nothing is stored yet."""
        return self._random_bytes(totp.SECRET_BYTES)

    def known(self, account_id: UUID) -> Known:
        """The second factor of an account, as it is now."""
        with self._database.read() as connection:
            return Known(_set_up_at(connection, account_id))

    def set_up(self, account_id: UUID, secret: bytes, code: str, instead_of: Known | None = None) -> tuple[str, ...]:
        """Ask for codes of this secret from now on, and return the recovery codes, which are told this once.

        Args:
            instead_of: what was there when it was begun; None: it takes the place of whatever is there.

        Raises:
            WrongCode: if the code is not the secret's: the program or its clock is not set up.
            SetUpMeanwhile: if there is by now another one than `instead_of`.
        """
        steps = list(totp.fitting_steps(secret, _plain(code), self._now()))
        if not steps:
            raise WrongCode("the code does not fit: look at the program's clock, and type the code that it shows now")
        codes = tuple(self._new_code() for _ in range(RECOVERY_CODES))
        factor = {
            "account_id": account_id,
            "secret_sealed": self._vault.seal(secret, PURPOSE),
            "last_step": max(steps),
            "set_up_at": self._now(),
            "failures": 0,
            "failed_at": None,
        }
        try:
            with self._database.write() as connection:
                if instead_of is not None and _set_up_at(connection, account_id, lock=True) != instead_of.set_up_at:
                    raise SetUpMeanwhile
                connection.execute(delete(RecoveryCode).where(RecoveryCode.account_id == account_id))
                connection.execute(delete(SecondFactor).where(SecondFactor.account_id == account_id))
                connection.execute(insert(SecondFactor).values(**factor))
                connection.execute(
                    insert(RecoveryCode),
                    [{"account_id": account_id, "code_hash": _hash(each), "used_at": None} for each in codes],
                )
        except IntegrityError as error:  # two first ones at the same time
            raise SetUpMeanwhile from error
        return codes

    def remove(self, account_id: UUID) -> bool:
        """Ask for no codes any more; whether there was a second factor."""
        with self._database.write() as connection:
            connection.execute(delete(RecoveryCode).where(RecoveryCode.account_id == account_id))
            gone = connection.execute(delete(SecondFactor).where(SecondFactor.account_id == account_id))
        return gone.rowcount > 0

    def is_wanted(self, account_id: UUID, role: AccountRole) -> bool:
        """Whether a password alone does not do: the role needs a second factor, or the account has one."""
        return role in REQUIRED_OF or self.known(account_id).set_up_at is not None

    def check(self, account_id: UUID, role: AccountRole, code: str) -> bool:
        """Whether an account whose password was right may come in with this code; a code that fits is used up.

        Raises:
            CodeWanted: if there is no code, and one is needed.
            SecondFactorMissing: if the role needs one, and none was set up.
        """
        code, now = _plain(code), self._now()
        with self._database.read() as connection:
            query = select(SecondFactor.__table__).where(SecondFactor.account_id == account_id)
            row = connection.execute(query).first()
        if row is None:
            if role in REQUIRED_OF:
                raise SecondFactorMissing
            return True
        if not code:
            raise CodeWanted
        if row.failures >= MOST_FAILURES and now - row.failed_at < LOCKED_FOR:
            return False
        secret = self._vault.open(row.secret_sealed, PURPOSE)
        steps = totp.fitting_steps(secret, code, now)
        if any(self._use_step(account_id, step) for step in steps) or self._use_recovery(account_id, code):
            return True
        self._failed(account_id, now)
        return False

    def _use_step(self, account_id: UUID, step: int) -> bool:
        """Whether this step, and no later one, was not used yet (RFC 6238, section 5.2)."""
        mine = (SecondFactor.account_id == account_id) & (SecondFactor.last_step < step)
        with self._database.write() as connection:
            done = connection.execute(update(SecondFactor).where(mine).values(last_step=step, failures=0))
        return done.rowcount == 1

    def _use_recovery(self, account_id: UUID, code: str) -> bool:
        mine = (RecoveryCode.account_id == account_id) & (RecoveryCode.code_hash == _hash(code))
        unused = mine & RecoveryCode.used_at.is_(None)
        with self._database.write() as connection:
            done = connection.execute(update(RecoveryCode).where(unused).values(used_at=self._now()))
            if done.rowcount == 1:
                mine_too = SecondFactor.account_id == account_id
                connection.execute(update(SecondFactor).where(mine_too).values(failures=0))
        return done.rowcount == 1

    def _failed(self, account_id: UUID, now: datetime) -> None:
        counted = update(SecondFactor).where(SecondFactor.account_id == account_id)
        with self._database.write() as connection:
            connection.execute(counted.values(failures=SecondFactor.failures + 1, failed_at=now))

    def _new_code(self) -> str:
        text = base64.b32encode(self._random_bytes(_RECOVERY_BYTES)).decode()
        return "-".join(text[i : i + 4] for i in range(0, len(text), 4))


def _set_up_at(connection: Connection, account_id: UUID, *, lock: bool = False) -> datetime | None:
    query = select(SecondFactor.set_up_at).where(SecondFactor.account_id == account_id)
    found: datetime | None = connection.execute(query.with_for_update() if lock else query).scalar()
    return found


def _plain(code: str) -> str:
    """As it was told, however it was typed."""
    return "".join(each for each in code.upper() if each.isascii() and each.isalnum())


def _hash(code: str) -> str:
    """A recovery code has 80 random bits: its hash needs no salt and no work factor."""
    return hashlib.sha256(_plain(code).encode()).hexdigest()
