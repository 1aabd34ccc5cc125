"""Configuration of a `[[device]]` of kind "virtual"."""

from typing import Literal

from edge.access.device import Device


class VirtualDevice(Device):
    """A made-up device for the demo and for tests, told what to do over a local socket."""

    kind: Literal["virtual"]
