"""How a city organises its places: divisions, grids, joint-household units, households; each with its validity."""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from cloud.database.tables.base import Base


class Division(Base):
    """A division of GB/T 2260 (codes of county level and above), valid from `since` until `until`.

    `provisional` marks a code that the standard does not list: that of a zone which is run like a district.
    """

    __tablename__ = "division"
    code: Mapped[str] = mapped_column(String(12), primary_key=True)
    since: Mapped[date] = mapped_column(primary_key=True)
    until: Mapped[date | None]
    name: Mapped[str] = mapped_column(String(120))
    parent_code: Mapped[str | None] = mapped_column(String(12))
    provisional: Mapped[bool]


class Grid(Base):
    """A grid of level 1, or one of level 2 within it. Its code follows the pattern that the hub is configured with."""

    __tablename__ = "grid"
    __table_args__ = (CheckConstraint("level IN (1, 2)", name="ck_grid_level"),)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(String(64), unique=True)
    name: Mapped[str] = mapped_column(String(120))
    level: Mapped[int]
    parent_id: Mapped[UUID | None] = mapped_column(ForeignKey("grid.id"), index=True)
    place_id: Mapped[UUID] = mapped_column(ForeignKey("place.id"), index=True)
    """The village, community or township that it divides."""
    since: Mapped[datetime]
    until: Mapped[datetime | None]


class GridPlace(Base):
    """A dwelling or an entrance lies in a grid from `since` until `until`; intervals of one place never overlap."""

    __tablename__ = "grid_place"
    place_id: Mapped[UUID] = mapped_column(ForeignKey("place.id"), primary_key=True)
    since: Mapped[datetime] = mapped_column(primary_key=True)
    until: Mapped[datetime | None]
    grid_id: Mapped[UUID] = mapped_column(ForeignKey("grid.id"), index=True)


class JointUnit(Base):
    """A joint-household unit: some 10 to 50 neighbouring households with a head and two deputies."""

    __tablename__ = "joint_unit"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(String(64), unique=True)
    name: Mapped[str] = mapped_column(String(120))
    place_id: Mapped[UUID] = mapped_column(ForeignKey("place.id"), index=True)
    """The village or community that it belongs to."""
    grid_id: Mapped[UUID | None] = mapped_column(ForeignKey("grid.id"), index=True)
    since: Mapped[datetime]
    until: Mapped[datetime | None]


class JointUnitPlace(Base):
    """A dwelling lies in a joint-household unit from `since` until `until`; intervals of one dwelling never overlap."""

    __tablename__ = "joint_unit_place"
    place_id: Mapped[UUID] = mapped_column(ForeignKey("place.id"), primary_key=True)
    since: Mapped[datetime] = mapped_column(primary_key=True)
    until: Mapped[datetime | None]
    joint_unit_id: Mapped[UUID] = mapped_column(ForeignKey("joint_unit.id"), index=True)


class Household(Base):
    """Who keep house together in a dwelling; a dwelling may have several, at once and one after another."""

    __tablename__ = "household"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(String(64), unique=True)
    dwelling_id: Mapped[UUID] = mapped_column(ForeignKey("place.id"), index=True)
    since: Mapped[datetime]
    until: Mapped[datetime | None]
