"""Service categories of persons: who was put into which, on what basis, by whom and until when."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from cloud.database.tables.base import Base


class ServiceCategory(Base):
    """A person's entry. It holds from `since` until `ended_at`, or else until `review_at`, when it lapses by itself.

    Which category it is, and why, is sealed: the database alone does not tell who is on which list.
    """

    __tablename__ = "service_category"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    person_id: Mapped[UUID] = mapped_column(ForeignKey("person.id"), index=True)
    category_sealed: Mapped[bytes] = mapped_column(LargeBinary)
    category_index: Mapped[str] = mapped_column(String(64), index=True)
    basis_sealed: Mapped[bytes] = mapped_column(LargeBinary)
    """The legal basis, in the officer's words."""
    officer_id: Mapped[UUID] = mapped_column(ForeignKey("account.id"), index=True)
    """Who is responsible for it."""
    since: Mapped[datetime]
    review_at: Mapped[datetime] = mapped_column(index=True)
    ended_at: Mapped[datetime | None]


class CategoryWarning(Base):
    """The officer was told that an entry lapses in so many days. Another review date is told anew."""

    __tablename__ = "category_warning"
    entry_id: Mapped[UUID] = mapped_column(ForeignKey("service_category.id"), primary_key=True)
    review_at: Mapped[datetime] = mapped_column(primary_key=True)
    days: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    told_at: Mapped[datetime]
