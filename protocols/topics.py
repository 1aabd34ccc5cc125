"""The topic layout: `gh/v1/{gateway}/{up|down}/...`, so that one broker ACL pattern covers a gateway.

No name of a door, a person or a site stands in a topic: logs leak them, and a renaming would break ACLs.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from protocols.base import ProtocolError

ROOT = "gh/v1"
HUB_STATE = f"{ROOT}/hub/state"
"""Retained: the hub's presence; outboxes stay shut while it says offline."""

HUB_STORED = f"{ROOT}/hub/stored"
"""Between the hub's own clients: something was stored, look at the database. Empty, QoS 0; nobody reads its content."""

UP_FILTER = f"{ROOT}/+/up/#"
_GATEWAY = re.compile(r"[a-z0-9][a-z0-9-]{0,38}")
RESERVED_GATEWAYS = frozenset({"hub"})


class EventClass(StrEnum):
    """The last level of an event topic. A batch holds events of any class."""

    ACCESS = "access"
    ALARM = "alarm"
    VIDEO = "video"
    DEVICE = "device"
    BATCH = "batch"


class Channel(StrEnum):
    """What a gateway's upward topic carries."""

    EVENT = "event"
    STATE = "state"
    RESPONSE = "resp"
    ASK = "ask"


@dataclass(frozen=True)
class UpTopic:
    """A parsed upward topic; `detail` is the event class or the command's correlation id, else empty."""

    gateway: str
    channel: Channel
    detail: str = ""


def event(gateway: str, event_class: EventClass) -> str:
    return f"{ROOT}/{gateway}/up/event/{event_class}"


def state(gateway: str) -> str:
    return f"{ROOT}/{gateway}/up/state"


def response(gateway: str, corr: UUID) -> str:
    return f"{ROOT}/{gateway}/up/resp/{corr}"


def ask(gateway: str) -> str:
    return f"{ROOT}/{gateway}/up/ask"


def command(gateway: str, corr: UUID) -> str:
    return f"{ROOT}/{gateway}/down/cmd/{corr}"


def command_filter(gateway: str) -> str:
    return f"{ROOT}/{gateway}/down/cmd/+"


def receipt(gateway: str) -> str:
    return f"{ROOT}/{gateway}/down/receipt"


def echo(gateway: str) -> str:
    return f"{ROOT}/{gateway}/down/echo"


def configuration(gateway: str) -> str:
    return f"{ROOT}/{gateway}/down/config"


def credential_head(gateway: str) -> str:
    return f"{ROOT}/{gateway}/down/cred"


def credential_delta(gateway: str) -> str:
    return f"{ROOT}/{gateway}/down/cred/delta"


def credential_snapshot(gateway: str) -> str:
    """Not a topic of the broker: what a snapshot, fetched over HTTP, is sealed for."""
    return f"{ROOT}/{gateway}/down/cred/snapshot"


def parse_up(topic: str) -> UpTopic:
    """Read an upward topic.

    Raises:
        ProtocolError: for anything else, another version included.
    """
    levels = topic.split("/")
    if levels[:2] != ROOT.split("/"):
        raise ProtocolError(f"topic {topic!r} is not of version {ROOT!r}")
    match levels[2:]:
        case [gateway, "up", "event", kind] if _is_gateway(gateway) and kind in EventClass.__members__.values():
            return UpTopic(gateway, Channel.EVENT, kind)
        case [gateway, "up", "state"] if _is_gateway(gateway):
            return UpTopic(gateway, Channel.STATE)
        case [gateway, "up", "resp", corr] if _is_gateway(gateway):
            return UpTopic(gateway, Channel.RESPONSE, corr)
        case [gateway, "up", "ask"] if _is_gateway(gateway):
            return UpTopic(gateway, Channel.ASK)
        case _:
            raise ProtocolError(f"unknown topic {topic!r}")


def _is_gateway(name: str) -> bool:
    return _GATEWAY.fullmatch(name) is not None and name not in RESERVED_GATEWAYS
