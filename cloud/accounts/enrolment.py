"""A second factor that is being set up in a browser: what the page shows, and what it sends back with the first code.

Nothing is stored until a code proves that the authenticator program was set up: between the two requests the secret is
in the page alone, sealed. It is taken for ten minutes, from whom it was made for, and while the account has no other
second factor than it had.
"""

import base64
import binascii
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from cloud.accounts.second_factor import Known, SecondFactorMissing, SecondFactors
from cloud.accounts.totp import secret_text, setup_uri
from cloud.vault import Vault, VaultError

PURPOSE = "account.enrolment"
LASTS = timedelta(minutes=10)
_MAX_CHARACTERS = 2048


class EnrolmentOver(Exception):
    """It was begun too long ago, by somebody else, or something was changed meanwhile: begin anew."""


@dataclass(frozen=True)
class Enrolment:
    """A second factor that does not count yet. Its `repr` never shows the secret.

    Attributes:
        holder: by what it belongs to one browser: a hash of the password that was right, or of the session.
        known: the second factor that it takes the place of.
        sealed: what the page sends back.
    """

    account_id: UUID
    username: str
    holder: str
    known: Known
    secret: bytes = field(repr=False)
    sealed: str = field(repr=False)

    @property
    def uri(self) -> str:
        """What the QR code says."""
        return setup_uri(self.secret, self.username)

    @property
    def text(self) -> str:
        """The secret as it is typed, in groups of four."""
        plain = secret_text(self.secret)
        return " ".join(plain[i : i + 4] for i in range(0, len(plain), 4))


class EnrolmentWanted(SecondFactorMissing):
    """The password is right, and a second factor is to be set up before anything else."""

    def __init__(self, enrolment: Enrolment) -> None:
        super().__init__()
        self.enrolment = enrolment


class Enrolments:
    """Begins them, and finds them again. Keeps nothing."""

    def __init__(self, vault: Vault, second_factors: SecondFactors, now: Callable[[], datetime]) -> None:
        self._vault = vault
        self._second_factors = second_factors
        self._now = now

    def begin(self, account_id: UUID, username: str, holder: str) -> Enrolment:
        """With a secret of its own."""
        known, secret = self._second_factors.known(account_id), self._second_factors.new_secret()
        told = {
            "account": str(account_id),
            "username": username,
            "holder": holder,
            "known": known.set_up_at.isoformat() if known.set_up_at else "",
            "secret": secret.hex(),
            "at": self._now().isoformat(),
        }
        sealed = base64.urlsafe_b64encode(self._vault.seal(json.dumps(told).encode(), PURPOSE)).decode()
        return Enrolment(account_id, username, holder, known, secret, sealed)

    def resume(self, sealed: str) -> Enrolment:
        """What the page sent back.

        Raises:
            EnrolmentOver: if it was not begun here, or too long ago.
        """
        try:
            if len(sealed) > _MAX_CHARACTERS:
                raise ValueError("too long")
            told = json.loads(self._vault.open(base64.urlsafe_b64decode(sealed), PURPOSE))
        except (VaultError, binascii.Error, ValueError) as error:
            raise EnrolmentOver("it was not begun here") from error
        if not timedelta() <= self._now() - datetime.fromisoformat(told["at"]) <= LASTS:
            raise EnrolmentOver("it was begun too long ago")
        return Enrolment(
            account_id=UUID(told["account"]),
            username=told["username"],
            holder=told["holder"],
            known=Known(datetime.fromisoformat(told["known"]) if told["known"] else None),
            secret=bytes.fromhex(told["secret"]),
            sealed=sealed,
        )
