"""Turns what a device uploads into driver events: each event once, its time in the site's zone, its user by the
credential's id."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from datetime import timezone as fixed_zone
from typing import TypeVar
from zoneinfo import ZoneInfo

from edge.access.config import Reader
from edge.access.drivers.interface import (
    DeviceDecided,
    DoorOpenedByDevice,
    DriverEvent,
    InputsReported,
    NumberPresented,
    PowerReported,
    TamperReported,
)
from edge.access.drivers.zkteco.meaning import (
    Kind,
    asks_for_verdict,
    card_of,
    decided_by,
    door_reports,
    meaning_of,
    method_of,
)
from edge.access.drivers.zkteco.state import DeviceState
from edge.clock import Clock
from edge.counters import Counters
from protocols.access_events import AccessMethod
from protocols.base import ProtocolError
from protocols.zk_push_records import (
    OPERATION_ALARM,
    REASON_BUTTON,
    REASON_CANCELLED,
    REASON_DOOR_CLOSED,
    REASON_DOOR_OPEN,
    REASON_FORCED,
    REASON_TAMPER,
    AccessRecord,
    AttendanceRecord,
    OperationRecord,
    read_access_record,
    read_attendance_record,
    read_door_states,
    read_lines,
    read_operation_record,
)

LIVE_S = 30.0
"""An event this young is of now; an older one is told, but moves no door. The protocol speaks of 15 s."""

MAX_AHEAD = timedelta(days=1)
"""An event from further in the future tells nothing about when it was."""

_Keyed = TypeVar("_Keyed", AccessRecord, AttendanceRecord, OperationRecord)


@dataclass(frozen=True)
class Told:
    """What to deliver, and what to remember then."""

    events: tuple[DriverEvent, ...]
    keys: tuple[str, ...] = ()


class UploadReader:
    """Reads one device's uploads.

    Args:
        device_zone: of the device's clock.
        counters: gets `records_malformed`, `records_repeated`, `records_unknown`, `records_of_no_door` and
            `times_unusable`.
    """

    def __init__(
        self,
        readers: tuple[Reader, ...],
        state: DeviceState,
        device_zone: ZoneInfo,
        site_zone: ZoneInfo,
        clock: Clock,
        counters: Counters,
    ) -> None:
        self._readers, self._state = tuple(sorted(readers, key=lambda reader: reader.channel)), state
        self._device_zone, self._site_zone = device_zone, site_zone
        self._clock, self._counters = clock, counters
        self._skew = timedelta()
        """How far the device's clock is behind, as its last report of the doors showed."""

    def access(self, lines: Iterable[str]) -> Told:
        """Events of table rtlog or transaction."""
        return self._told(self._new(lines, read_access_record), self._access_events)

    def asked(self, line: str) -> NumberPresented | None:
        """The card that a device asks about before it opens; None where it asks about something else than a card alone,
        or in a way that cannot be read."""
        try:
            record = read_access_record(line)
        except ProtocolError:
            self._counters.add("records_malformed")
            return None
        readers = self._readers_of(record.door)
        if record.card is None or len(readers) != 1 or not asks_for_verdict(record.event):
            return None
        if method_of(record.verify, record.event, has_card=True) is not AccessMethod.CARD:
            return None
        card = card_of(record.card, readers[0].card_format)
        return None if card is None else NumberPresented(readers[0].id, card, time.monotonic_ns())

    def attendance(self, lines: Iterable[str]) -> Told:
        """Records of table ATTLOG: each opened the terminal's door."""
        return self._told(self._new(lines, read_attendance_record), self._attendance_events)

    def operations(self, lines: Iterable[str]) -> Told:
        """Alarms of table OPERLOG."""
        return self._told(self._new(lines, read_operation_record), self._operation_events)

    def door_states(self, lines: Iterable[str]) -> Told:
        """The doors now; a state is no event, so it is told as often as it comes."""
        records = read_lines(lines, read_door_states)
        self._counters.add("records_malformed", records.malformed)
        events: list[DriverEvent] = []
        for states in records.good:
            self._skew = self._now() - self._aware(states.time)
            for reader in self._readers:
                events += door_reports(reader.id, reader.channel, states)
        return Told(tuple(events))

    def _new(self, lines: Iterable[str], read: Callable[[str], _Keyed]) -> list[_Keyed]:
        records = read_lines(lines, read)
        self._counters.add("records_malformed", records.malformed)
        new = {record.key: record for record in records.good if self._state.is_new(record.key)}
        self._counters.add("records_repeated", len(records.good) - len(new))
        return list(new.values())

    @staticmethod
    def _told(records: Sequence[_Keyed], events_of: Callable[[_Keyed], list[DriverEvent]]) -> Told:
        events = tuple(event for record in records for event in events_of(record))
        return Told(events, tuple(record.key for record in records))

    def _access_events(self, record: AccessRecord) -> list[DriverEvent]:
        at = self._aware(record.time)
        readers = self._readers_of(record.door)
        has_person = bool(record.pin or record.card)
        meaning = meaning_of(record.event, has_person=has_person)
        if meaning.kind is Kind.UNKNOWN:
            self._counters.add("records_unknown")
        if meaning.kind is Kind.DENIED or (meaning.kind is Kind.GRANTED and has_person):
            if len(readers) != 1:
                self._counters.add("records_of_no_door")
                return []
            decided = self._decided(record, readers[0], at, meaning.kind is Kind.GRANTED, meaning.reason)
            return [*self._opened(readers[:1] if decided.granted else [], at), decided]
        if not self._is_live(at):
            return []
        return [event for reader in readers for event in _moved(meaning.kind, reader.id)]

    def _decided(self, record: AccessRecord, reader: Reader, at: datetime, granted: bool, reason: str) -> DeviceDecided:
        method = method_of(record.verify, record.event, has_card=record.card is not None)
        return DeviceDecided(
            reader=reader.id,
            granted=granted,
            method=method,
            by=decided_by(method),
            card=None if record.card is None else card_of(record.card, reader.card_format),
            credential=self._state.credential_of(record.pin),
            at=self._told_time(at),
            reason=reason,
        )

    def _attendance_events(self, record: AttendanceRecord) -> list[DriverEvent]:
        reader = self._readers[0]
        if record.utc_offset_s is None:
            at = self._aware(record.time)
        else:
            at = record.time.replace(tzinfo=fixed_zone(timedelta(seconds=record.utc_offset_s)))
        method = method_of(record.verify, 0, has_card=False)
        decided = DeviceDecided(
            reader=reader.id,
            granted=True,
            method=method,
            by=decided_by(method),
            credential=self._state.credential_of(record.pin),
            at=self._told_time(at),
        )
        return [*self._opened([reader], at), decided]

    def _operation_events(self, record: OperationRecord) -> list[DriverEvent]:
        if record.operation != OPERATION_ALARM or not self._is_live(self._aware(record.time)):
            return []
        return _moved(_ALARM_REASONS.get(record.subject, Kind.NOTHING), self._readers[0].id)

    def _opened(self, readers: Sequence[Reader], at: datetime) -> list[DriverEvent]:
        return [DoorOpenedByDevice(reader.id) for reader in readers] if self._is_live(at) else []

    def _readers_of(self, door: int) -> list[Reader]:
        """Those of one door; all of them for door 0, which stands for the device."""
        return [reader for reader in self._readers if door in (0, reader.channel)]

    def _aware(self, local: datetime) -> datetime:
        return local.replace(tzinfo=self._device_zone).astimezone(UTC)

    def _is_live(self, at: datetime) -> bool:
        return abs(self._now() - self._skew - at) <= timedelta(seconds=LIVE_S)

    def _told_time(self, at: datetime) -> datetime | None:
        if at - self._now() > MAX_AHEAD:
            self._counters.add("times_unusable")
            return None
        return at.astimezone(self._site_zone)

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock.wall_s(), UTC)


_ALARM_REASONS = {
    REASON_DOOR_CLOSED: Kind.CONTACT_CLOSED,
    REASON_DOOR_OPEN: Kind.CONTACT_OPEN,
    REASON_FORCED: Kind.CONTACT_OPEN,
    REASON_BUTTON: Kind.OPENED_BY_DEVICE,
    REASON_TAMPER: Kind.TAMPER,
    REASON_CANCELLED: Kind.TAMPER_ENDED,
}


def _moved(kind: Kind, reader: str) -> list[DriverEvent]:
    """What happened at a door just now without a person being known."""
    match kind:
        case Kind.GRANTED | Kind.OPENED_BY_DEVICE:
            return [DoorOpenedByDevice(reader)]
        case Kind.CONTACT_OPEN | Kind.CONTACT_CLOSED:
            return [InputsReported(reader, (kind is Kind.CONTACT_OPEN,))]
        case Kind.TAMPER | Kind.TAMPER_ENDED:
            return [TamperReported(reader, kind is Kind.TAMPER)]
        case Kind.POWER_FAILED:
            return [PowerReported(reader, failed=True)]
        case _:
            return []
