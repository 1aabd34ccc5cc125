"""What a person asks of the data about him, and cases for which nothing of it may go."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from cloud.database.tables.base import Base


class PersonHold(Base):
    """Nothing of a person's data goes while a case needs it. Without foreign keys: it is a record, like the audit."""

    __tablename__ = "person_hold"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    person_id: Mapped[UUID] = mapped_column(index=True)
    case_number: Mapped[str] = mapped_column(String(64))
    purpose: Mapped[str] = mapped_column(String(200))
    held_at: Mapped[datetime]
    held_by: Mapped[UUID | None]
    """None: the command line."""
    ended_at: Mapped[datetime | None]
    ended_by: Mapped[UUID | None]


class SubjectRequest(Base):
    """A request of a person to have, or to have erased, what the hub holds of him. Never deleted, as an audit entry."""

    __tablename__ = "subject_request"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    person_id: Mapped[UUID] = mapped_column(index=True)
    kind: Mapped[str] = mapped_column(String(8))
    """`cloud.disclosure.requests.RequestKind`."""
    purpose: Mapped[str] = mapped_column(String(200))
    case_number: Mapped[str] = mapped_column(String(64))
    asked_by: Mapped[UUID | None] = mapped_column(ForeignKey("account.id"))
    """None: the command line."""
    asked_at: Mapped[datetime]
    confirmed_by: Mapped[UUID | None] = mapped_column(ForeignKey("account.id"))
    confirmed_at: Mapped[datetime | None]
    done_at: Mapped[datetime | None]
    """When it was carried out; of an erasure: the last time."""
    is_left: Mapped[bool]
    """An erasure that a case kept from going through: the hub tries again every hour."""
