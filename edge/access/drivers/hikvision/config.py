"""Configuration of a `[[device]]` of kind "hikvision"."""

from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from edge.access.device import Device


class EventMode(StrEnum):
    """How events come."""

    STREAM = "stream"
    """The gateway holds a long request open (`alertStream`)."""
    LISTENING = "listening"
    """The device sends each event to a small HTTP server of the gateway's."""


def _address(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        raise ValueError(f"{text!r} is no IP address; write one such as 192.168.1.10") from None


Host = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]([A-Za-z0-9.:-]{0,252}[A-Za-z0-9])?$")]
Address = Annotated[str, AfterValidator(_address)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^([0-9a-fA-F]{2}:?){31}[0-9a-fA-F]{2}$")]
Port = Annotated[int, Field(ge=1, le=65535)]


class HikvisionTerminal(Device):
    """A Hikvision door terminal or intercom, over ISAPI; a reader's channel is the door's number."""

    kind: Literal["hikvision"]
    host: Host
    port: Port | None = None
    """80, or 443 with `https`."""
    https: bool = False
    ca_file: Path | None = None
    """With https: the authority's (or the device's own) certificate, PEM."""
    certificate_sha256: Sha256 | None = None
    """With https: the device's certificate must be this one (`openssl x509 -fingerprint -sha256`), under any name."""
    username: Annotated[str, StringConstraints(pattern=r"^[!-9;-~]{1,32}$")]
    password_file: Path
    """A file of mode 600."""
    mode: EventMode = EventMode.STREAM
    silent_after_s: Annotated[float, Field(ge=1.0, le=600.0)] = 45.0
    """A stream without event or heartbeat for so long is opened anew; while listening, the device is asked so often."""
    listen_address: Address | None = None
    """Mode "listening": the gateway's own address that the device can reach."""
    listen_port: Annotated[int, Field(ge=0, le=65535)] = 0
    """Mode "listening": one of its own for each device; 0: any that is free."""
    announce_address: Address | None = None
    """Mode "listening": the address to tell the device, where it is not `listen_address` (behind a port mapping)."""
    host_slot: Annotated[int, Field(ge=1, le=8)] = 1
    """Mode "listening": which of the device's event hosts is the gateway's."""

    @property
    def web_port(self) -> int:
        return self.port or (443 if self.https else 80)

    @property
    def announced(self) -> str:
        """The address that the device sends to."""
        return self.announce_address or self.listen_address or ""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if not self.https and (self.ca_file or self.certificate_sha256):
            raise ValueError("ca_file and certificate_sha256 need https = true")
        if self.ca_file and self.certificate_sha256:
            raise ValueError("give ca_file or certificate_sha256, not both")
        if self.mode is EventMode.LISTENING:
            if self.listen_address is None:
                raise ValueError('mode = "listening" needs listen_address, an address of the gateway')
            if ip_address(self.announced).is_unspecified:
                raise ValueError(f"the device cannot send to {self.announced}; give announce_address")
        elif self.listen_address or self.listen_port or self.announce_address:
            raise ValueError('listen_address, listen_port and announce_address need mode = "listening"')
        return self
