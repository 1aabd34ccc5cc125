"""Messages, secrets and channels for tests."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import TypeAdapter

from cloud.alarms.states import Level, Move, Priority
from cloud.notify.channels import Channel, make_channel
from cloud.notify.settings import AnyChannel
from cloud.notify.wording import Fact, Message, Wording
from tests.support.events import new_id

SHANGHAI = ZoneInfo("Asia/Shanghai")
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
