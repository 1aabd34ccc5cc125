"""Passes, and what is handed over when one is made: QR codes, or a code that is shown once."""

from datetime import datetime
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import BaseModel, Field, StringConstraints, model_validator

from cloud.access.values.base import DayMinute, DoorKeyValue, Name, example
from protocols.base import GatewayId, Instant
from protocols.rules import RuleId


class PassRequest(BaseModel):
    """A pass of a host for a guest, a recurring helper (QR codes), or a courier (a one-time code on a keypad).

    A courier's code opens the doors of `groups` in their schedules, once and within a day. `offline_s` is for how long
    after the gateway's last news of the hub it is still taken; left out, by kind.
    """

    model_config = example(
        kind="helper",
        host="0199a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b",
        label="保洁 周一、周四",
        since="2026-05-01T00:00:00+08:00",
        until="2026-08-01T00:00:00+08:00",
        days=[0, 3],
        hours=[480, 1080],
        doors=[{"gateway": "gw-east", "device": "d-lobby"}],
        groups=[],
    )
    kind: Annotated[str, StringConstraints(pattern=r"^(guest|helper|courier)$")]
    host: UUID
    label: Name
    since: Instant
    until: Instant
    days: Annotated[tuple[Annotated[int, Field(ge=0, le=6)], ...], Field(max_length=7)] = ()
    hours: tuple[DayMinute, DayMinute] | None = None
    uses: Annotated[int, Field(ge=1, le=1000)] | None = None
    offline_s: Annotated[int, Field(ge=0, le=366 * 86_400)] | None = None
    doors: Annotated[tuple[DoorKeyValue, ...], Field(max_length=32)] = ()
    groups: Annotated[tuple[RuleId, ...], Field(max_length=16)] = ()

    @model_validator(mode="after")
    def _has_sound_bounds(self) -> Self:
        if self.until <= self.since:
            raise ValueError("until: the pass ends before it begins")
        if self.hours is not None and self.hours[0] >= self.hours[1]:
            raise ValueError("hours: they end before they begin; make two passes for hours that cross midnight")
        if not self.doors and not self.groups:
            raise ValueError("doors: name at least one door or door group")
        if self.kind == "courier" and (self.doors or self.days or self.hours):
            raise ValueError("kind: a courier's code has door groups and their schedules, no doors, days or hours")
        return self


_PASS_EXAMPLE: dict[str, Any] = {
    "id": "0199a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a20",
    "kind": "guest",
    "host": "0199a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b",
    "label": "亲戚来访",
    "since": "2026-05-01T08:00:00+08:00",
    "until": "2026-05-01T20:00:00+08:00",
    "ends_at": "2026-05-01T20:00:00+08:00",
    "uses": 4,
    "offline_s": 86_400,
    "doors": [{"gateway": "gw-east", "device": "d-lobby"}],
    "created_at": "2026-04-30T09:00:00Z",
}


class PassValue(BaseModel):
    """A pass as it stands. `ends_at` is when it really ends: by itself, revoked, or with its host's lease."""

    model_config = example(**_PASS_EXAMPLE)
    id: UUID
    kind: str
    host: UUID
    label: str
    since: datetime
    until: datetime
    ends_at: datetime
    days: tuple[int, ...] = ()
    hours: tuple[int, int] | None = None
    uses: int | None = None
    offline_s: int | None = None
    doors: tuple[DoorKeyValue, ...] = ()
    groups: tuple[RuleId, ...] = ()
    created_at: datetime
    created_by: UUID | None = None
    revoked_at: datetime | None = None


class QrCode(BaseModel):
    """A QR code for the doors of one gateway: the text, the picture (SVG), and when it runs out (31 days at most)."""

    model_config = example(
        gateway="gw-east",
        token="GQ1.eyJyZWYiOiIwMTk5YTFiMiJ9.1f0c9a7be2d34c56.c2lnbmF0dXJl",  # noqa: S106 (an example)
        svg="<svg xmlns='http://www.w3.org/2000/svg'/>",
        since="2026-05-01T08:00:00+08:00",
        until="2026-05-01T20:00:00+08:00",
    )
    gateway: GatewayId
    token: str = Field(repr=False)
    svg: str = Field(repr=False)
    since: datetime
    until: datetime


class IssuedPass(BaseModel):
    """A pass with what is handed over: QR codes, or a courier's code, which is shown this once."""

    model_config = example(
        id="0199a1b2-7c3d-7e4f-8a5b-6c7d8e9f0a20",
        access_pass=_PASS_EXAMPLE,
        code="402913",
        qr_codes=[],
    )
    id: UUID
    access_pass: PassValue
    code: str | None = Field(default=None, repr=False)
    qr_codes: tuple[QrCode, ...] = ()
