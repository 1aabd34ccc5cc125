"""Who is there: a gateway's birth and last will, and the hub's own.

Both are retained. A session number tells a late will from the birth that followed it: an offline of an older session
is ignored.
"""

from enum import StrEnum
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, StringConstraints

from protocols.base import Hex256, Message
from protocols.events import ClockState


class Presence(StrEnum):
    ONLINE = "online"
    OFFLINE = "offline"


class CredentialsApplied(Message):
    """The credential set that decides at the doors now."""

    version: Annotated[int, Field(ge=0)]
    digest: Hex256


class GatewayState(Message):
    """Retained on `up/state`; the will is the same with `offline` and without the optional fields."""

    v: Literal[1] = 1
    state: Presence
    session: Annotated[int, Field(ge=1)]
    version: Annotated[str, StringConstraints(max_length=40)] | None = None
    stream: UUID | None = None
    outbox_rows: Annotated[int, Field(ge=0)] | None = None
    clock: ClockState | None = None
    credentials: CredentialsApplied | None = None
    policy_format: Annotated[int, Field(ge=1, le=1000)] | None = None
    """The newest format of rows and rules that it reads; None: 1."""


class HubState(Message):
    """Retained on `gh/v1/hub/state`."""

    v: Literal[1] = 1
    state: Presence
    session: Annotated[int, Field(ge=1)]
