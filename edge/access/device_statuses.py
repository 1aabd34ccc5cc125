"""How each device and bus stands, from its readers and from what its driver tells."""

from collections.abc import Iterable, Iterator, Mapping

from edge.access.drivers.interface import DriverReport
from edge.access.status import DeviceState, DeviceStatus, ReaderStatus


def device_statuses(reports: Mapping[str, DriverReport], readers: Iterable[ReaderStatus]) -> Iterator[DeviceStatus]:
    """One status for each driver of `reports`, which go by the device's or bus's id."""
    known = tuple(readers)
    for line, report in reports.items():
        own = [reader for reader in known if reader.line == line]
        away = next((reader for reader in own if reader.online is False), None)
        yield DeviceStatus(
            line,
            _state([reader.online for reader in own]),
            None if away is None else away.reason,
            "" if away is None else away.detail,
            report.counts,
            report.complaints,
        )


def _state(online: list[bool | None]) -> DeviceState:
    if not any(each is not None for each in online):
        return DeviceState.UNHEARD
    if all(online):
        return DeviceState.ONLINE
    return DeviceState.PARTLY if any(online) else DeviceState.OFFLINE
