"""What stands beside an alarm's row: a matter that somebody reported, and orders to grid members.

A matter is a row of `alarm` whose source is `matter`: state, level, limits and steps are the alarm's own. What a matter
has beyond that is here. Nothing here has a foreign key into the register.
"""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from cloud.database.tables.base import Base

_RUNNING = text("ended_at IS NULL")


class Matter(Base):
    """What was reported, by whom, and who entered it. `id` is the alarm's."""

    __tablename__ = "matter"
    __table_args__ = (UniqueConstraint("entered_by", "request_id"),)
    id: Mapped[UUID] = mapped_column(ForeignKey("alarm.id"), primary_key=True)
    number: Mapped[str] = mapped_column(String(16), unique=True)
    """The year at the community's place, and a number within it: `2026-000123`."""
    kind: Mapped[str] = mapped_column(String(31))
    title: Mapped[str] = mapped_column(String(60))
    title_zh: Mapped[str] = mapped_column(String(60))
    """The kind's words when the matter was entered."""
    text: Mapped[str] = mapped_column(String(2000))
    reported_by: Mapped[str] = mapped_column(String(16))
    """`cloud.matters.values.ReportedBy`."""
    reporter_sealed: Mapped[bytes | None]
    """Name and phone number as JSON, until retention blanks it."""
    entered_by: Mapped[UUID | None]
    """None: at the command line."""
    request_id: Mapped[UUID | None]
    """The form's own id: sent twice, it is one matter."""


class MatterNumber(Base):
    """The last number that was given in a year."""

    __tablename__ = "matter_number"
    year: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    last: Mapped[int]


class WorkOrder(Base):
    """What a grid member is asked to do about an alarm or a matter, and until when. Its steps are among the alarm's.

    `cloud.alarms.orders.OrderState` has the words of `state`. `revision` counts its changes.
    """

    __tablename__ = "work_order"
    __table_args__ = (
        Index("ix_work_order_due_at", "due_at", sqlite_where=_RUNNING, postgresql_where=_RUNNING),
        Index("ix_work_order_assignee_id", "assignee_id", "given_at"),
    )
    id: Mapped[UUID] = mapped_column(primary_key=True)
    alarm_id: Mapped[UUID] = mapped_column(ForeignKey("alarm.id"), index=True)
    assignee_id: Mapped[UUID]
    given_by: Mapped[UUID]
    given_at: Mapped[datetime]
    due_at: Mapped[datetime]
    what: Mapped[str] = mapped_column(String(500))
    state: Mapped[str] = mapped_column(String(16))
    answered_at: Mapped[datetime | None]
    """When it was accepted or refused."""
    ended_at: Mapped[datetime | None]
    """When it was done, refused or withdrawn."""
    overdue_at: Mapped[datetime | None]
    revision: Mapped[int]
