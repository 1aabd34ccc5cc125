"""The browser's way to the provider of log-ins and back; what must not be forgotten meanwhile is in a sealed cookie."""

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from uuid import UUID

from fastapi.responses import RedirectResponse
from starlette.responses import Response

from cloud.gateways.rate import Allowance, AttemptLimit
from cloud.sign_on.provider import Provider, ProviderError, Started
from cloud.sign_on.settings import RETURN_PATH
from cloud.sign_on.subjects import Subjects
from cloud.vault import Vault, VaultError

PURPOSE = "oidc.started"
_MINUTES_AWAY = 10
_MAX_COOKIE_CHARACTERS = 2048
_EACH, _TOGETHER = Allowance(20, 1 / 3), Allowance(200, 5)


class NotVouched(Exception):
    """Nobody is logged in; `key` is the sentence for the page."""

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(reason)
        self.key = key


class SignOn:
    """Sends browsers to the provider, and reads what they come back with.

    The cookie is `SameSite=Lax`, as the way back begins at the provider; it lasts ten minutes and is used once.
    """

    def __init__(
        self,
        provider: Provider,
        subjects: Subjects,
        vault: Vault,
        now_s: Callable[[], float],
        monotonic_s: Callable[[], float],
    ) -> None:
        self._provider = provider
        self._subjects = subjects
        self._vault = vault
        self._now_s = now_s
        self._limit = AttemptLimit(monotonic_s, _EACH, _TOGETHER)
        self._secure = provider.settings.public_url.startswith("https:")
        self._cookie = "__Secure-gatehouse-oidc" if self._secure else "gatehouse-oidc"

    @property
    def name(self) -> str:
        """What the log-in page calls the provider."""
        return self._provider.settings.name

    def leave(self, address: str) -> Response:
        """To the provider.

        Raises:
            NotVouched: after too many tries from an address, or if the provider does not answer.
        """
        self._count(address)
        started = Started.anew()
        try:
            answer = RedirectResponse(self._provider.address(started), 303)
        except ProviderError as error:
            raise NotVouched("login.oidc_away", str(error)) from error
        told = json.dumps({"at_s": self._now_s(), **asdict(started)}).encode()
        sealed = base64.urlsafe_b64encode(self._vault.seal(told, PURPOSE)).decode()
        answer.set_cookie(
            self._cookie,
            sealed,
            max_age=60 * _MINUTES_AWAY,
            path=RETURN_PATH,
            httponly=True,
            samesite="lax",
            secure=self._secure,
        )
        return answer

    def returned(self, cookies: Mapping[str, str], query: Mapping[str, str], address: str) -> tuple[UUID, bool]:
        """The account of who came back, and whether a second factor was asked for.

        Raises:
            NotVouched: if it is nobody, or nobody that the hub knows.
        """
        self._count(address)
        started = self._started(cookies.get(self._cookie, ""))
        try:
            identity = self._provider.identity(started, query)
        except ProviderError as error:
            raise NotVouched("login.oidc_refused", str(error)) from error
        settings = self._provider.settings
        account = self._subjects.account(settings.issuer, identity.sub)
        if account is None:
            raise NotVouched("login.oidc_unknown", "no account is bound to the subject, or it is disabled")
        return account, not settings.second_factor.isdisjoint(identity.amr)

    def forget(self, answer: Response) -> None:
        """What was begun is over, however it ended."""
        answer.delete_cookie(self._cookie, path=RETURN_PATH, httponly=True, samesite="lax", secure=self._secure)

    def _count(self, address: str) -> None:
        if not self._limit.take(address):
            raise NotVouched("login.busy", "too many tries")

    def _started(self, sealed: str) -> Started:
        try:
            if len(sealed) > _MAX_COOKIE_CHARACTERS:
                raise ValueError("too long")
            told = json.loads(self._vault.open(base64.urlsafe_b64decode(sealed), PURPOSE))
            at_s = float(told.pop("at_s"))
            started = Started(**told)
        except (VaultError, binascii.Error, ValueError, KeyError, TypeError, AttributeError) as error:
            raise NotVouched("login.oidc_refused", "the browser began no log-in here") from error
        if not 0 <= self._now_s() - at_s <= 60 * _MINUTES_AWAY:
            raise NotVouched("login.oidc_refused", "the log-in was begun too long ago")
        return started
