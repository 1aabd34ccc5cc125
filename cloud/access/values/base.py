"""What the values of door management have in common: names, reasons, minutes of a day, and their examples."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from protocols.base import DeviceId, GatewayId

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=120)]
Why = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)]
DayMinute = Annotated[int, Field(ge=0, le=24 * 60)]


def example(**fields: Any) -> ConfigDict:
    """A frozen value that refuses what it does not know, with these fields as its example in the OpenAPI document."""
    return ConfigDict(frozen=True, extra="forbid", json_schema_extra={"examples": [fields]})


class DoorKeyValue(BaseModel):
    """A door as its gateway names it."""

    model_config = example(gateway="gw-east", device="d-lobby")
    gateway: GatewayId
    device: DeviceId
