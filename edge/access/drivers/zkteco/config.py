"""Configuration of a `[[device]]` of kind "zkteco"."""

from typing import Literal

from edge.access.device import Device


class ZktecoDevice(Device):
    """A ZKTeco controller or terminal that pushes to the gateway; a reader's channel is the door's number."""

    kind: Literal["zkteco"]
