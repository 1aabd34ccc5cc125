"""What the configuration of every device has in common, whatever its make."""

from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from protocols.base import DeviceId


class Device(BaseModel):
    """A `[[device]]` table. Each make adds its own keys (`edge/access/drivers/*/config.py`)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    CHANNELS: ClassVar[int] = 64
    """How many doors, and so readers, a device of this make has at most."""

    id: DeviceId
