"""Configuration of a `[[device]]` of kind "onvif"."""

from typing import Literal

from edge.access.device import Device


class OnvifDevice(Device):
    """An ONVIF camera or intercom with relays and digital inputs; it has one reader, of channel 1."""

    kind: Literal["onvif"]
