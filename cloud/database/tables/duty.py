"""Who is on duty where: centres and guard posts, who works there, rosters and what was changed for one date, handovers.

Rosters, exceptions and handovers are only added to. What was written later does not change who was on duty before.
"""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from cloud.database.tables.base import Base


class Centre(Base):
    """A centre of one of the three levels, or a guard post (level 0), at a place; one of each level at each place."""

    __tablename__ = "centre"
    __table_args__ = (UniqueConstraint("place_id", "level"),)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    place_id: Mapped[UUID] = mapped_column(ForeignKey("place.id"))
    level: Mapped[int]
    """`cloud.alarms.states.Level`."""
    name: Mapped[str] = mapped_column(String(120))
    closed_at: Mapped[datetime | None]


class CentrePost(Base):
    """What an account is at a centre, from `since` until `until`."""

    __tablename__ = "centre_post"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    centre_id: Mapped[UUID] = mapped_column(ForeignKey("centre.id"), index=True)
    account_id: Mapped[UUID] = mapped_column(ForeignKey("account.id"), index=True)
    function: Mapped[str] = mapped_column(String(60))
    since: Mapped[datetime]
    until: Mapped[datetime | None]


class DutyRosterName(Base):
    """A roster of a centre; what it says is in its versions."""

    __tablename__ = "duty_roster"
    __table_args__ = (UniqueConstraint("centre_id", "code"),)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    centre_id: Mapped[UUID] = mapped_column(ForeignKey("centre.id"))
    code: Mapped[str] = mapped_column(String(31))


class DutyRosterVersion(Base):
    """What a roster says of the days from `since` until `until`; of several the newest that covers a day holds."""

    __tablename__ = "duty_roster_version"
    roster_id: Mapped[UUID] = mapped_column(ForeignKey("duty_roster.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    since: Mapped[date]
    until: Mapped[date | None]
    plan: Mapped[dict[str, Any]]
    """`cloud.duty.plan.RosterPlan`."""
    written_at: Mapped[datetime]
    written_by: Mapped[UUID | None]


class DutyException(Base):
    """Who works a shift of one date instead of those of the roster; of several the newest holds."""

    __tablename__ = "duty_exception"
    __table_args__ = (UniqueConstraint("roster_id", "number"),)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    roster_id: Mapped[UUID] = mapped_column(ForeignKey("duty_roster.id"))
    number: Mapped[int]
    day: Mapped[date] = mapped_column(index=True)
    shift: Mapped[str] = mapped_column(String(60))
    members: Mapped[list[Any] | None]
    """User names; none: as the roster says, again."""
    note: Mapped[str] = mapped_column(String(200))
    written_at: Mapped[datetime]
    written_by: Mapped[UUID | None]


class Handover(Base):
    """What somebody leaves to whoever comes next at a centre."""

    __tablename__ = "handover"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    centre_id: Mapped[UUID] = mapped_column(ForeignKey("centre.id"), index=True)
    written_at: Mapped[datetime] = mapped_column(index=True)
    written_by: Mapped[UUID] = mapped_column(ForeignKey("account.id"))
    accept_by: Mapped[datetime]
    note: Mapped[str] = mapped_column(String(2000))
    special: Mapped[str] = mapped_column(String(500))
    """What needs watching."""
    open_items: Mapped[list[Any]]
    """The alarms and matters that were open then, as the hub found them (`cloud.duty.values.OpenItem`)."""
    more: Mapped[bool]
    """There were more than are listed."""


class HandoverAcceptance(Base):
    """Who accepted a handover; its key lets one alone."""

    __tablename__ = "handover_acceptance"
    handover_id: Mapped[UUID] = mapped_column(ForeignKey("handover.id"), primary_key=True)
    accepted_at: Mapped[datetime]
    accepted_by: Mapped[UUID] = mapped_column(ForeignKey("account.id"))
    note: Mapped[str] = mapped_column(String(500))


class AccountPerson(Base):
    """Which person of the register has an account: the head of a unit is told by it."""

    __tablename__ = "account_person"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[UUID] = mapped_column(ForeignKey("account.id"), unique=True)
    person_id: Mapped[UUID] = mapped_column(ForeignKey("person.id"), index=True)
