"""Messages, secrets and channels for tests."""

import itertools
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry
from pydantic import TypeAdapter

from cloud.accounts.scope import WHOLE
from cloud.alarms.states import Level, Move, Priority
from cloud.database.engine import Database
from cloud.duty.roster import DutyRoster
from cloud.notify.channels import Channel, make_channel
from cloud.notify.outbox import NotifyingRoster
from cloud.notify.record import ChannelRow, NoticeRow, read_channels, read_notices
from cloud.notify.sender import NotifySender
from cloud.notify.settings import AnyChannel, NotifySettings
from cloud.notify.wording import Fact, Message, Wording
from protocols.access_events import AccessDuress, DoorForced
from tests.support.alarms import SHANGHAI, City
from tests.support.events import new_id

AT = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def secret_file(folder: Path, name: str, text: str) -> Path:
    """A file of mode 600."""
    path = folder / name
    path.touch(mode=0o600)
    path.write_text(text)
    return path


def channel_settings(**values: Any) -> AnyChannel:
    """A channel as the configuration has it, on loopback."""
    return TypeAdapter(AnyChannel).validate_python({"private": True, **values})


def channel(now: datetime | None = None, **values: Any) -> Channel:
    """A channel that works by this clock (by default the wall's)."""
    clock = (lambda: now) if now else (lambda: datetime.now(UTC))
    return make_channel(channel_settings(**values), clock, lambda: None)


def fact(**values: Any) -> Fact:
    """An announced alarm."""
    return Fact(
        **{
            "alarm": new_id(),
            "rule": "door_forced",
            "title": "Door forced",
            "title_zh": "强行开门",
            "priority": Priority.P2,
            "level": Level.COMMUNITY,
            "move": Move.ESCALATED,
            "community": "安静社区",
            "place": "东门岗",
            "at": AT,
            **values,
        }
    )


def message(*facts: Fact, language: Any = "zh-CN", address: str = "", link: str | None = None) -> Message:
    """A message about one or several alarms."""
    wording = Wording(SHANGHAI, link)
    return wording.compose(new_id(), "channel", language, facts or (fact(),), AT).to(address)


class NotifyingCity(City):
    """A city whose alarms are told through channels. `settings`: as below `[web.notify]`."""

    def __init__(self, database: Database, settings: Mapping[str, Any]) -> None:
        self.settings = NotifySettings.model_validate(settings)
        self._devices = itertools.count()
        roster = NotifyingRoster(DutyRoster(SHANGHAI), self.settings, new_id, CollectorRegistry())
        super().__init__(database, roster=roster)

    def new_sender(self) -> NotifySender:
        """As a hub makes one at its start."""
        return NotifySender(self.database, self.settings, self.clock, new_id, CollectorRegistry())

    def force(self, side: str = "east") -> None:
        """A door is forced: an alarm of priority 2, told to the guard post."""
        self.store(self.gateways[side].event(DoorForced(), **self._at(side)))
        self.tick()

    def duress(self, side: str = "east") -> None:
        """Priority 1."""
        data = AccessDuress(reader=f"r-{side}", credential=new_id())
        self.store(self.gateways[side].event(data, **self._at(side)))
        self.tick()

    def _at(self, side: str) -> dict[str, Any]:
        return {"device": f"d-{side}", "place": f"gate-{side}", "at": self.clock()}

    def many(self, count: int) -> None:
        """So many alarms of priority 2 at once."""
        events = [
            self.gateways["east"].event(DoorForced(), device=f"d-{next(self._devices)}", at=self.clock())
            for _ in range(count)
        ]
        self.store(*events)
        self.tick()

    def record(self, **wanted: Any) -> list[NoticeRow]:
        """What people see of it, the oldest first."""
        with self.database.read() as connection:
            return list(reversed(read_notices(connection, WHOLE, **wanted)))

    def states(self) -> list[str]:
        return [row.state for row in self.record()]

    def fare(self, channel: str) -> ChannelRow:
        with self.database.read() as connection:
            return next(row for row in read_channels(connection, self.settings) if row.name == channel)
