"""Configuration of a `[[device]]` of kind "virtual"."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from edge.access.device import Device

MAX_OUTPUTS = 16


class VirtualDevice(Device):
    """A made-up device for the demo and for tests, told what to do over a local socket."""

    kind: Literal["virtual"]
    socket: Annotated[str, StringConstraints(pattern=r"^/[^\x00]{1,99}$")]
    """Where it listens: an absolute path, of at most 100 bytes. Only the gateway's own user may connect."""
    inputs: Annotated[int, Field(ge=0, le=16)] = 2
    """How many inputs each of its readers has; all are inactive at the start."""
