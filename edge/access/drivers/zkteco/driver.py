"""The driver."""

from edge.access.config import Reader
from edge.access.drivers.interface import Driver, DriverContext
from edge.access.drivers.zkteco.config import ZktecoDevice


def make(device: ZktecoDevice, readers: tuple[Reader, ...], context: DriverContext) -> Driver:
    """The driver of one device."""
    raise NotImplementedError(f"{device} {readers} {context}")
