"""The driver."""

from edge.access.config import Reader
from edge.access.drivers.hikvision.config import HikvisionTerminal
from edge.access.drivers.interface import Driver, DriverContext


def make(device: HikvisionTerminal, readers: tuple[Reader, ...], context: DriverContext) -> Driver:
    """The driver of one device."""
    raise NotImplementedError(f"{device} {readers} {context}")
