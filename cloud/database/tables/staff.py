"""Whose job it is: who leads and walks a grid, who heads a joint-household unit."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from cloud.database.tables.base import Base


class PostKind(StrEnum):
    """The first two are of a grid, the others of a joint-household unit."""

    GRID_LEADER = "grid_leader"
    GRID_MEMBER = "grid_member"
    UNIT_HEAD = "unit_head"
    UNIT_DEPUTY = "unit_deputy"


class Post(Base):
    """A person holds a post of a grid or of a unit from `since` until `until`."""

    __tablename__ = "post"
    __table_args__ = (CheckConstraint("(grid_id IS NULL) <> (joint_unit_id IS NULL)", name="ck_post_of_one"),)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[PostKind] = mapped_column(String(16))
    person_id: Mapped[UUID] = mapped_column(ForeignKey("person.id"), index=True)
    grid_id: Mapped[UUID | None] = mapped_column(ForeignKey("grid.id"), index=True)
    joint_unit_id: Mapped[UUID | None] = mapped_column(ForeignKey("joint_unit.id"), index=True)
    since: Mapped[datetime]
    until: Mapped[datetime | None]
