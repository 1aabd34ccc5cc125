"""The organisation of a city: divisions, grids, joint-household units, households, and a path for each place."""

from uuid import UUID

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_SEGMENT_BYTES = 8


def upgrade() -> None:
    _new_tables()
    op.add_column("residency", sa.Column("household_id", sa.Uuid(), nullable=True))
    op.create_index(op.f("ix_residency_household_id"), "residency", ["household_id"])
    for name in ("household_id", "grid_id", "joint_unit_id"):
        op.add_column("event", sa.Column(name, sa.Uuid(), nullable=True))
    op.add_column("account", sa.Column("place_id", sa.Uuid(), nullable=True))
    op.add_column("account", sa.Column("grid_id", sa.Uuid(), nullable=True))
    op.add_column("place", sa.Column("division_code", sa.String(length=12), nullable=True))
    op.create_index(op.f("ix_place_division_code"), "place", ["division_code"])
    is_sqlite = op.get_bind().dialect.name == "sqlite"  # which keeps the default: it cannot take one away
    empty = sa.text("x''" if is_sqlite else "''")
    op.add_column("place", sa.Column("path", sa.LargeBinary(), nullable=False, server_default=empty))
    _fill_paths()
    if not is_sqlite:
        op.alter_column("place", "path", server_default=None)
    op.create_index(op.f("ix_place_path"), "place", ["path"])


def _new_tables() -> None:
    op.create_table(
        "division",
        sa.Column("code", sa.String(length=12), nullable=False),
        sa.Column("since", sa.Date(), nullable=False),
        sa.Column("until", sa.Date(), nullable=True),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("parent_code", sa.String(length=12), nullable=True),
        sa.Column("provisional", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("code", "since", name=op.f("pk_division")),
    )
    op.create_table(
        "grid",
        *_named(),
        sa.Column("level", sa.BigInteger(), nullable=False),
        sa.Column("parent_id", sa.Uuid(), nullable=True),
        sa.Column("place_id", sa.Uuid(), nullable=False),
        *_valid(),
        sa.CheckConstraint("level IN (1, 2)", name="ck_grid_level"),
        sa.ForeignKeyConstraint(["parent_id"], ["grid.id"], name=op.f("fk_grid_parent_id")),
        sa.ForeignKeyConstraint(["place_id"], ["place.id"], name=op.f("fk_grid_place_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_grid")),
        sa.UniqueConstraint("code", name=op.f("uq_grid_code")),
    )
    op.create_index(op.f("ix_grid_parent_id"), "grid", ["parent_id"])
    op.create_index(op.f("ix_grid_place_id"), "grid", ["place_id"])
    op.create_table(
        "joint_unit",
        *_named(),
        sa.Column("place_id", sa.Uuid(), nullable=False),
        sa.Column("grid_id", sa.Uuid(), nullable=True),
        *_valid(),
        sa.ForeignKeyConstraint(["place_id"], ["place.id"], name=op.f("fk_joint_unit_place_id")),
        sa.ForeignKeyConstraint(["grid_id"], ["grid.id"], name=op.f("fk_joint_unit_grid_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_joint_unit")),
        sa.UniqueConstraint("code", name=op.f("uq_joint_unit_code")),
    )
    op.create_index(op.f("ix_joint_unit_place_id"), "joint_unit", ["place_id"])
    op.create_index(op.f("ix_joint_unit_grid_id"), "joint_unit", ["grid_id"])
    for table, member in (("grid_place", "grid"), ("joint_unit_place", "joint_unit")):
        op.create_table(
            table,
            sa.Column("place_id", sa.Uuid(), nullable=False),
            *_valid(),
            sa.Column(f"{member}_id", sa.Uuid(), nullable=False),
            sa.ForeignKeyConstraint(["place_id"], ["place.id"], name=op.f(f"fk_{table}_place_id")),
            sa.ForeignKeyConstraint([f"{member}_id"], [f"{member}.id"], name=op.f(f"fk_{table}_{member}_id")),
            sa.PrimaryKeyConstraint("place_id", "since", name=op.f(f"pk_{table}")),
        )
        op.create_index(op.f(f"ix_{table}_{member}_id"), table, [f"{member}_id"])
    op.create_table(
        "household",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.Column("dwelling_id", sa.Uuid(), nullable=False),
        *_valid(),
        sa.ForeignKeyConstraint(["dwelling_id"], ["place.id"], name=op.f("fk_household_dwelling_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_household")),
        sa.UniqueConstraint("code", name=op.f("uq_household_code")),
    )
    op.create_index(op.f("ix_household_dwelling_id"), "household", ["dwelling_id"])


def _named() -> tuple[sa.Column[object], ...]:
    return (
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
    )


def _valid() -> tuple[sa.Column[object], ...]:
    return (
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=True),
    )


def _fill_paths() -> None:
    """From the roots downwards, one level after the other."""
    place = sa.table("place", sa.column("id", sa.Uuid()), sa.column("parent_id", sa.Uuid()), sa.column("path", sa.LargeBinary()))
    connection = op.get_bind()
    paths: dict[UUID | None, bytes] = {None: b""}
    waiting = connection.execute(sa.select(place.c.id, place.c.parent_id)).all()
    while waiting:
        ready = [row for row in waiting if row.parent_id in paths]
        paths |= {row.id: paths[row.parent_id] + row.id.bytes[-_SEGMENT_BYTES:] for row in ready}
        if not ready:
            raise ValueError(f"{len(waiting)} places stand under each other in a circle, {waiting[0].id} among them")
        connection.execute(
            sa.update(place).where(place.c.id == sa.bindparam("own")).values(path=sa.bindparam("new")),
            [{"own": row.id, "new": paths[row.id]} for row in ready],
        )
        waiting = [row for row in waiting if row.id not in paths]
