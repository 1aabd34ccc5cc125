"""The gateway's half of enrolment: from a one-time code to `identity.json`.

The code's secret and the keys are never sent, logged or shown; see `protocols.enrolment` for why it is safe over HTTP.
"""

from pathlib import Path
from urllib.parse import urlsplit

import httpx
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import ValidationError

from edge.errors import EnrolmentFailed
from edge.identity import FILE_NAME, StoredIdentity, save_identity
from protocols.base import ProtocolError
from protocols.enrolment import (
    PATH,
    AgreedKeys,
    EnrolmentAnswer,
    EnrolmentCode,
    EnrolmentRequest,
    Grant,
    answer_mac,
    decode_key,
    derive_keys,
    encode_key,
    parse_code,
    request_mac,
    same,
)

TIMEOUT = httpx.Timeout(connect=5.0, read=15.0, write=15.0, pool=5.0)
MAX_ANSWER_BYTES = 64 * 1024
_NONCE_BYTES = 12
_WRONG_CODE = {401, 403, 404, 409, 410}


def enroll(hub_url: str, code_text: str, state_dir: Path, version: str, *, replace: bool = False) -> StoredIdentity:
    """Agree on keys with the hub and keep them in `state_dir`.

    Raises:
        EnrolmentFailed: naming what is wrong and what helps.
        IdentityError: if the identity cannot be written.
    """
    hub_url = _checked_url(hub_url)
    path = state_dir / FILE_NAME
    if path.exists() and not replace:
        raise EnrolmentFailed(f"{path}: this gateway is enrolled already; --replace makes it a new one")
    try:
        code = parse_code(code_text)
    except ProtocolError as error:
        raise EnrolmentFailed(f"{error}; copy it as `gatehouse hub gateways add` printed it") from error
    private = X25519PrivateKey.generate()
    public = encode_key(private.public_key().public_bytes_raw())
    request = EnrolmentRequest(
        code_name=code.name, exchange_key=public, version=version, mac=request_mac(code, public, version)
    )
    answer = _ask(hub_url, request)
    identity = _identity(hub_url, code, private, request, answer)
    save_identity(state_dir, identity)
    return identity


def _checked_url(text: str) -> str:
    parts = urlsplit(text.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/") or parts.query:
        raise EnrolmentFailed(f"{text!r} is not a hub's address; write for example http://hub.example:8080")
    if parts.username or parts.password:
        raise EnrolmentFailed("the hub's address holds no user name or password; the code is all that is needed")
    return f"{parts.scheme}://{parts.netloc}"


def _ask(hub_url: str, request: EnrolmentRequest) -> EnrolmentAnswer:
    try:
        with (
            httpx.Client(timeout=TIMEOUT, follow_redirects=False) as client,
            client.stream(
                "POST",
                hub_url + PATH,
                content=request.model_dump_json(),
                headers={"Content-Type": "application/json"},
            ) as response,
        ):
            body = bytearray()
            for chunk in response.iter_bytes(8192):
                body += chunk
                if len(body) > MAX_ANSWER_BYTES:
                    raise EnrolmentFailed(f"{hub_url}: the answer is too long for a hub's; check the address")
            status = response.status_code
    except httpx.HTTPError as error:
        cause = str(error) or type(error).__name__
        raise EnrolmentFailed(f"{hub_url}: no answer ({cause}); check the address and that the hub runs") from error
    if status in _WRONG_CODE:
        raise EnrolmentFailed(
            "the hub does not accept this code: it is wrong, used or expired; "
            "make a new one with `gatehouse hub gateways add`"
        )
    if status == httpx.codes.TOO_MANY_REQUESTS:
        raise EnrolmentFailed(f"{hub_url}: too many attempts for now; wait some minutes, then try again")
    if status != httpx.codes.OK:
        raise EnrolmentFailed(f"{hub_url}: the hub answers {status}; check the address, or see the hub's log")
    try:
        return EnrolmentAnswer.model_validate_json(bytes(body))
    except ValidationError as error:
        raise EnrolmentFailed(f"{hub_url}: what answers there is not a hub; check the address") from error


def _identity(
    hub_url: str,
    code: EnrolmentCode,
    private: X25519PrivateKey,
    request: EnrolmentRequest,
    answer: EnrolmentAnswer,
) -> StoredIdentity:
    expected = answer_mac(code, request, answer.exchange_key, answer.hub_key, answer.box)
    if not same(expected, answer.mac):
        raise EnrolmentFailed(
            f"{hub_url}: the answer does not prove that it knows the code; something else answers in the hub's place, "
            "or the code was mistyped"
        )
    try:
        shared = private.exchange(X25519PublicKey.from_public_bytes(decode_key(answer.exchange_key)))
        keys = derive_keys(code, shared, request, answer.exchange_key)
        grant = _opened(answer, keys)
    except (ValueError, InvalidTag) as error:
        raise EnrolmentFailed(f"{hub_url}: the hub's answer cannot be opened; make a new code and try again") from error
    return StoredIdentity(
        gateway=grant.gateway,
        key_id=grant.key_id,
        message_key=encode_key(keys.message_key),
        card_key=encode_key(keys.card_key),
        hub_url=hub_url,
        hub_key=answer.hub_key,
        broker=grant.broker,
    )


def _opened(answer: EnrolmentAnswer, keys: AgreedKeys) -> Grant:
    box = decode_key(answer.box)
    return Grant.model_validate_json(AESGCM(keys.box_key).decrypt(box[:_NONCE_BYTES], box[_NONCE_BYTES:], None))
