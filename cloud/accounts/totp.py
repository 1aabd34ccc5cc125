"""Time-based one-time passwords (RFC 6238: HMAC-SHA-1, 30 s, six digits, which every authenticator program takes)."""

import base64
import hmac
from collections.abc import Iterator
from datetime import datetime
from urllib.parse import quote

STEP_S = 30
DIGITS = 6
SECRET_BYTES = 20
"""As long as the hash (RFC 4226, section 4, R6)."""
DRIFT_STEPS = 1
"""How many steps a clock may be wrong (RFC 6238, section 5.2)."""


def code_at(secret: bytes, step: int, digits: int = DIGITS) -> str:
    """The code of a time step (RFC 4226, section 5.3)."""
    digest = hmac.digest(secret, step.to_bytes(8, "big"), "sha1")
    offset = digest[-1] & 0xF
    number = int.from_bytes(digest[offset : offset + 4], "big") & 0x7FFFFFFF
    return f"{number % 10**digits:0{digits}d}"


def step_at(moment: datetime) -> int:
    """The time step of a moment."""
    return int(moment.timestamp()) // STEP_S


def fitting_steps(secret: bytes, code: str, moment: datetime) -> Iterator[int]:
    """The steps about a moment whose code this is; each is compared in constant time."""
    now = step_at(moment)
    for step in range(now - DRIFT_STEPS, now + DRIFT_STEPS + 1):
        if hmac.compare_digest(code_at(secret, step).encode(), code.encode()):
            yield step


def secret_text(secret: bytes) -> str:
    """A secret as it is typed into an authenticator program (base32, RFC 4648)."""
    return base64.b32encode(secret).decode().rstrip("=")


def setup_uri(secret: bytes, username: str) -> str:
    """What an authenticator program reads from a QR code."""
    return f"otpauth://totp/Gatehouse:{quote(username)}?secret={secret_text(secret)}&issuer=Gatehouse"
