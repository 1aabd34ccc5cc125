"""`[web.oidc]` of the hub's configuration."""

import ipaddress
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

RETURN_PATH = "/login/oidc/return"
_Address = Annotated[str, StringConstraints(pattern=r"^https?://[^\s?#]+$", max_length=500)]


class OidcSettings(BaseModel):
    """The provider, and what this hub is to it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    issuer: _Address
    """As the provider names itself, letter for letter."""
    client_id: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    client_secret_file: Path
    """Of mode 600; its first line is the secret."""
    public_url: _Address
    """Under which browsers reach this hub. With `/login/oidc/return` behind it, register it with the provider."""
    name: Annotated[str, StringConstraints(min_length=1, max_length=60)] = "OpenID Connect"
    """What the button calls it."""
    second_factor: frozenset[str] = frozenset()
    """Methods (`amr`, RFC 8176) of which one stands for the hub's own second factor, such as `mfa` or `hwk`. Empty: who
    needs a second factor logs in with the password."""
    timeout_s: Annotated[float, Field(gt=0, le=30)] = 5.0

    @model_validator(mode="after")
    def _sealed_on_the_way(self) -> Self:
        for key in ("issuer", "public_url"):
            address = urlsplit(getattr(self, key))
            if address.scheme != "https" and not is_loopback(address.hostname or ""):
                raise ValueError(f"{key} is not https: who listens on the way could log in; only loopback may be http")
        return self

    @property
    def redirect_uri(self) -> str:
        return self.public_url.rstrip("/") + RETURN_PATH


def is_loopback(host: str) -> bool:
    """Whether it names this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
