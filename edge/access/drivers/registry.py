"""Makes the drivers that a site file asks for. A make's libraries are imported only where it is used."""

from edge.access.config import AccessConfig, AnyDevice, Reader
from edge.access.drivers.interface import Driver, DriverContext


def make_driver(device: AnyDevice, readers: tuple[Reader, ...], context: DriverContext) -> Driver:
    """The driver of one device.

    Raises:
        edge.access.config.KeyFileFault: if a secret of the device cannot be read.
    """
    match device.kind:
        case "uhppote":
            from edge.access.drivers.uhppote import driver as uhppote

            return uhppote.make(device, readers, context)
        case "hikvision":
            from edge.access.drivers.hikvision import driver as hikvision

            return hikvision.make(device, readers, context)
        case "zkteco":
            from edge.access.drivers.zkteco import driver as zkteco

            return zkteco.make(device, readers, context)
        case "onvif":
            from edge.access.drivers.onvif import driver as onvif

            return onvif.make(device, readers, context)
        case "modbus":
            from edge.access.drivers.modbus import driver as modbus

            return modbus.make(device, readers, context)
        case "virtual":
            from edge.access.drivers.virtual import driver as virtual

            return virtual.make(device, readers, context)


def make_drivers(config: AccessConfig, context: DriverContext) -> list[Driver]:
    """One driver for each device; the OSDP buses have their own (`edge.access.drivers.osdp`).

    Raises:
        edge.access.config.KeyFileFault: if a secret of a device cannot be read.
        OSError: if a device's folder cannot be made.
    """
    made = []
    for device in config.device:
        folder = context.state_dir / device.id
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        own = DriverContext(folder, context.zone, context.clock)
        made.append(make_driver(device, config.readers_of_device(device.id), own))
    return made
