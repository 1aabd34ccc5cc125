"""Enrolment: a gateway and a hub that share a one-time code agree on keys, also over plain HTTP.

The code is `XXXX-XXXX-XXXX-XXXX-XXXX-XXXX` in Crockford's base 32: the first four characters name it, the other twenty
(100 bits) are a secret that is never sent. The gateway sends its X25519 key (RFC 7748) with an HMAC under the secret;
the hub answers with its own, its Ed25519 key and a box (AES-256-GCM) that holds the broker's credentials, all under an
HMAC of the same secret. Keys come from HKDF-SHA256 (RFC 5869) over the X25519 result, with the secret as salt, so
neither a listener nor one who answers in the hub's place learns or chooses them. The elliptic-curve and AES calls are
the caller's: `edge.enrolment` and `cloud.gateways` hold them.
"""

import base64
import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from protocols.base import GatewayId, Message, ProtocolError

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_SYMBOLS = 24
_NAME_SYMBOLS = 4
_CONFUSABLE = str.maketrans("OIL", "011")
PATH = "/api/v1/enrol"
Base64Key = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{43}$")]
"""32 bytes, base64url without padding."""


@dataclass(frozen=True)
class EnrolmentCode:
    """A one-time code; `repr` never shows its secret."""

    name: str
    secret: str = field(repr=False)

    @property
    def text(self) -> str:
        """As a person reads and types it."""
        whole = self.name + self.secret
        return "-".join(whole[i : i + 4] for i in range(0, _SYMBOLS, 4))


def new_code(random_bytes: Callable[[int], bytes]) -> EnrolmentCode:
    """Make a code from a CSPRNG."""
    symbols = "".join(_ALPHABET[byte & 31] for byte in random_bytes(_SYMBOLS))
    return EnrolmentCode(symbols[:_NAME_SYMBOLS], symbols[_NAME_SYMBOLS:])


def parse_code(text: str) -> EnrolmentCode:
    """Read a code as typed: case, spaces and dashes do not matter, O and I are taken for 0 and 1.

    Raises:
        ProtocolError: without repeating what was typed.
    """
    symbols = "".join(text.upper().split()).replace("-", "").translate(_CONFUSABLE)
    if len(symbols) != _SYMBOLS or any(symbol not in _ALPHABET for symbol in symbols):
        raise ProtocolError(f"an enrolment code has {_SYMBOLS} letters and digits, in six groups of four")
    return EnrolmentCode(symbols[:_NAME_SYMBOLS], symbols[_NAME_SYMBOLS:])


class EnrolmentRequest(Message):
    """POST to `PATH`: the gateway's half. `mac` is `request_mac` over the other fields."""

    v: Literal[1] = 1
    code_name: Annotated[str, StringConstraints(pattern=r"^[0-9A-Z]{4}$")]
    exchange_key: Base64Key
    version: Annotated[str, StringConstraints(max_length=40)]
    mac: Base64Key


class EnrolmentAnswer(Message):
    """The hub's half. `box` is base64url of nonce (12 bytes) and AES-256-GCM of a `Grant`, `mac` is `answer_mac`."""

    v: Literal[1] = 1
    exchange_key: Base64Key
    hub_key: Base64Key
    box: Annotated[str, StringConstraints(max_length=8192)]
    mac: Base64Key


class BrokerAccess(Message):
    """How to reach the broker. `ca_pem` is set when it speaks TLS."""

    host: Annotated[str, StringConstraints(max_length=255)]
    port: Annotated[int, Field(ge=1, le=65535)]
    username: GatewayId
    password: Annotated[str, StringConstraints(min_length=16, max_length=128)]
    ca_pem: str | None = None


class Grant(Message):
    """What the box holds."""

    gateway: GatewayId
    broker: BrokerAccess
    key_id: Annotated[str, StringConstraints(pattern=r"^k[1-9][0-9]{0,5}$")] = "k1"
    """What the agreed message key is called in sealed messages; each enrolment of a gateway counts one up."""


@dataclass(frozen=True)
class AgreedKeys:
    """What both sides derive. `repr` never shows them."""

    message_key: bytes = field(repr=False)
    """HMAC-SHA256 key of events, presence, questions, answers and HTTP requests."""
    card_key: bytes = field(repr=False)
    """Key of `cards.keyed_hash` for this gateway."""
    box_key: bytes = field(repr=False)
    """AES-256-GCM key of the answer's box, used once."""


def derive_keys(code: EnrolmentCode, shared: bytes, request: EnrolmentRequest, hub_exchange_key: str) -> AgreedKeys:
    """HKDF-SHA256 over the X25519 result, bound to both public keys."""
    prk = hmac.digest(code.secret.encode(), shared, "sha256")
    context = f"gatehouse enrolment 1|{request.exchange_key}|{hub_exchange_key}|".encode()
    blocks: list[bytes] = []
    for count in range(1, 4):
        previous = blocks[-1] if blocks else b""
        blocks.append(hmac.digest(prk, previous + context + bytes([count]), "sha256"))
    return AgreedKeys(*blocks)


def request_mac(code: EnrolmentCode, exchange_key: str, version: str) -> str:
    return _mac(code, "request", code.name, exchange_key, version)


def answer_mac(code: EnrolmentCode, request: EnrolmentRequest, exchange_key: str, hub_key: str, box: str) -> str:
    return _mac(code, "answer", request.mac, exchange_key, hub_key, box)


def same(one: str, other: str) -> bool:
    """Compare two codes in constant time."""
    return hmac.compare_digest(one.encode(), other.encode())


def encode_key(key: bytes) -> str:
    """base64url without padding."""
    return base64.urlsafe_b64encode(key).rstrip(b"=").decode()


def decode_key(text: str) -> bytes:
    """The inverse of `encode_key`."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _mac(code: EnrolmentCode, *parts: str) -> str:
    key = hashlib.sha256(b"gatehouse enrolment mac 1|" + code.secret.encode()).digest()
    return encode_key(hmac.digest(key, "\n".join(parts).encode(), "sha256"))
