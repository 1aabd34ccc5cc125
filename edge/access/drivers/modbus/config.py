"""Configuration of a `[[device]]` of kind "modbus"."""

from enum import StrEnum
from typing import Annotated, ClassVar, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from edge.access.device import Device

Address = Annotated[int, Field(ge=0, le=65535)]
"""As on the wire, from 0: a manual's coil 00001 or input 10001 is address 0."""
Host = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9.:_-]{1,253}$")]
Pair = Annotated[tuple[int, ...], Field(min_length=2, max_length=2)]


class InputTable(StrEnum):
    """Where an input is read from."""

    DISCRETE = "discrete"
    """Discrete inputs (function 2)."""
    COIL = "coil"
    """Coils (function 1), of devices that show their inputs there."""


class ModbusInput(BaseModel):
    """One input contact."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    address: Address
    table: InputTable = InputTable.DISCRETE
    inverted: bool = False
    """True where the device reads 1 while the contact is at rest."""


def _from_number(value: object) -> object:
    return {"address": value} if isinstance(value, int) else value


class ModbusDevice(Device):
    """A barrier, a lift or an I/O block over Modbus TCP; it has one reader, of channel 1."""

    CHANNELS: ClassVar[int] = 1

    kind: Literal["modbus"]
    host: Host
    port: Annotated[int, Field(ge=1, le=65535)] = 502
    unit: Annotated[int, Field(ge=0, le=255)] = 1
    """The unit (slave) number; behind a gateway to a serial line that of the station."""
    outputs: Annotated[tuple[Address, ...], Field(min_length=1, max_length=16)]
    """Coil addresses: output 0 is the first. They belong to this gateway alone; it switches them off as it starts."""
    inputs: Annotated[
        tuple[Annotated[ModbusInput, BeforeValidator(_from_number)], ...],
        Field(max_length=16),
    ] = ()
    """Input 0 is the first; a bare number is the address of a discrete input."""
    poll_s: Annotated[float, Field(ge=0.1, le=5.0)] = 0.2
    timeout_s: Annotated[float, Field(ge=0.2, le=5.0)] = 1.0
    """So long the device may take to connect and to answer."""
    interlocked: Annotated[tuple[Pair, ...], Field(max_length=8)] = ()
    """Pairs of outputs that are never on together, such as a barrier's up and down."""
    min_off_s: Annotated[float, Field(ge=0.0, le=5.0)] = 0.5
    """Of an interlocked pair one is off for so long before the other goes on."""
    watchdog_register: Address | None = None
    """A holding register that is given another number every second while the gateway lives."""

    @model_validator(mode="after")
    def _outputs_exist_once(self) -> Self:
        if len(set(self.outputs)) != len(self.outputs):
            raise ValueError("outputs: a coil address stands there twice; give each output a coil of its own")
        for pair in self.interlocked:
            if pair[0] == pair[1] or not all(0 <= output < len(self.outputs) for output in pair):
                raise ValueError(
                    f"interlocked: {list(pair)} is not two different outputs (there are 0 to {len(self.outputs) - 1})"
                )
        return self
