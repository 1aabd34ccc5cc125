"""Configuration of a `[[device]]` of kind "onvif"."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from edge.access.device import Device

Token = Annotated[str, StringConstraints(pattern=r"^[!-~]([ -~]{0,62}[!-~])?$")]
Host = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,253}$")]


class OnvifInput(BaseModel):
    """One digital input."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    token: Token
    inverted: bool = False
    """True where the device says "active" while the contact is at rest."""


def _from_token(value: object) -> object:
    return {"token": value} if isinstance(value, str) else value


class OnvifDevice(Device):
    """An ONVIF camera or intercom with relays and digital inputs; it has one reader, of channel 1."""

    CHANNELS: ClassVar[int] = 1

    kind: Literal["onvif"]
    host: Host
    port: Annotated[int, Field(ge=1, le=65535)] = 80
    username: Annotated[str, StringConstraints(pattern=r"^[ -~]{1,64}$")]
    password_file: Path
    """A file of mode 600 that holds the user's password."""
    https: bool = False
    certificate: Path | None = None
    """HTTPS: the device's own certificate (PEM), which is then the only one that is taken; without it the machine's
    certificate authorities decide."""
    relays: Annotated[tuple[Token, ...], Field(max_length=16)] = ()
    """Tokens: output 0 is the first. Empty: all that the device has, in its order."""
    inputs: Annotated[tuple[Annotated[OnvifInput, BeforeValidator(_from_token)], ...], Field(max_length=16)] = ()
    """Input 0 is the first; a bare text is a token. Without any, the device's events are not read."""
    timeout_s: Annotated[float, Field(ge=0.5, le=10.0)] = 3.0
    """So long the device may take to connect and to answer."""
