"""The register: places, persons, residencies, credentials, doors."""

from datetime import date, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, LargeBinary, String, UniqueConstraint, false, text
from sqlalchemy.orm import Mapped, mapped_column

from cloud.database.tables.base import Base


class PlaceKind(StrEnum):
    """From the widest to the narrowest. A hub of one compound needs nothing above it."""

    CITY = "city"
    DISTRICT = "district"
    """District or county, and what is run like one."""
    TOWNSHIP = "township"
    """Township, town or street."""
    COMMUNITY = "community"
    """Village or community."""
    COMPOUND = "compound"
    """A residential compound."""
    BUILDING = "building"
    UNIT = "unit"
    DWELLING = "dwelling"
    ENTRANCE = "entrance"
    """A gate, lobby or lane: where doors and cameras stand."""


class Place(Base):
    """A node of the tree of places. `code` is what gateways and import files call it.

    `path` is the path of the parent followed by 8 bytes of this place's own: the path of whatever lies below a place
    begins with that place's (`cloud.register.paths`).
    """

    __tablename__ = "place"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    parent_id: Mapped[UUID | None] = mapped_column(ForeignKey("place.id"), index=True)
    kind: Mapped[PlaceKind] = mapped_column(String(16))
    code: Mapped[str] = mapped_column(String(64), unique=True)
    name: Mapped[str] = mapped_column(String(120))
    division_code: Mapped[str | None] = mapped_column(String(12), index=True)
    """Its GB/T 2260 code (6 digits), or that code continued to a township (9) or a village (12)."""
    path: Mapped[bytes] = mapped_column(LargeBinary, index=True)


class Person(Base):
    __tablename__ = "person"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(120))
    id_number_sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    id_number_index: Mapped[str | None] = mapped_column(String(64), unique=True)
    id_tail_index: Mapped[str | None] = mapped_column(String(64), index=True)
    """Of the last four characters."""
    phone_sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    phone_index: Mapped[str | None] = mapped_column(String(64), index=True)
    """Of the digits (`cloud.register.sealed.phone_digits`); a household may share a phone."""
    phone_tail_index: Mapped[str | None] = mapped_column(String(64), index=True)


class ResidencyRole(StrEnum):
    OWNER = "owner"
    TENANT = "tenant"
    FAMILY = "family"
    LODGER = "lodger"


class Residency(Base):
    """A person lives in (or owns) a dwelling from `since` until `until`."""

    __tablename__ = "residency"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    person_id: Mapped[UUID] = mapped_column(ForeignKey("person.id"), index=True)
    dwelling_id: Mapped[UUID] = mapped_column(ForeignKey("place.id"), index=True)
    role: Mapped[ResidencyRole] = mapped_column(String(16))
    since: Mapped[datetime]
    until: Mapped[datetime | None]
    household_id: Mapped[UUID | None] = mapped_column(index=True)
    """The `organisation.Household` that the person belongs to there; without a foreign key, which SQLite cannot add."""


class Credential(Base):
    """A card, PIN, plate or pass, held by a person from `since` until `until`; `revoked_at` ends it at once.

    `number_sealed` is what the kind is known by: the card's number, the PIN, the plate, and for a pass its own id. For
    a pass the person is the host. A card that was revoked may be given to another person: that is another credential,
    so that past events stay linked to who held it then.
    """

    __tablename__ = "credential"
    __table_args__ = (
        Index(
            "uq_credential_number_index_in_use",
            "number_index",
            unique=True,
            sqlite_where=text("revoked_at IS NULL"),
            postgresql_where=text("revoked_at IS NULL"),
        ),
    )
    id: Mapped[UUID] = mapped_column(primary_key=True)
    person_id: Mapped[UUID] = mapped_column(ForeignKey("person.id"), index=True)
    number_sealed: Mapped[bytes] = mapped_column(LargeBinary)
    number_index: Mapped[str] = mapped_column(String(64))
    since: Mapped[datetime | None]
    until: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    kind: Mapped[str] = mapped_column(String(8), default="card", server_default="card")
    """`protocols.credentials.CredentialKind`."""
    pin_sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    """The PIN that goes with a card."""
    duress_pin_sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    """That of the same card which raises a silent alarm."""
    duress: Mapped[bool] = mapped_column(default=False, server_default=false())
    """A credential that always raises a silent alarm."""
    uses: Mapped[int | None]
    offline_s: Mapped[int | None]
    """For how long after the gateway's last news of the hub it is taken."""
    first: Mapped[bool] = mapped_column(default=False, server_default=false())
    """Counts as a first card."""


class Door(Base):
    """A door of a gateway; `device` is its id in the gateway's configuration."""

    __tablename__ = "door"
    __table_args__ = (UniqueConstraint("gateway_id", "device"),)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    gateway_id: Mapped[str] = mapped_column(ForeignKey("gateway.id"))
    device: Mapped[str] = mapped_column(String(63))
    place_id: Mapped[UUID] = mapped_column(ForeignKey("place.id"))
    name: Mapped[str] = mapped_column(String(120))


class Schedule(Base):
    """A week; `intervals` is a list of [weekday, since minute, until minute], weekday 7 for holidays."""

    __tablename__ = "schedule"
    code: Mapped[str] = mapped_column(String(63), primary_key=True)
    name: Mapped[str] = mapped_column(String(120))
    intervals: Mapped[list[Any]]
    heeds_holidays: Mapped[bool] = mapped_column(default=False, server_default=false())


class SpecialDay(Base):
    """A public holiday, or a make-up workday, of the State Council's yearly notice."""

    __tablename__ = "special_day"
    day: Mapped[date] = mapped_column(primary_key=True)
    counts_as: Mapped[int]
    """`protocols.rules.Weekday`: 7 for a holiday, else the weekday whose hours hold."""
    name: Mapped[str] = mapped_column(String(120))


class DoorGroup(Base):
    __tablename__ = "door_group"
    code: Mapped[str] = mapped_column(String(63), primary_key=True)
    name: Mapped[str] = mapped_column(String(120))
    schedule_code: Mapped[str] = mapped_column(ForeignKey("schedule.code"))


class DoorGroupDoor(Base):
    __tablename__ = "door_group_door"
    group_code: Mapped[str] = mapped_column(ForeignKey("door_group.code"), primary_key=True)
    door_id: Mapped[UUID] = mapped_column(ForeignKey("door.id"), primary_key=True)


class CredentialGroup(Base):
    __tablename__ = "credential_group"
    credential_id: Mapped[UUID] = mapped_column(ForeignKey("credential.id"), primary_key=True)
    group_code: Mapped[str] = mapped_column(ForeignKey("door_group.code"), primary_key=True, index=True)
