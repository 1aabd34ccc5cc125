"""Configuration of a `[[device]]` of kind "modbus"."""

from typing import Literal

from edge.access.device import Device


class ModbusDevice(Device):
    """A barrier, a lift or an I/O block over Modbus TCP; it has one reader, of channel 1."""

    kind: Literal["modbus"]
