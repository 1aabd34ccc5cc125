"""What the configuration of every device has in common, whatever its make."""

from pydantic import BaseModel, ConfigDict

from protocols.base import DeviceId


class Device(BaseModel):
    """A `[[device]]` table. Each make adds its own keys (`edge/access/drivers/*/config.py`)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: DeviceId
