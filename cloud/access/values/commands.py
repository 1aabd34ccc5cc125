"""What operators tell doors, with their own reasons, and lockdowns."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, Field, StringConstraints

from cloud.access.values.base import Why, example
from protocols.access_events import DoorMode
from protocols.base import DeviceId, GatewayId, Instant


class ModeChange(BaseModel):
    """`free`, `locked`, or `normal` (back to the door's rules); `until` then, or until the next such command."""

    model_config = example(mode="free", until="2026-10-01T12:00:00+08:00", why="moving day")
    mode: DoorMode
    until: Instant | None = None
    why: Why = ""


class Asked(BaseModel):
    """The operator's own reason; it goes into the audit."""

    model_config = example(why="the resident stands outside without a card")
    why: Why = ""


class HoldRequest(BaseModel):
    """What `camera` filmed between two moments is not to be deleted at its gateway; without a camera, what each did."""

    model_config = example(
        camera="c-east", since="2026-10-01T11:30:00+08:00", until="2026-10-01T12:00:00+08:00", why="case 2026-17"
    )
    camera: DeviceId | None = None
    since: Instant
    until: Instant
    why: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]


class HoldSent(BaseModel):
    """The hold's id, with which it is ended, and the command on its way."""

    model_config = example(hold="0199a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b", command="0199a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1c")
    hold: UUID
    command: UUID


class LockdownRequest(BaseModel):
    """A lockdown of these gateways' doors, to be confirmed by another person; ways out stay open."""

    model_config = example(gateways=["gw-east"], why="a break-in is reported")
    gateways: Annotated[tuple[GatewayId, ...], Field(min_length=1, max_length=1000)]
    why: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]


class LockdownValue(BaseModel):
    """A lockdown: `asked`, `active`, `ended`, or `lapsed` when nobody confirmed it in time."""

    model_config = example(
        id="0199a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1e",
        gateways=["gw-east"],
        state="asked",
        why="a break-in is reported",
        asked_by="0199a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1f",
        asked_at="2026-05-01T12:00:00Z",
        confirm_until="2026-05-01T12:05:00Z",
    )
    id: UUID
    gateways: tuple[GatewayId, ...]
    state: str
    why: str
    asked_by: UUID
    asked_at: datetime
    confirm_until: datetime
    confirmed_by: UUID | None = None
    confirmed_at: datetime | None = None
    ended_by: UUID | None = None
    ended_at: datetime | None = None
    commands: tuple[UUID, ...] = ()
    """Those that were sent just now, one a gateway."""
