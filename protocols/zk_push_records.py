"""The records that ZKTeco devices push: one line in, one frozen value out. Sources: see `zk_push`.

Times are the device's local wall clock, without a zone, but for the attendance protocol's optional offset. The field
set differs by firmware, so keyed records are read by key, and a line that cannot be read costs that line alone. Names,
pictures and biometric templates are never read.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from protocols.base import ProtocolError

MAX_PARAMETERS = 512
MAX_CARD = (1 << 64) - 1

_PIN = re.compile(r"[A-Za-z0-9]{1,32}")
_TIME = re.compile(r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d", re.ASCII)
_BYTE_SWAPPED_CARD = re.compile(r"\[([0-9A-Fa-f]{8})\]")
_INTEGER = re.compile(r"-?\d{1,19}", re.ASCII)
_DOOR_MAX_BYTES = 16
_RecordT = TypeVar("_RecordT")


@dataclass(frozen=True)
class Records(Generic[_RecordT]):
    """What an upload's lines hold."""

    good: tuple[_RecordT, ...]
    malformed: int


def read_lines(lines: Iterable[str], read: Callable[[str], _RecordT]) -> Records[_RecordT]:
    """Read each line with `read`; one that raises ProtocolError is counted."""
    good, malformed = [], 0
    for line in lines:
        try:
            good.append(read(line))
        except ProtocolError:
            malformed += 1
    return Records(tuple(good), malformed)


@dataclass(frozen=True)
class AccessRecord:
    """One event of an access device (7.2, table rtlog, or the stored record of table transaction)."""

    time: datetime
    """Naive, by the device's clock."""
    index: int | None
    """The record's number in the device; it starts anew when a person clears the records."""
    pin: str
    """Empty for an event of the device itself (pin 0)."""
    card: int | None
    door: int
    """0 where the event is not of one door."""
    event: int
    verify: str
    """How the person was verified, as the device spells it."""

    @property
    def key(self) -> str:
        """What makes two uploads the same event: number and time, or everything where there is no number."""
        if self.index is not None:
            return f"{self.index}|{self.time.isoformat()}"
        return f"{self.time.isoformat()}|{self.door}|{self.event}|{self.pin}|{self.card}|{self.verify}"


def read_access_record(line: str) -> AccessRecord:
    """Read `time=... TAB pin=... TAB ...` (rtlog) or `transaction cardno=... TAB ...` (tabledata).

    Raises:
        ProtocolError: if it has no readable time or event.
    """
    fields = dict(_pairs(line, "\t"))
    event = _integer(fields.get("event", fields.get("eventtype", "")))
    if event is None or not 0 <= event <= 9999:
        raise ProtocolError("no event code in an access record")
    seconds = _integer(fields.get("time_second", ""))
    return AccessRecord(
        time=_time(fields.get("time", "")) if seconds is None else decode_time(seconds),
        index=_integer(fields.get("index", "")),
        pin=_pin(fields.get("pin", "")),
        card=read_card(fields.get("cardno", "")),
        door=_integer(fields.get("eventaddr", fields.get("doorid", ""))) or 0,
        event=event,
        verify=fields.get("verifytype", fields.get("verified", ""))[:32],
    )


@dataclass(frozen=True)
class DoorStates:
    """The doors now (7.3, table rtstate), door 1 first."""

    time: datetime
    open: tuple[bool | None, ...]
    """By the door contacts; None: the door has none."""
    alarms: tuple[int, ...]
    """Eight bits for each door: `ALARM_*`."""


ALARM_OPENED_BY_FORCE = 0x01
ALARM_TAMPER = 0x02
ALARM_DURESS_PASSWORD = 0x04
ALARM_DURESS_FINGERPRINT = 0x08
ALARM_HELD_OPEN = 0x10
ALARM_MAINS_FAILED = 0x20
ALARM_BATTERY_FAILED = 0x40
ALARM_READER_REMOVED = 0x80

_SENSOR_STATES = {0b01: False, 0b10: True}


def read_door_states(line: str) -> DoorStates:
    """Read `time=... TAB sensor=AABB TAB relay=CC TAB alarm=DDEE...`, hexadecimal.

    Raises:
        ProtocolError: if the time or a field is unreadable.
    """
    fields = dict(_pairs(line, "\t"))
    sensors, alarms = _hex(fields.get("sensor", "")), _hex(fields.get("alarm", ""))
    return DoorStates(
        time=_time(fields.get("time", "")),
        open=tuple(_SENSOR_STATES.get(byte >> 2 * door & 0b11) for byte in sensors for door in range(4)),
        alarms=tuple(alarms),
    )


@dataclass(frozen=True)
class AttendanceRecord:
    """One verification of an attendance terminal (9.1, table ATTLOG); it keeps none that it refused."""

    pin: str
    time: datetime
    utc_offset_s: int | None
    """What to subtract from `time` for UTC, where the firmware tells."""
    verify: str
    line: str
    """The whole record, which is what makes two uploads the same event."""

    @property
    def key(self) -> str:
        return self.line


def read_attendance_record(line: str) -> AttendanceRecord:
    """Read `pin TAB time TAB status TAB verify TAB ...`; the eleventh field, if any, is the offset from UTC in seconds.

    Raises:
        ProtocolError: if pin or time are unreadable.
    """
    fields = line.split("\t")
    if len(fields) < 2:
        raise ProtocolError("an attendance record has at least a pin and a time")
    pin = _pin(fields[0].strip())
    if not pin:
        raise ProtocolError("no pin in an attendance record")
    offset = _integer(fields[10].strip().removeprefix("+")) if len(fields) > 10 else None
    if offset is not None and abs(offset) > 16 * 3600:
        offset = None
    verify = fields[3].strip()[:32] if len(fields) > 3 else ""
    return AttendanceRecord(pin, _time(fields[1].strip()), offset, verify, line)


@dataclass(frozen=True)
class OperationRecord:
    """One entry of an attendance terminal's own log (9.3, table OPERLOG)."""

    operation: int
    time: datetime
    subject: int
    """For an alarm (`OPERATION_ALARM`): its reason, appendix 5."""
    line: str

    @property
    def key(self) -> str:
        return self.line


OPERATION_PREFIX = b"OPLOG"
OPERATION_ALARM = 3
REASON_DOOR_CLOSED, REASON_DOOR_OPEN, REASON_BUTTON = 50, 51, 53
REASON_FORCED, REASON_TAMPER, REASON_CANCELLED = 54, 55, 65535


def read_operation_record(line: str) -> OperationRecord:
    """Read `OPLOG type TAB operator TAB time TAB subject TAB ...`.

    Raises:
        ProtocolError: if it is no such line.
    """
    kind, _, rest = line.partition(" ")
    fields = rest.split("\t")
    operation = _integer(fields[0].strip())
    if kind != "OPLOG" or operation is None or len(fields) < 3:
        raise ProtocolError("not an entry of the operation log")
    subject = _integer(fields[3].strip()) if len(fields) > 3 else None
    return OperationRecord(operation, _time(fields[2].strip()), subject or 0, line)


@dataclass(frozen=True)
class CommandResult:
    """What a device says became of a command (7.4): 0 or more is success, the rest is appendix 1."""

    id: str
    value: int


def read_command_result(line: str) -> CommandResult:
    """Read `ID=...&Return=...&CMD=...`; the case of the keys differs by firmware.

    Raises:
        ProtocolError: if id or value are missing.
    """
    fields = dict(_pairs(line, "&"))
    number, value = fields.get("id", ""), _integer(fields.get("return", ""))
    if not _PIN.fullmatch(number) or value is None:
        raise ProtocolError("not a command's result")
    return CommandResult(number, value)


def read_parameters(line: str) -> dict[str, str]:
    """A device's parameters (4.4, 4.6): `key=value,key=value`, keys without their `~` and in lower case. Bounded."""
    found: dict[str, str] = {}
    for key, value in _pairs(line, ","):
        if len(found) == MAX_PARAMETERS:
            break
        found[key.removeprefix("~")[:64]] = value[:256]
    return found


def read_card(text: str) -> int | None:
    """A card number: decimal, or `[15CD5B07]` with the lowest byte first (9.1.1); None where there is none."""
    text = text.strip()
    swapped = _BYTE_SWAPPED_CARD.fullmatch(text)
    number = int.from_bytes(bytes.fromhex(swapped[1]), "little") if swapped else _integer(text)
    return number if number is not None and 0 < number <= MAX_CARD else None


def encode_time(time: datetime) -> int:
    """Appendix 5: seconds in years of 12 months of 31 days since 2000, of a naive local time."""
    days = (time.year - 2000) * 12 * 31 + (time.month - 1) * 31 + time.day - 1
    return days * 86400 + (time.hour * 60 + time.minute) * 60 + time.second


def decode_time(seconds: int) -> datetime:
    """Appendix 6, the inverse.

    Raises:
        ProtocolError: if it is no date (the 31st of February has a number too).
    """
    if not 0 <= seconds < 1 << 32:
        raise ProtocolError("no date: it has 32 bits")
    days, rest = divmod(seconds, 86400)
    months, day = divmod(days, 31)
    years, month = divmod(months, 12)
    try:
        return datetime(2000 + years, month + 1, day + 1, rest // 3600, rest // 60 % 60, rest % 60)  # noqa: DTZ001
    except ValueError as error:
        raise ProtocolError(f"no date: {error}") from error


def _pairs(line: str, separator: str) -> Iterator[tuple[str, str]]:
    """Each `key=value`, the key in lower case and without a table's name before it."""
    for part in line.split(separator):
        key, equals, value = part.partition("=")
        if equals:
            yield key.strip().rpartition(" ")[2].lower(), value.strip()


def _time(text: str) -> datetime:
    """A naive local time: whose clock it is, the reader of the record knows."""
    if not _TIME.fullmatch(text):
        raise ProtocolError("not a time YYYY-MM-DD HH:MM:SS of this century")
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise ProtocolError(f"no date: {error}") from error


def _integer(text: str) -> int | None:
    return int(text) if _INTEGER.fullmatch(text) else None


def _pin(text: str) -> str:
    return text if _PIN.fullmatch(text) and text.strip("0") else ""


def _hex(text: str) -> bytes:
    try:
        return bytes.fromhex(text)[:_DOOR_MAX_BYTES]
    except ValueError as error:
        raise ProtocolError(f"not hexadecimal: {error}") from error
