"""Configuration of a `[[device]]` of kind "hikvision"."""

from typing import Literal

from edge.access.device import Device


class HikvisionTerminal(Device):
    """A Hikvision door terminal or intercom, over ISAPI; a reader's channel is the door's number."""

    kind: Literal["hikvision"]
