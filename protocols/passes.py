"""The QR code of a pass: a short-lived token that the hub signs (Ed25519) and any door of the site checks by itself.

    GQ1.<base64url of the JSON body>.<key id>.<base64url of the signature>

The signature covers everything before its last dot. It names a site, doors, a window and a number of uses, no person.
"""

import base64
import binascii
from datetime import datetime, timedelta
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import Field, ValidationError, model_validator

from protocols.base import DeviceId, GatewayId, Hex128, Instant, Message, ProtocolError, explain
from protocols.sealing import Sign, Verify

MAX_TOKEN_CHARACTERS = 1200
"""What fits a QR code of version 25 at level L, and readers that cut longer ones short are told apart."""

MAX_LIFETIME = timedelta(days=31)
_PREFIX = "GQ1"


class BadToken(ProtocolError):
    """Not a token, or not one of this hub."""


class PassToken(Message):
    """What a pass grants. `ref` is the pass in the register; `uses` are counted at each gateway."""

    v: Literal[1] = 1
    ref: UUID
    site: GatewayId
    """The gateway whose doors it opens."""
    doors: Annotated[tuple[DeviceId, ...], Field(min_length=1, max_length=32)]
    since: Instant
    until: Instant
    days: Annotated[tuple[Annotated[int, Field(ge=0, le=6)], ...], Field(max_length=7)] = ()
    """Weekdays on which it opens (Monday 0); none: on all."""
    hours: tuple[Annotated[int, Field(ge=0, le=1440)], Annotated[int, Field(ge=0, le=1440)]] | None = None
    """From minute to minute after local midnight; None: the whole day."""
    uses: Annotated[int, Field(ge=1, le=1000)] | None = None
    offline_s: Annotated[int, Field(ge=0, le=366 * 86_400)] | None = None
    """As `CredentialRow.offline_s`."""
    holder: Hex128 | None = None
    """As `CredentialRow.holder`."""

    @model_validator(mode="after")
    def _has_a_window(self) -> Self:
        if not self.since < self.until <= self.since + MAX_LIFETIME:
            raise ValueError(f"a token is valid for {MAX_LIFETIME.days} days at the most")
        return self

    def covers(self, moment: datetime, skew: timedelta) -> bool:
        """Whether `moment` lies within the window, widened by `skew` on both sides."""
        return self.since - skew <= moment < self.until + skew


def write_token(token: PassToken, key_id: str, sign: Sign) -> str:
    """The text of the QR code."""
    body = _encode(token.model_dump_json(exclude_defaults=True).encode())
    signed = f"{_PREFIX}.{body}.{key_id}"
    return f"{signed}.{_encode(sign(signed.encode()))}"


def read_token(text: str, verify: Verify) -> PassToken:
    """The token in a QR code.

    Raises:
        BadToken: if it is none, too long, or not signed by a key that `verify` knows.
    """
    if len(text) > MAX_TOKEN_CHARACTERS:
        raise BadToken(f"longer than {MAX_TOKEN_CHARACTERS} characters")
    parts = text.split(".")
    if len(parts) != 4 or parts[0] != _PREFIX:
        raise BadToken("this is no pass")
    signed = text.rpartition(".")[0].encode()
    if not verify(parts[2], signed, _decode(parts[3])):
        raise BadToken("the hub did not sign this pass")
    try:
        return PassToken.model_validate_json(_decode(parts[1]))
    except ValidationError as error:
        raise BadToken(explain(error)) from error


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadToken("this is no pass") from error
