"""OpenID Connect Core 1.0 as a client: authorization code flow with PKCE (RFC 7636), discovery, checks of the ID token.

What comes from the provider is bounded in size and time, redirects are not followed, and every address that it names
must be HTTPS (or loopback, where the issuer is). Of its answer nothing is used but `sub` and `amr`.
"""

import base64
import hashlib
import hmac
import json
import secrets
import stat
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import Annotated, Any, TypeVar
from urllib.parse import urlencode, urlsplit

import httpx
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from pydantic import BaseModel, Field, StringConstraints, ValidationError

from cloud.sign_on.settings import OidcSettings, is_loopback

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519")
"""Signatures by a key that the provider publishes. Never `none`, and no HMAC."""
LEEWAY_S = 60
_MAX_BYTES = 256 * 1024
_MAX_TOKEN_CHARACTERS = 16_384
_KEPT_S = 600.0
_ASK_AGAIN_S = 30.0
"""Keys are asked for anew, for a key that is not known, no more often than this."""
_RANDOM_BYTES = 32
_Model = TypeVar("_Model", bound=BaseModel)
_Text = Annotated[str, StringConstraints(min_length=1, max_length=_MAX_TOKEN_CHARACTERS)]


class ProviderError(Exception):
    """The provider cannot be reached, or is not to be believed. The text is for the log, not for browsers."""


@dataclass(frozen=True)
class Started:
    """A log-in that was begun: kept sealed in the browser until it comes back. Its `repr` shows no secret."""

    state: str = field(repr=False)
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)

    @classmethod
    def anew(cls) -> "Started":
        """Three random texts of 256 bits each."""
        return cls(*(secrets.token_urlsafe(_RANDOM_BYTES) for _ in range(3)))


class Identity(BaseModel):
    """Who somebody is to the provider, and how that was found out."""

    sub: Annotated[str, StringConstraints(min_length=1, max_length=255)]
    amr: tuple[str, ...] = ()


class _Metadata(BaseModel):
    """OpenID Connect Discovery 1.0, section 3, as far as it is used."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    authorization_response_iss_parameter_supported: bool = False
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)


class _Tokens(BaseModel):
    id_token: _Text


class _Audience(BaseModel):
    """Who an ID token is for: `azp` is there when there are several."""

    aud: str | tuple[str, ...]
    azp: str | None = None
    iat: int
    exp: int
    nonce: Annotated[str, Field(max_length=200)]


class Provider:
    """Thread-safe. `now_s` is the wall clock, seconds since 1970."""

    def __init__(self, settings: OidcSettings, now_s: Callable[[], float]) -> None:
        self.settings = settings
        self._now_s = now_s
        self._lock = threading.Lock()
        self._metadata: tuple[float, _Metadata] | None = None
        self._keys: tuple[float, KeySet] | None = None

    def address(self, started: Started) -> str:
        """Where the browser is sent to.

        Raises:
            ProviderError: if the provider cannot be asked for its addresses.
        """
        challenge = base64.urlsafe_b64encode(hashlib.sha256(started.verifier.encode()).digest()).rstrip(b"=").decode()
        query = {
            "response_type": "code",
            "client_id": self.settings.client_id,
            "redirect_uri": self.settings.redirect_uri,
            "scope": "openid",
            "state": started.state,
            "nonce": started.nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        endpoint = self._discovered().authorization_endpoint
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(query)}"

    def identity(self, started: Started, answer: Mapping[str, str]) -> Identity:
        """Who came back with this answer (`code`, `state`, `iss`).

        Raises:
            ProviderError: whatever is wrong with it, or with what the provider says of the code.
        """
        if not hmac.compare_digest(answer.get("state", "").encode(), started.state.encode()):
            raise ProviderError("the answer belongs to another log-in")
        if "error" in answer:
            raise ProviderError(f"the provider refused: {answer['error'][:80]!r}")
        metadata = self._discovered()
        issuer = answer.get("iss")
        if issuer != metadata.issuer and (issuer or metadata.authorization_response_iss_parameter_supported):
            raise ProviderError("the answer names another issuer")  # RFC 9207, section 2.4
        if not 0 < len(answer.get("code", "")) <= _MAX_TOKEN_CHARACTERS:
            raise ProviderError("the answer has no code")
        return self._checked(self._exchanged(metadata, answer["code"], started), started)

    # --- The provider's documents

    def _discovered(self) -> _Metadata:
        with self._lock:
            if self._metadata is not None and monotonic() - self._metadata[0] < _KEPT_S:
                return self._metadata[1]
        issuer = self.settings.issuer
        found = self._read(_Metadata, "GET", issuer.rstrip("/") + "/.well-known/openid-configuration")
        if found.issuer != issuer:
            raise ProviderError(f"the provider calls itself {found.issuer[:200]!r}, the configuration {issuer!r}")
        for address in (found.authorization_endpoint, found.token_endpoint, found.jwks_uri):
            self._check_address(address)
        with self._lock:
            self._metadata = monotonic(), found
        return found

    def _check_address(self, address: str) -> None:
        """HTTPS, or loopback where the issuer is: a provider has no business on the hub's own network."""
        parts, issuer = urlsplit(address), urlsplit(self.settings.issuer)
        local = is_loopback(parts.hostname or "") and is_loopback(issuer.hostname or "")
        if parts.scheme != "https" and not (parts.scheme == "http" and local):
            raise ProviderError("the provider names an address that is not https")

    def _key_set(self, *, older_than_s: float) -> KeySet:
        with self._lock:
            if self._keys is not None and monotonic() - self._keys[0] < older_than_s:
                return self._keys[1]
        told = self._ask("GET", self._discovered().jwks_uri)
        try:
            keys = KeySet.import_key_set(told)
        except (JoseError, ValueError, KeyError, TypeError) as error:
            raise ProviderError(f"the provider's keys cannot be read: {type(error).__name__}") from error
        with self._lock:
            self._keys = monotonic(), keys
        return keys

    # --- The ID token

    def _exchanged(self, metadata: _Metadata, code: str, started: Started) -> str:
        secret = _client_secret(self.settings)
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.settings.redirect_uri,
            "code_verifier": started.verifier,
        }
        if "client_secret_basic" in metadata.token_endpoint_auth_methods_supported:
            named = tuple(urlencode({"": each})[1:] for each in (self.settings.client_id, secret))
            return self._read(_Tokens, "POST", metadata.token_endpoint, data=form, auth=named).id_token
        form |= {"client_id": self.settings.client_id, "client_secret": secret}
        return self._read(_Tokens, "POST", metadata.token_endpoint, data=form).id_token

    def _checked(self, token: str, started: Started) -> Identity:
        """OpenID Connect Core 1.0, section 3.1.3.7."""
        claims = self._claims(token)
        try:
            told = _Audience.model_validate(claims)
            identity = Identity.model_validate(claims)
        except ValidationError as error:
            raise ProviderError(f"the ID token lacks claims, or they are no such: {_places(error)}") from error
        audience = (told.aud,) if isinstance(told.aud, str) else told.aud
        now = self._now_s()
        faults = {
            "it is another issuer's": claims.get("iss") != self.settings.issuer,
            "it is for another client": self.settings.client_id not in audience,
            "it was given to another client": (told.azp or self.settings.client_id) != self.settings.client_id
            or (len(audience) > 1 and told.azp is None),
            "it has expired": told.exp + LEEWAY_S <= now,
            "it is of the future": told.iat - LEEWAY_S > now,
            "it is of another log-in": not hmac.compare_digest(told.nonce.encode(), started.nonce.encode()),
        }
        if wrong := [fault for fault, is_so in faults.items() if is_so]:
            raise ProviderError(f"the ID token is refused: {'; '.join(wrong)}")
        return identity

    def _claims(self, token: str) -> dict[str, Any]:
        """What a key of the provider signed; keys that are not known are asked for anew once, since they rotate."""
        for older_than_s in (_KEPT_S, _ASK_AGAIN_S):
            keys = self._key_set(older_than_s=older_than_s)
            try:
                return dict(jwt.decode(token, keys, algorithms=list(ALGORITHMS)).claims)
            except (JoseError, ValueError, KeyError, TypeError) as error:
                fault = error
        raise ProviderError(f"the ID token's signature is not the provider's: {type(fault).__name__}") from fault

    # --- HTTP

    def _read(self, model: type[_Model], method: str, address: str, **more: Any) -> _Model:
        try:
            return model.model_validate(self._ask(method, address, **more))
        except ValidationError as error:
            raise ProviderError(f"the provider's answer is not as it should be: {_places(error)}") from error

    def _ask(self, method: str, address: str, **more: Any) -> Any:
        """The JSON of an answer, read up to a bound of size and time."""
        deadline_s = monotonic() + self.settings.timeout_s
        try:
            with (
                httpx.Client(timeout=self.settings.timeout_s, follow_redirects=False, trust_env=False) as client,
                client.stream(method, address, headers={"Accept": "application/json"}, **more) as answer,
            ):
                body = b""
                for part in answer.iter_bytes():
                    body += part
                    if len(body) > _MAX_BYTES or monotonic() > deadline_s:
                        raise ProviderError("the provider's answer is too long, or takes too long")
                if answer.status_code != httpx.codes.OK:
                    raise ProviderError(f"the provider answers with status {answer.status_code}")
            return json.loads(body)
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, RecursionError) as error:
            raise ProviderError(f"the provider cannot be asked: {type(error).__name__}") from error


def _client_secret(settings: OidcSettings) -> str:
    path = settings.client_secret_file
    try:
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise ProviderError(f"{path}: others may read it; run 'chmod 600 {path}'")
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise ProviderError(f"{path}: the client's secret cannot be read") from error
    if not lines or not lines[0].strip():
        raise ProviderError(f"{path}: it is empty")
    return lines[0].strip()


def _places(error: ValidationError) -> str:
    return ", ".join(".".join(map(str, each["loc"])) for each in error.errors()[:5])
