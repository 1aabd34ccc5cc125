"""What is to be told outside the console, the messages that tell it, and each attempt to send one.

Nothing here holds a name, an address or a text: what a message says is made anew from the alarms that it is about.
"""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint, false, text
from sqlalchemy.orm import Mapped, mapped_column

from cloud.database.tables.base import Base

_IN_NO_MESSAGE = text("message_id IS NULL AND ended IS NULL")
_NOT_ENDED = text("ended_at IS NULL")


class Notice(Base):
    """A step of an alarm that a recipient of a channel is to be told; written with the step, in its transaction.

    It waits until it is put into a message, or ends without one: `ended` is then `moot` (the alarm was closed before)
    or `dropped` (the channel's queue was full).
    """

    __tablename__ = "notice"
    __table_args__ = (
        UniqueConstraint("alarm_id", "step", "channel", "recipient", name="uq_notice_step"),
        Index(
            "ix_notice_waiting",
            "channel",
            "due_at",
            sqlite_where=_IN_NO_MESSAGE,
            postgresql_where=_IN_NO_MESSAGE,
        ),
        Index("ix_notice_message_id", "message_id"),
        Index("ix_notice_made_at", "made_at"),
    )
    id: Mapped[UUID] = mapped_column(primary_key=True)
    channel: Mapped[str] = mapped_column(String(39))
    recipient: Mapped[str] = mapped_column(String(63))
    """The recipient's name in the configuration; empty for a group."""
    alarm_id: Mapped[UUID] = mapped_column(ForeignKey("alarm.id"))
    step: Mapped[int]
    level: Mapped[int]
    priority: Mapped[int]
    nobody_on_duty: Mapped[bool] = mapped_column(default=False, server_default=false())
    made_at: Mapped[datetime]
    due_at: Mapped[datetime]
    """Later than `made_at` in quiet hours."""
    message_id: Mapped[UUID | None] = mapped_column(ForeignKey("notice_message.id"))
    ended: Mapped[str | None] = mapped_column(String(16))


class NoticeMessage(Base):
    """One message to one recipient. Its id is what a receiver knows a repeat by."""

    __tablename__ = "notice_message"
    __table_args__ = (
        Index("ix_notice_message_open", "channel", "attempts", sqlite_where=_NOT_ENDED, postgresql_where=_NOT_ENDED),
    )
    id: Mapped[UUID] = mapped_column(primary_key=True)
    channel: Mapped[str] = mapped_column(String(39))
    recipient: Mapped[str] = mapped_column(String(63))
    is_test: Mapped[bool] = mapped_column(default=False, server_default=false())
    made_at: Mapped[datetime]
    state: Mapped[str] = mapped_column(String(16))
    """`cloud.notify.states.State`."""
    attempts: Mapped[int]
    retry_at: Mapped[datetime | None]
    """Not before then; that the channel waits as a whole is `NoticeChannel.retry_at`."""
    ended_at: Mapped[datetime | None]


class NoticeAttempt(Base):
    """One attempt to send a message, written before it; its outcome is filled in after it. Without one it is under way,
    or the hub was killed meanwhile."""

    __tablename__ = "notice_attempt"
    __table_args__ = (Index("ix_notice_attempt_channel_at", "channel", "at"),)
    message_id: Mapped[UUID] = mapped_column(ForeignKey("notice_message.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    channel: Mapped[str] = mapped_column(String(39))
    at: Mapped[datetime]
    took_ms: Mapped[int | None]
    outcome: Mapped[str | None] = mapped_column(String(32))
    """`sent`, or the name of the failure (`cloud.notify.states.Failure`)."""
    detail: Mapped[str] = mapped_column(String(200))
    """What the other side answered, without secrets."""


class NoticeChannel(Base):
    """How a channel fares, and which process works on it."""

    __tablename__ = "notice_channel"
    name: Mapped[str] = mapped_column(String(39), primary_key=True)
    taken_by: Mapped[UUID | None]
    taken_until: Mapped[datetime | None]
    failures: Mapped[int]
    """In a row."""
    failing_since: Mapped[datetime | None]
    last_failure: Mapped[str | None] = mapped_column(String(32))
    retry_at: Mapped[datetime | None]
    last_sent_at: Mapped[datetime | None]
