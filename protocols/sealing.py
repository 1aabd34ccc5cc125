"""How a message is protected: one head line, then the JSON body as it is.

    gh1 <algorithm> <key id> <base64url of the code>\\n
    {"v":1, ...}

The code covers the head's first three words, the topic and the body, so a message can neither be altered nor moved to
another topic, which names its gateway. Events, presence, questions and answers carry HMAC-SHA256 (RFC 2104) under the
gateway's own key; commands, receipts, the hub's state, configuration and credentials carry the hub's Ed25519 signature
(RFC 8032). The body is never re-encoded, so no canonical JSON is needed. Signing and verifying are passed in: this
package holds no cryptography but the standard library's.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field

from protocols.base import MAX_MESSAGE_BYTES, ProtocolError

HMAC_SHA256 = "hmac-sha256"
ED25519 = "ed25519"
_MAGIC = "gh1"
_MAX_HEAD_BYTES = 256

Sign = Callable[[bytes], bytes]
Verify = Callable[[str, bytes, bytes], bool]
"""(key id, signed bytes, signature) -> whether a known key of that id made it."""


class BadSeal(ProtocolError):
    """The code does not fit: an unknown key, an altered message, or one meant for another topic."""


@dataclass(frozen=True)
class MacKey:
    """A gateway's symmetric key. Its `repr` never shows the secret."""

    key_id: str
    secret: bytes = field(repr=False)


def _covered(algorithm: str, key_id: str, topic: str, body: bytes) -> bytes:
    return f"{_MAGIC} {algorithm} {key_id}\n{topic}\n".encode() + body


def _frame(algorithm: str, key_id: str, code: bytes, body: bytes) -> bytes:
    text = base64.urlsafe_b64encode(code).rstrip(b"=").decode()
    return f"{_MAGIC} {algorithm} {key_id} {text}\n".encode() + body


def _split(payload: bytes, limit_bytes: int) -> tuple[str, str, bytes, bytes]:
    if len(payload) > limit_bytes:
        raise ProtocolError(f"message of {len(payload)} bytes is larger than {limit_bytes}")
    end = payload.find(b"\n", 0, _MAX_HEAD_BYTES)
    words = payload[: max(end, 0)].split(b" ")
    if end < 0 or len(words) != 4 or words[0] != _MAGIC.encode():
        raise ProtocolError(f"no '{_MAGIC} algorithm key code' line at the message's head")
    try:
        algorithm, key_id = words[1].decode("ascii"), words[2].decode("ascii")
        code = base64.b64decode(words[3] + b"=" * (-len(words[3]) % 4), altchars=b"-_", validate=True)
    except (UnicodeDecodeError, binascii.Error) as error:
        raise ProtocolError(f"unreadable message head: {error}") from error
    return algorithm, key_id, code, payload[end + 1 :]


def seal_with_mac(topic: str, body: bytes, key: MacKey) -> bytes:
    """Frame `body` for `topic` under a gateway's key."""
    code = hmac.digest(key.secret, _covered(HMAC_SHA256, key.key_id, topic, body), "sha256")
    return _frame(HMAC_SHA256, key.key_id, code, body)


def open_with_mac(topic: str, payload: bytes, key: MacKey) -> bytes:
    """The body of a message that the holder of `key` sealed for `topic`.

    Raises:
        BadSeal: if another key, topic or body was sealed (compared in constant time).
        ProtocolError: if it is no sealed message at all, or too large.
    """
    algorithm, key_id, code, body = _split(payload, MAX_MESSAGE_BYTES)
    if algorithm != HMAC_SHA256 or key_id != key.key_id:
        raise BadSeal(f"sealed with {algorithm} key {key_id!r}, expected {HMAC_SHA256} key {key.key_id!r}")
    wanted = hmac.digest(key.secret, _covered(algorithm, key_id, topic, body), "sha256")
    if not hmac.compare_digest(wanted, code):
        raise BadSeal("the message's code does not fit its content and topic")
    return body


def seal_with_signature(topic: str, body: bytes, key_id: str, sign: Sign) -> bytes:
    """Frame `body` for `topic` under the hub's signature."""
    return _frame(ED25519, key_id, sign(_covered(ED25519, key_id, topic, body)), body)


def open_with_signature(topic: str, payload: bytes, verify: Verify, limit_bytes: int = MAX_MESSAGE_BYTES) -> bytes:
    """The body of a message that the hub signed for `topic`.

    Raises:
        BadSeal: if the hub did not sign this body for this topic.
        ProtocolError: if it is no sealed message at all, or larger than `limit_bytes`.
    """
    algorithm, key_id, signature, body = _split(payload, limit_bytes)
    if algorithm != ED25519:
        raise BadSeal(f"sealed with {algorithm}, expected {ED25519}")
    if not verify(key_id, _covered(algorithm, key_id, topic, body), signature):
        raise BadSeal(f"the hub's key {key_id!r} did not sign this message for this topic")
    return body


def fingerprint(public_key: bytes) -> str:
    """The key id of a public key: the first 16 hex digits of its SHA-256."""
    return hashlib.sha256(public_key).hexdigest()[:16]
