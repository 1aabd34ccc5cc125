"""What doors ask for (docs/doors/managing.md): areas, readers, rules, passes, leases, lockdowns."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, String, false
from sqlalchemy.orm import Mapped, mapped_column

from cloud.database.tables.base import Base
from cloud.database.tables.register import ResidencyRole


class Area(Base):
    """A part of the site that is entered and left through readers."""

    __tablename__ = "area"
    code: Mapped[str] = mapped_column(String(63), primary_key=True)
    name: Mapped[str] = mapped_column(String(120))
    anti_passback: Mapped[str] = mapped_column(String(8))
    """`protocols.rules.AntiPassback`."""
    minutes: Mapped[int]
    forgives_at: Mapped[int | None]
    """The minute after local midnight; None: never by itself."""


class Reader(Base):
    """A reader of a door, as the gateway's configuration names it, and where it leads."""

    __tablename__ = "reader"
    door_id: Mapped[UUID] = mapped_column(ForeignKey("door.id"), primary_key=True)
    device: Mapped[str] = mapped_column(String(63), primary_key=True)
    name: Mapped[str] = mapped_column(String(120))
    leads: Mapped[str] = mapped_column(String(8))
    """`cloud.access.readers.Leads`: nowhere, into `area_code`, or out of every area."""
    area_code: Mapped[str | None] = mapped_column(ForeignKey("area.code"), index=True)


class DoorRule(Base):
    """What a door asks for; one without a rule takes any credential that has a right there."""

    __tablename__ = "door_rule"
    door_id: Mapped[UUID] = mapped_column(ForeignKey("door.id"), primary_key=True)
    methods: Mapped[list[Any]]
    """Some of `protocols.access_events.AccessMethod`."""
    card_alone: Mapped[str | None] = mapped_column(ForeignKey("schedule.code"))
    free: Mapped[str | None] = mapped_column(ForeignKey("schedule.code"))
    first_card: Mapped[str | None] = mapped_column(ForeignKey("schedule.code"))
    first_card_frees: Mapped[bool]
    two_persons: Mapped[bool]
    interlock: Mapped[str | None] = mapped_column(String(63))
    keeps_list: Mapped[bool]


class AccessPass(Base):
    """What a guest, a helper or a courier was given by a host; its credential has the same id."""

    __tablename__ = "access_pass"
    id: Mapped[UUID] = mapped_column(ForeignKey("credential.id"), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    """`cloud.access.passes.PassKind`."""
    label: Mapped[str] = mapped_column(String(120))
    """Whom or what it is for, in the host's words."""
    days: Mapped[list[Any]]
    """Weekdays, Monday 0; none: all."""
    hours_since: Mapped[int | None]
    hours_until: Mapped[int | None]
    """Minutes after local midnight; None: the whole day."""
    created_at: Mapped[datetime]
    created_by: Mapped[UUID | None] = mapped_column(ForeignKey("account.id"))
    tokens_until: Mapped[datetime | None]
    """When the last QR code that was issued for it ends; until then gateways are told of it, revoked or not."""
    dropped: Mapped[bool] = mapped_column(default=False, server_default=false())
    """It is over, and gateways are told of it no more."""


class AccessPassDoor(Base):
    """A door that a pass names by itself, beside those of its credential's groups."""

    __tablename__ = "access_pass_door"
    pass_id: Mapped[UUID] = mapped_column(ForeignKey("access_pass.id"), primary_key=True)
    door_id: Mapped[UUID] = mapped_column(ForeignKey("door.id"), primary_key=True, index=True)


class LeaseGrace(Base):
    """For how long after a residency's end its credentials go on, by role; none: not at all."""

    __tablename__ = "lease_grace"
    role: Mapped[ResidencyRole] = mapped_column(String(16), primary_key=True)
    grace_s: Mapped[int]


class LeaseWarning(Base):
    """A warning that a residency ends in so many days (0: it has ended, and its grace runs). Another end is warned of
    anew."""

    __tablename__ = "lease_warning"
    residency_id: Mapped[UUID] = mapped_column(ForeignKey("residency.id"), primary_key=True)
    until: Mapped[datetime] = mapped_column(primary_key=True)
    days: Mapped[int] = mapped_column(primary_key=True)
    told_at: Mapped[datetime]
    dealt_with_at: Mapped[datetime | None]
    dealt_with_by: Mapped[UUID | None]
    """The account that marked it; also in the audit, and so without a foreign key, which SQLite cannot add."""


class Lockdown(Base):
    """A lockdown of some gateways' doors: asked for by one account and confirmed by another."""

    __tablename__ = "lockdown"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    gateways: Mapped[list[Any]]
    state: Mapped[str] = mapped_column(String(16), index=True)
    """`cloud.access.lockdown.LockdownState`."""
    why: Mapped[str] = mapped_column(String(200))
    asked_by: Mapped[UUID] = mapped_column(ForeignKey("account.id"))
    asked_at: Mapped[datetime]
    confirmed_by: Mapped[UUID | None] = mapped_column(ForeignKey("account.id"))
    confirmed_at: Mapped[datetime | None]
    ended_by: Mapped[UUID | None] = mapped_column(ForeignKey("account.id"))
    ended_at: Mapped[datetime | None]
