"""What the register has of residents beside their residencies: leases, contacts, vehicles, guests."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ForeignKey, LargeBinary, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from cloud.database.tables.base import Base


class Lease(Base):
    """A contract under which somebody lives in a dwelling; a residency may have several, one after the other.

    It grants and ends nothing by itself: doors go by the residency's end.
    """

    __tablename__ = "lease"
    __table_args__ = (UniqueConstraint("residency_id", "number"),)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    residency_id: Mapped[UUID] = mapped_column(ForeignKey("residency.id"))
    number: Mapped[str] = mapped_column(String(64))
    since: Mapped[datetime]
    until: Mapped[datetime | None]


class Contact(Base):
    """A number at which a person, or somebody for him, is reached, beside the person's own phone."""

    __tablename__ = "contact"
    __table_args__ = (UniqueConstraint("person_id", "phone_index"),)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    person_id: Mapped[UUID] = mapped_column(ForeignKey("person.id"))
    name_sealed: Mapped[bytes] = mapped_column(LargeBinary)
    """Who answers: another person, who may not be in the register."""
    relation: Mapped[str] = mapped_column(String(40))
    """What he is to the person, in the registrar's words."""
    phone_sealed: Mapped[bytes] = mapped_column(LargeBinary)
    phone_index: Mapped[str] = mapped_column(String(64), index=True)
    phone_tail_index: Mapped[str] = mapped_column(String(64), index=True)


class Vehicle(Base):
    """A vehicle of a person, known by its plate, from `since` until `until`; it opens nothing by itself.

    The plate is sealed as a phone number is: it leads to one person.
    """

    __tablename__ = "vehicle"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    person_id: Mapped[UUID] = mapped_column(ForeignKey("person.id"), index=True)
    plate_sealed: Mapped[bytes] = mapped_column(LargeBinary)
    plate_index: Mapped[str] = mapped_column(String(64), index=True)
    plate_tail_index: Mapped[str] = mapped_column(String(64), index=True)
    description: Mapped[str] = mapped_column(String(80))
    since: Mapped[datetime]
    until: Mapped[datetime | None]


class Guest(Base):
    """A visitor of a dwelling. It goes by itself some time after `until`."""

    __tablename__ = "guest"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    dwelling_id: Mapped[UUID] = mapped_column(ForeignKey("place.id"), index=True)
    name_sealed: Mapped[bytes] = mapped_column(LargeBinary)
    name_index: Mapped[str] = mapped_column(String(64))
    phone_sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    phone_index: Mapped[str | None] = mapped_column(String(64), index=True)
    phone_tail_index: Mapped[str | None] = mapped_column(String(64), index=True)
    since: Mapped[datetime]
    until: Mapped[datetime] = mapped_column(index=True)
