"""How every reader stands: online or not and why, its tamper switch, its power. What changes is told once."""

from edge.access.config import AccessConfig, Reader
from edge.access.drivers.interface import PowerReported, ReaderDown, ReaderUp, TamperReported
from edge.access.status import ReaderStatus
from edge.access.telling import Teller
from protocols.access_events import ReaderOffline, ReaderOfflineReason, ReaderOnline, ReaderPower, ReaderTamper
from protocols.event_data import EventData

DETAIL_MAX = 300


class ReaderBook:
    """One thread writes; `all` is for any."""

    def __init__(self, config: AccessConfig, teller: Teller) -> None:
        self._config, self._teller = config, teller
        self._standing = {reader.id: _unheard(reader) for reader in config.reader}
        self._tampered: dict[str, bool] = {}
        self._without_power: dict[str, bool] = {}

    def all(self) -> tuple[ReaderStatus, ...]:
        return tuple(self._standing.values())

    def is_online(self, reader: str) -> bool:
        return self._standing[reader].online is True

    def why_offline(self, reader: str) -> str:
        """A sentence's end for a person."""
        return self._standing[reader].detail or "it has not been heard yet"

    def moved(self, moved: ReaderUp | ReaderDown) -> None:
        """It came or went."""
        before = self._standing[moved.reader]
        data: EventData
        if isinstance(moved, ReaderUp):
            after = ReaderStatus(moved.reader, before.line, True, moved.secure_channel, None, "")
            data = ReaderOnline(secure_channel=moved.secure_channel)
        else:
            detail = moved.detail[:DETAIL_MAX]
            after = ReaderStatus(moved.reader, before.line, False, False, moved.reason, detail)
            data = ReaderOffline(reason=moved.reason, detail=detail)
        self._standing[moved.reader] = after
        if (before.online, before.reason) != (after.online, after.reason):
            self._tell(moved.reader, data)

    def tamper(self, report: TamperReported) -> None:
        if self._tampered.get(report.reader, False) != report.active:
            self._tampered[report.reader] = report.active
            self._tell(report.reader, ReaderTamper(active=report.active))

    def power(self, report: PowerReported) -> None:
        if self._without_power.get(report.reader, False) != report.failed:
            self._without_power[report.reader] = report.failed
            self._tell(report.reader, ReaderPower(failed=report.failed))

    def stopped(self) -> None:
        """The gateway ends: nobody watches them any more."""
        for reader in self._standing.values():
            if reader.online:
                self._tell(reader.id, ReaderOffline(reason=ReaderOfflineReason.STOPPED))

    def _tell(self, reader: str, data: EventData) -> None:
        self._teller.tell(reader, self._config.place_of(reader), data)


def _unheard(reader: Reader) -> ReaderStatus:
    return ReaderStatus(reader.id, reader.line, None, False, None, "")
