"""Configuration of a `[[device]]` of kind "zkteco"."""

from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AwareDatetime, Field, IPvAnyAddress, StringConstraints, field_validator, model_validator

from edge.access.device import Device

Serial = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{4,40}$")]


class ZktecoDevice(Device):
    """A ZKTeco controller or terminal that pushes to the gateway; a reader's channel is the door's number."""

    kind: Literal["zkteco"]
    serial: Serial | None = None
    """The serial number on the device's label. Only listed devices are listened to."""
    pairing_until: AwareDatetime | None = None
    """Until then, devices that are not listed are named when they call, so that their serial number can be written
    here. They are refused all the same."""
    listen_host: IPvAnyAddress = IPv4Address("0.0.0.0")
    """Where the gateway listens. Devices with the same host and port share one server."""
    listen_port: Annotated[int, Field(ge=0, le=65535)] = 8081
    """0: any free port, for tests."""
    source_address: IPvAnyAddress | None = None
    """The device's own address; it is refused from any other."""
    time_zone: str | None = None
    """The zone of the device's clock, such as "Asia/Shanghai"; the site's when left out."""
    dialect: Literal["auto", "access", "attendance"] = "auto"
    tls_certificate_file: Path | None = None
    tls_key_file: Path | None = None
    """A file of mode 600."""

    @field_validator("time_zone")
    @classmethod
    def _is_a_zone(cls, name: str | None) -> str | None:
        if name is not None:
            try:
                ZoneInfo(name)
            except (ZoneInfoNotFoundError, ValueError, OSError) as error:
                raise ValueError(f'"{name}" is not a time zone; write one such as "Asia/Shanghai"') from error
        return name

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if self.serial is None and self.pairing_until is None:
            raise ValueError(
                "a device needs its serial number (serial), or an instant until which it may be paired (pairing_until)"
            )
        if (self.tls_certificate_file is None) != (self.tls_key_file is None):
            raise ValueError("TLS needs both tls_certificate_file and tls_key_file")
        return self
