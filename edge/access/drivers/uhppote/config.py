"""Configuration of a `[[device]]` of kind "uhppote"."""

from typing import Literal

from edge.access.device import Device


class UhppoteBoard(Device):
    """A UHPPOTE board with one, two or four doors; a reader's channel is the door's number on it."""

    kind: Literal["uhppote"]
