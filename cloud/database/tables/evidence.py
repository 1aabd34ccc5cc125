"""Clips of open alarms that gateways are told to hold."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from cloud.database.tables.base import Base

_RUNNING = text("ended_at IS NULL")


class AlarmEvidence(Base):
    """A clip of an alarm that its gateway is told to hold until the alarm is closed; `id` is the hold's name there."""

    __tablename__ = "alarm_evidence"
    __table_args__ = (
        UniqueConstraint("alarm_id", "camera", "clip_id"),
        Index("ix_alarm_evidence_running", "try_at", sqlite_where=_RUNNING, postgresql_where=_RUNNING),
    )
    id: Mapped[UUID] = mapped_column(primary_key=True)
    alarm_id: Mapped[UUID] = mapped_column(ForeignKey("alarm.id"))
    gateway_id: Mapped[str] = mapped_column(String(39))
    camera: Mapped[str] = mapped_column(String(63))
    clip_id: Mapped[UUID]
    """The event that began the clip."""
    since: Mapped[datetime]
    until: Mapped[datetime]
    asked: Mapped[bool]
    """Whether any command was sent for it."""
    corr: Mapped[UUID | None]
    """The last one."""
    ending: Mapped[bool]
    """Whether that command was to end the hold."""
    try_at: Mapped[datetime]
    """Before then no other command is sent, but for one that ends what is held."""
    tries: Mapped[int]
    """Commands in a row that the gateway did not carry out."""
    held_at: Mapped[datetime | None]
    """When the gateway last said that it holds it."""
    ended_at: Mapped[datetime | None]
