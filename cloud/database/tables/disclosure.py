"""Who asked for more of a person than the mask tells."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from cloud.database.tables.base import Base


class HistoryLook(Base):
    """A request for a person's history. The person may be erased while it stays, so without a foreign key."""

    __tablename__ = "history_look"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    person_id: Mapped[UUID]
    purpose: Mapped[str] = mapped_column(String(200))
    case_number: Mapped[str] = mapped_column(String(64))
    since: Mapped[datetime]
    until: Mapped[datetime]
    asked_by: Mapped[UUID] = mapped_column(ForeignKey("account.id"), index=True)
    asked_at: Mapped[datetime] = mapped_column(index=True)
    needs_second: Mapped[bool]
    confirmed_by: Mapped[UUID | None] = mapped_column(ForeignKey("account.id"))
    confirmed_at: Mapped[datetime | None]


class AuditSubject(Base):
    """That an entry of the audit is about a person: an index, which the entry's own detail repeats.

    Without a foreign key, so that the audit's own refusal is what whoever tries to change it meets.
    """

    __tablename__ = "audit_subject"
    person_id: Mapped[UUID] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, index=True)
