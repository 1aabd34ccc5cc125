"""What the hub believes of a provider of log-ins, and what not."""

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from time import time
from typing import Any
from urllib.parse import parse_qs, unquote_plus, urlsplit

import pytest
from pydantic import ValidationError

from cloud.sign_on.provider import Provider, ProviderError, Started
from cloud.sign_on.settings import OidcSettings
from tests.peers.oidc import CLIENT, SECRET, Key, LyingProvider

HUB = "http://127.0.0.1:8080"
Claims = dict[str, Any]


@pytest.fixture
def lying() -> Iterator[LyingProvider]:
    provider = LyingProvider()
    yield provider
    provider.close()


@pytest.fixture
def secret_file(tmp_path: Path) -> Path:
    path = tmp_path / "oidc.secret"
    path.write_text(SECRET + "\n")
    path.chmod(0o600)
    return path


@pytest.fixture
def provider(lying: LyingProvider, secret_file: Path) -> Provider:
    settings = OidcSettings(issuer=lying.issuer, client_id=CLIENT, client_secret_file=secret_file, public_url=HUB)
    return Provider(settings, time)


def came_back(provider: Provider, lying: LyingProvider, **answer: str) -> Any:
    started = Started.anew()
    lying.nonce = started.nonce
    return provider.identity(started, {"code": "c-1", "state": started.state} | answer)


def test_who_logs_in_is_asked_for_with_a_proof_key_and_known_by_the_subject(
    provider: Provider, lying: LyingProvider
) -> None:
    started = Started.anew()
    query = parse_qs(urlsplit(provider.address(started)).query)
    assert query["redirect_uri"] == [f"{HUB}/login/oidc/return"]
    assert (query["scope"], query["response_type"], query["code_challenge_method"]) == (["openid"], ["code"], ["S256"])
    lying.nonce = started.nonce
    identity = provider.identity(started, {"code": "c-1", "state": started.state})
    assert (identity.sub, identity.amr) == ("u-1", ())
    [(form, authorization)] = lying.exchanges
    assert form["code_verifier"] == [started.verifier]
    assert form["code"] == ["c-1"]
    name, _, secret = base64.b64decode(authorization.removeprefix("Basic ")).decode().partition(":")
    assert (unquote_plus(name), unquote_plus(secret)) == (CLIENT, SECRET)  # RFC 6749, section 2.3.1


def _changed(**changes: Any) -> Callable[[LyingProvider, Claims], str]:
    return lambda lying, claims: lying.key.token({**claims, **changes})


def _without(name: str) -> Callable[[LyingProvider, Claims], str]:
    return lambda lying, claims: lying.key.token({key: value for key, value in claims.items() if key != name})


def _unsigned(lying: LyingProvider, claims: Claims) -> str:
    head, body, _ = lying.key.token(claims, alg="none").split(".")
    return f"{head}.{body}."


def _by_hmac(lying: LyingProvider, claims: Claims) -> str:
    """The published key taken for a shared secret."""
    return lying.key.token(claims, alg="HS256")


def _altered(lying: LyingProvider, claims: Claims) -> str:
    head, _, signature = lying.key.token(claims).split(".")
    body = base64.urlsafe_b64encode(json.dumps({**claims, "sub": "somebody-else"}).encode()).rstrip(b"=").decode()
    return f"{head}.{body}.{signature}"


LIES: dict[str, Callable[[LyingProvider, Claims], str]] = {
    "another issuer": _changed(iss="http://127.0.0.1:1"),
    "another client": _changed(aud="somebody"),
    "two clients, given to nobody": _changed(aud=[CLIENT, "somebody"]),
    "two clients, given to the other": _changed(aud=[CLIENT, "somebody"], azp="somebody"),
    "expired": _changed(exp=int(time()) - 61),
    "of the future": _changed(iat=int(time()) + 3600),
    "another log-in": _changed(nonce="n"),
    "no nonce": _without("nonce"),
    "no end": _without("exp"),
    "no subject": _without("sub"),
    "an empty subject": _changed(sub=""),
    "a subject that is no text": _changed(sub=["u-1"]),
    "unsigned": _unsigned,
    "by a shared secret": _by_hmac,
    "altered": _altered,
    "by a key that is not published": lambda lying, claims: Key("k1").token(claims),
    "no token": lambda lying, claims: "x",
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_a_token_that_lies_is_refused(
    provider: Provider, lying: LyingProvider, lie: Callable[[LyingProvider, Claims], str]
) -> None:
    lying.token = lambda claims: lie(lying, claims)
    with pytest.raises(ProviderError):
        came_back(provider, lying)
    lying.token = lambda claims: lying.key.token({**claims, "exp": int(time()) - 30})  # clocks differ a little
    assert came_back(provider, lying).sub == "u-1"


def test_a_key_that_was_changed_is_asked_for_anew(
    provider: Provider, lying: LyingProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert came_back(provider, lying).sub == "u-1"
    lying.key = Key("k2")
    lying.keys = [lying.key.published]
    with pytest.raises(ProviderError, match="signature"):
        came_back(provider, lying)  # the keys were read a moment ago
    assert lying.key_reads == 1
    monkeypatch.setattr("cloud.sign_on.provider._ASK_AGAIN_S", 0.0)
    assert came_back(provider, lying).sub == "u-1"
    assert lying.key_reads == 2


@pytest.mark.parametrize(
    "answer",
    [{"state": "another"}, {"code": ""}, {"error": "access_denied"}, {"iss": "http://127.0.0.1:1"}],
    ids=["another log-in's state", "no code", "an error", "another issuer"],
)
def test_an_answer_that_does_not_fit_is_refused_before_the_code_is_used(
    provider: Provider, lying: LyingProvider, answer: dict[str, str]
) -> None:
    with pytest.raises(ProviderError):
        came_back(provider, lying, **answer)
    assert lying.exchanges == []


@pytest.mark.parametrize(
    "metadata",
    [
        {"issuer": "https://somebody.example"},
        {"token_endpoint": "http://192.0.2.7/token"},
        {"jwks_uri": "file:///etc/passwd"},
        {"authorization_endpoint": "javascript:alert(1)"},
        {"token_endpoint": None},
    ],
)
def test_a_provider_that_names_other_places_is_not_followed(
    provider: Provider, lying: LyingProvider, metadata: dict[str, Any]
) -> None:
    lying.metadata = metadata
    with pytest.raises(ProviderError):
        came_back(provider, lying)
    assert lying.exchanges == []


@pytest.mark.parametrize("body", [b"x" * 300_000, b"[]", b"{", b"[" * 100_000, b"\xff"])
def test_an_answer_without_end_or_sense_is_refused(provider: Provider, lying: LyingProvider, body: bytes) -> None:
    lying.body = body
    with pytest.raises(ProviderError):
        provider.address(Started.anew())


def test_no_redirect_is_followed(provider: Provider, lying: LyingProvider) -> None:
    lying.redirects_to = f"{lying.issuer}/elsewhere"
    with pytest.raises(ProviderError, match="302"):
        provider.address(Started.anew())


def test_a_secret_that_others_may_read_is_not_used(provider: Provider, lying: LyingProvider, secret_file: Path) -> None:
    secret_file.chmod(0o640)
    with pytest.raises(ProviderError, match="chmod 600"):
        came_back(provider, lying)


@pytest.mark.parametrize(("key", "address"), [("issuer", "http://id.example"), ("public_url", "http://hub.example")])
def test_what_others_could_listen_to_is_refused(secret_file: Path, key: str, address: str) -> None:
    right = {"issuer": "https://id.example", "public_url": "https://hub.example"}
    settings = {"client_id": CLIENT, "client_secret_file": secret_file}
    assert OidcSettings(**right, **settings).redirect_uri == "https://hub.example/login/oidc/return"
    with pytest.raises(ValidationError, match="not https"):
        OidcSettings(**right | {key: address}, **settings)
