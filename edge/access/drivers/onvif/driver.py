"""The driver."""

from edge.access.config import Reader
from edge.access.drivers.interface import Driver, DriverContext
from edge.access.drivers.onvif.config import OnvifDevice


def make(device: OnvifDevice, readers: tuple[Reader, ...], context: DriverContext) -> Driver:
    """The driver of one device."""
    raise NotImplementedError(f"{device} {readers} {context}")
