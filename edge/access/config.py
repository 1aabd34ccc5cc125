"""Configuration of buses, devices, readers and doors: the `[[reader_bus]]`, `[[device]]`, `[[reader]]` and `[[door]]`
tables of the site file.

Reading the key files is a step of its own (`read_keys`), so that validating a text never touches the disk.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from edge.access.drivers.hikvision.config import HikvisionTerminal
from edge.access.drivers.modbus.config import ModbusDevice
from edge.access.drivers.onvif.config import OnvifDevice
from edge.access.drivers.uhppote.config import UhppoteBoard
from edge.access.drivers.virtual.config import VirtualDevice
from edge.access.drivers.zkteco.config import ZktecoDevice
from edge.access.secret_files import read_secret
from protocols.base import DeviceId, PlaceCode
from protocols.cards import CardFormat

MAX_READERS_PER_BUS = 32
"""libosdp 3.2.9 keeps its readers in a 32-bit mask; more of them crash the process."""

DEFAULT_OSDP_KEY = bytes(range(0x30, 0x40))
"""SCBK-D, the key that every reader ships with and everybody knows (OSDP 2.2, annex D)."""

_KEY_BYTES = 16


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Named(_Section):
    id: DeviceId


class ReaderBus(_Named):
    """One serial line with OSDP readers."""

    port: Annotated[str, Field(min_length=1, max_length=255)]
    """The serial device (or pseudo-terminal), for example /dev/ttyUSB0."""
    baud_rate: Literal[9600, 19200, 38400, 57600, 115200, 230400] = 9600


class Reader(_Named):
    """One reader: on an OSDP bus (`bus`, `address`, `scbk_file`), or one door of a device (`device`, `channel`)."""

    bus: DeviceId | None = None
    address: Annotated[int, Field(ge=0, le=126)] | None = None
    scbk_file: Path | None = None
    """OSDP: a file of mode 600 that holds the reader's secure channel base key, 32 hex digits. Its line is always
    encrypted under it."""
    device: DeviceId | None = None
    channel: Annotated[int, Field(ge=1, le=64)] = 1
    """The door's number on its device."""
    card_format: CardFormat = CardFormat.W26
    min_plate_confidence: Annotated[float, Field(ge=0.0, le=1.0)] = 0.8
    """A camera: a number plate that it read with less confidence is ignored."""

    @property
    def line(self) -> str:
        """The bus or device that it is on, which is the name of its driver."""
        return self.bus or self.device or ""

    @model_validator(mode="after")
    def _is_of_one_kind(self) -> Self:
        osdp = (self.bus, self.address, self.scbk_file)
        if self.device is not None and any(each is not None for each in osdp):
            raise ValueError("a reader is on a bus (bus, address, scbk_file) or on a device (device, channel)")
        if self.device is None and any(each is None for each in osdp):
            raise ValueError("a reader needs bus, address and scbk_file, or device and channel")
        return self


AnyDevice = Annotated[
    UhppoteBoard | HikvisionTerminal | ZktecoDevice | OnvifDevice | ModbusDevice | VirtualDevice,
    Field(discriminator="kind"),
]


class Output(_Section):
    """An output of a reader."""

    reader: DeviceId
    output: Annotated[int, Field(ge=0, le=15)]


class Input(_Section):
    """An input contact of a reader; active means open (a door) or pressed (a button)."""

    reader: DeviceId
    input: Annotated[int, Field(ge=0, le=15)]


class Relock(StrEnum):
    """When the strike is let go after the door was used; the end of `release_s` always ends it."""

    OPEN = "open"
    CLOSE = "close"


class Door(_Named):
    """One door: who asks for it, what opens it, and what tells about it."""

    place: PlaceCode
    readers: Annotated[tuple[DeviceId, ...], Field(min_length=1, max_length=8)]
    strike: Output
    contact: Input | None = None
    request_to_exit: Input | None = None
    fire: Input | None = None
    """The fire panel's contact; it is reported only, doors are freed in hardware."""
    release_s: Annotated[float, Field(ge=0.5, le=300.0)] = 5.0
    held_after_s: Annotated[float, Field(ge=1.0, le=3600.0)] = 30.0
    warn_before_held_s: Annotated[float, Field(ge=0.0, le=600.0)] = 10.0
    """So long before it counts as held the reader warns; 0: never."""
    relock: Relock = Relock.OPEN


@dataclass(frozen=True)
class ConfigFault:
    """What is wrong with one key; `path` is its dotted place, such as `door.0.strike.reader`."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


class AccessConfig(_Section):
    """Every bus, reader and door of a gateway. A cross-reference fault's `ctx["faults"]` lists (path, message)."""

    reader_bus: Annotated[tuple[ReaderBus, ...], Field(max_length=32)] = ()
    device: Annotated[tuple[AnyDevice, ...], Field(max_length=128)] = ()
    reader: Annotated[tuple[Reader, ...], Field(max_length=512)] = ()
    door: Annotated[tuple[Door, ...], Field(max_length=256)] = ()

    @model_validator(mode="after")
    def _references(self) -> Self:
        faults = list(_faults(self))
        if faults:
            text = "; ".join(str(fault) for fault in faults)
            raise PydanticCustomError(
                "reference", "{text}", {"text": text, "faults": [(fault.path, fault.message) for fault in faults]}
            )
        return self

    def readers_of(self, bus: str) -> tuple[Reader, ...]:
        """The readers on one bus."""
        return tuple(reader for reader in self.reader if reader.bus == bus)

    def readers_of_device(self, device: str) -> tuple[Reader, ...]:
        """The readers of one device."""
        return tuple(reader for reader in self.reader if reader.device == device)

    def place_of(self, reader: str) -> str:
        """The place of the door that a reader serves; every reader serves one."""
        return next(door.place for door in self.door if reader in _readers_named(door))

    def place_of_line(self, line: str) -> str:
        """The place of a reader on this bus or device; each has one."""
        return self.place_of(next(reader.id for reader in self.reader if reader.line == line))


def _faults(config: AccessConfig) -> Iterator[ConfigFault]:
    yield from _repeated(
        ("reader_bus", config.reader_bus),
        ("device", config.device),
        ("reader", config.reader),
        ("door", config.door),
    )
    yield from _bus_faults(config)
    yield from _channel_faults(config)
    yield from _door_faults(config)


def _repeated(
    *tables: tuple[str, tuple[ReaderBus | AnyDevice | Reader | Door, ...]],
) -> Iterator[ConfigFault]:
    for name, rows in tables:
        seen: set[str] = set()
        for place, row in enumerate(rows):
            if row.id in seen:
                yield ConfigFault(f"{name}.{place}.id", f'"{row.id}" is used twice')
            seen.add(row.id)


def _bus_faults(config: AccessConfig) -> Iterator[ConfigFault]:
    buses, devices = {bus.id for bus in config.reader_bus}, {device.id for device in config.device}
    addresses: dict[tuple[str | None, int | None], str] = {}
    for place, reader in enumerate(config.reader):
        if reader.bus is not None and reader.bus not in buses:
            yield ConfigFault(f"reader.{place}.bus", _unknown("bus", reader.bus, buses))
        if reader.device is not None and reader.device not in devices:
            yield ConfigFault(f"reader.{place}.device", _unknown("device", reader.device, devices))
        name, number = ("address", reader.address) if reader.device is None else ("channel", reader.channel)
        other = addresses.setdefault((reader.bus or f"device {reader.device}", number), reader.id)
        if other != reader.id:
            where = "bus" if reader.device is None else "device"
            yield ConfigFault(f"reader.{place}.{name}", f'{number} is that of reader "{other}" on the same {where}')
    for place, device in enumerate(config.device):
        if all(reader.device != device.id for reader in config.reader):
            yield ConfigFault(f"device.{place}.id", f'no reader is on device "{device.id}"')
    used = Counter(reader.bus for reader in config.reader)
    for place, bus in enumerate(config.reader_bus):
        if used[bus.id] > MAX_READERS_PER_BUS:
            yield ConfigFault(
                f"reader_bus.{place}.id", f"{used[bus.id]} readers; a bus has {MAX_READERS_PER_BUS} at most"
            )
        if not used[bus.id]:
            yield ConfigFault(f"reader_bus.{place}.id", f'no reader is on bus "{bus.id}"')


def _channel_faults(config: AccessConfig) -> Iterator[ConfigFault]:
    most = {device.id: device.CHANNELS for device in config.device}
    for place, reader in enumerate(config.reader):
        if reader.device in most and reader.channel > most[reader.device]:
            last = most[reader.device]
            yield ConfigFault(f"reader.{place}.channel", f'device "{reader.device}" has channels 1 to {last}')


def _door_faults(config: AccessConfig) -> Iterator[ConfigFault]:
    readers = {reader.id for reader in config.reader}
    taken: dict[tuple[str, ...], str] = {}
    for place, door in enumerate(config.door):
        for path, reader, what in _uses(door):
            if reader not in readers:
                yield ConfigFault(f"door.{place}.{path}", _unknown("reader", reader, readers))
            other = taken.setdefault(what, f"door.{place}.{path}")
            if other != f"door.{place}.{path}":
                yield ConfigFault(f"door.{place}.{path}", f"{' '.join(what)} already serves {other}")
    served = {reader for door in config.door for reader in _readers_named(door)}
    for place, row in enumerate(config.reader):
        if row.id not in served:
            yield ConfigFault(f"reader.{place}.id", f'no door names reader "{row.id}"')


def _uses(door: Door) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Each use of a reader by a door: the key, the reader, and the thing that only one key may use."""
    for index, reader in enumerate(door.readers):
        yield f"readers.{index}", reader, ("reader", reader)
    yield "strike.reader", door.strike.reader, ("output", str(door.strike.output), "of", door.strike.reader)
    for name, contact in (
        ("contact", door.contact),
        ("request_to_exit", door.request_to_exit),
        ("fire", door.fire),
    ):
        if contact is not None:
            yield f"{name}.reader", contact.reader, ("input", str(contact.input), "of", contact.reader)


def _readers_named(door: Door) -> frozenset[str]:
    return frozenset(reader for _, reader, _ in _uses(door))


def _unknown(kind: str, name: str, known: Iterable[str]) -> str:
    return f'there is no {kind} "{name}" (there are: {", ".join(sorted(known)) or "none"})'


def card_formats(config: AccessConfig) -> dict[str, CardFormat]:
    """How the bits of each reader's cards are laid out, by the reader's id."""
    return {reader.id: reader.card_format for reader in config.reader}


class KeyFileFault(ValueError):
    """Reader key files that cannot be used; the text names each key, the cause and the remedy."""

    def __init__(self, faults: tuple[ConfigFault, ...]) -> None:
        super().__init__("; ".join(str(fault) for fault in faults))
        self.faults = faults


def read_keys(config: AccessConfig, bus: str | None = None) -> dict[str, bytes]:
    """Read every reader's key (of one bus, or of all), by the reader's id.

    Raises:
        KeyFileFault: naming every file that is missing, readable by others, malformed, or holds the default key.
    """
    keys: dict[str, bytes] = {}
    faults: list[ConfigFault] = []
    for place, reader in enumerate(config.reader):
        if reader.scbk_file is None or bus not in (None, reader.bus):
            continue
        try:
            keys[reader.id] = _read_key(reader.scbk_file)
        except (OSError, ValueError) as error:
            cause = error.strerror if isinstance(error, OSError) else str(error)
            faults.append(ConfigFault(f"reader.{place}.scbk_file", f"{reader.scbk_file}: {cause}"))
    if faults:
        raise KeyFileFault(tuple(faults))
    return keys


def _read_key(path: Path) -> bytes:
    text = read_secret(path)
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != _KEY_BYTES or len(text) != 2 * _KEY_BYTES:
        raise ValueError("a reader's key is 32 hex digits (16 random bytes)")
    if key == DEFAULT_OSDP_KEY:
        raise ValueError("this is the OSDP default key, which everybody knows; give the reader a key of its own")
    return key
