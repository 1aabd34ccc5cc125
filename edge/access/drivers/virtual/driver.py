"""The driver."""

from edge.access.config import Reader
from edge.access.drivers.interface import Driver, DriverContext
from edge.access.drivers.virtual.config import VirtualDevice


def make(device: VirtualDevice, readers: tuple[Reader, ...], context: DriverContext) -> Driver:
    """The driver of one device."""
    raise NotImplementedError(f"{device} {readers} {context}")
