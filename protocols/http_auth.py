"""How a gateway proves itself to the hub over HTTP (snapshots of credentials, pictures): one header.

    Authorization: Gatehouse <gateway> <unix seconds> <base64url HMAC-SHA256>

The code covers the method, the path, the time and the body's SHA-256, under the gateway's message key.
"""

import hashlib
import hmac

from protocols.base import ProtocolError
from protocols.enrolment import encode_key

SCHEME = "Gatehouse"
ACCEPTED_SKEW_S = 300


def authorise(gateway: str, secret: bytes, method: str, path: str, body: bytes, unix_s: int) -> str:
    """The header's value for one request."""
    return f"{SCHEME} {gateway} {unix_s} {_code(gateway, secret, method, path, body, unix_s)}"


def claimed_gateway(header: str) -> str:
    """Which gateway a header says it is from, before its key is looked up.

    Raises:
        ProtocolError: if it is no such header.
    """
    words = header.split(" ")
    if len(words) != 4 or words[0] != SCHEME:
        raise ProtocolError(f"no '{SCHEME} gateway time code' header")
    return words[1]


def check(header: str, secret: bytes, method: str, path: str, body: bytes, now_unix_s: float) -> None:
    """Check a header against the request.

    Raises:
        ProtocolError: if it is older or newer than `ACCEPTED_SKEW_S`, or its code does not fit.
    """
    gateway = claimed_gateway(header)
    _, _, stamp, code = header.split(" ")
    if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 12):
        raise ProtocolError("unreadable time in the header")
    wanted = _code(gateway, secret, method, path, body, int(stamp))
    if not hmac.compare_digest(wanted.encode(), code.encode()):
        raise ProtocolError("the header's code does not fit the request")
    if abs(now_unix_s - int(stamp)) > ACCEPTED_SKEW_S:
        raise ProtocolError(f"the request's time is more than {ACCEPTED_SKEW_S} s from the hub's")


def _code(gateway: str, secret: bytes, method: str, path: str, body: bytes, unix_s: int) -> str:
    text = f"gatehouse http 1\n{gateway}\n{method}\n{path}\n{unix_s}\n{hashlib.sha256(body).hexdigest()}"
    return encode_key(hmac.digest(secret, text.encode(), "sha256"))
