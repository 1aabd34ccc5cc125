"""What is to be linked anew because the register was corrected, and what was: old links and new ones."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from cloud.database.tables.base import Base


class Relinking(Base):
    """Events that are to be linked anew, or were: those of a subject within an interval.

    Triggers leave one for each change of the register that could concern an event; no program has to remember to. What
    was asked for by a person stays, and so does what corrected an event.
    """

    __tablename__ = "relinking"
    __table_args__ = (
        Index(
            "ix_relinking_open",
            "number",
            sqlite_where=text("done_at IS NULL"),
            postgresql_where=text("done_at IS NULL"),
        ),
    )
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    kind: Mapped[str] = mapped_column(String(16))
    """`cloud.linking.relinking.Kind`: whose events."""
    subject_id: Mapped[UUID | None]
    gateway_id: Mapped[str | None] = mapped_column(String(39))
    device: Mapped[str | None] = mapped_column(String(63))
    since: Mapped[datetime | None]
    until: Mapped[datetime | None]
    """Of the event's time; of its receipt where all events are meant. Empty: without a bound."""
    cause: Mapped[str] = mapped_column(String(40))
    """The table that was changed, or `command`."""
    why: Mapped[str] = mapped_column(String(200), default="", server_default="")
    """The reason of whoever asked for it."""
    asked_by: Mapped[str] = mapped_column(String(63), default="", server_default="")
    """Whoever asked for it; empty for a change of the register, whose own record says who made it."""
    asked_at: Mapped[datetime]
    after_time: Mapped[datetime | None]
    after_id: Mapped[UUID | None]
    """How far it has come: to this event, by the moment and the id."""
    examined: Mapped[int] = mapped_column(default=0, server_default="0")
    corrected: Mapped[int] = mapped_column(default=0, server_default="0")
    done_at: Mapped[datetime | None]


class LinkCorrection(Base):
    """An event's links before and after it was linked anew: those that differ. Append-only, and gone with the event."""

    __tablename__ = "link_correction"
    event_id: Mapped[UUID] = mapped_column(primary_key=True)
    relinking: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    """`Relinking.number`: why and by whom."""
    at: Mapped[datetime]
    before: Mapped[dict[str, Any]]
    after: Mapped[dict[str, Any]]
