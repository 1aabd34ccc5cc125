"""Makes the drivers that a site file asks for. A make's libraries are imported only where it is used."""

from edge.access.config import AccessConfig, AnyDevice, Reader, ReaderBus, read_keys
from edge.access.drivers.interface import Driver, DriverContext
from edge.access.drivers.running import DriverSource


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


def driver_sources(config: AccessConfig, context: DriverContext) -> list[DriverSource]:
    """A source for each bus and each device; nothing is opened or read yet."""
    return [
        *(_bus_source(config, bus) for bus in config.reader_bus),
        *(_device_source(config, device, context) for device in config.device),
    ]


def _bus_source(config: AccessConfig, bus: ReaderBus) -> DriverSource:
    readers = config.readers_of(bus.id)

    def make() -> Driver:
        from edge.access.drivers.osdp.driver import OsdpBus

        return OsdpBus(bus, readers, read_keys(config, bus.id))

    return DriverSource(bus.id, tuple(reader.id for reader in readers), make)


def _device_source(config: AccessConfig, device: AnyDevice, context: DriverContext) -> DriverSource:
    readers = config.readers_of_device(device.id)

    def make() -> Driver:
        folder = context.state_dir / device.id
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        pulses_s = {door.strike.reader: door.release_s for door in config.door if door.strike.output == 0}
        return make_driver(device, readers, DriverContext(folder, context.zone, context.clock, pulses_s))

    return DriverSource(device.id, tuple(reader.id for reader in readers), make)
