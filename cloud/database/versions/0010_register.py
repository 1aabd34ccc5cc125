"""The register: what persons are found by, the history of its entries, the state of the key, Anshun's divisions."""

import csv
from datetime import date
from importlib.resources import files

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for name in ("id_tail_index", "phone_index", "phone_tail_index"):
        op.add_column("person", sa.Column(name, sa.String(length=64), nullable=True))
        op.create_index(op.f(f"ix_person_{name}"), "person", [name])
    op.create_table(
        "register_history",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=True),
        sa.Column("source", sa.String(length=120), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("entry_id", sa.Uuid(), nullable=False),
        sa.Column("act", sa.String(length=8), nullable=False),
        sa.Column("before_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("after_sealed", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_register_history")),
    )
    op.create_index("ix_register_history_entry_id_at", "register_history", ["entry_id", "at"])
    op.create_table(
        "vault_state",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("key_check", sa.String(length=64), nullable=False),
        sa.Column("next_key_check", sa.String(length=64), nullable=True),
        sa.Column("done", sa.String(length=200), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_vault_state")),
    )
    _add_posts()
    _add_divisions()


def _add_posts() -> None:
    op.create_table(
        "post",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("person_id", sa.Uuid(), nullable=False),
        sa.Column("grid_id", sa.Uuid(), nullable=True),
        sa.Column("joint_unit_id", sa.Uuid(), nullable=True),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("(grid_id IS NULL) <> (joint_unit_id IS NULL)", name="ck_post_of_one"),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_post_person_id")),
        sa.ForeignKeyConstraint(["grid_id"], ["grid.id"], name=op.f("fk_post_grid_id")),
        sa.ForeignKeyConstraint(["joint_unit_id"], ["joint_unit.id"], name=op.f("fk_post_joint_unit_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_post")),
    )
    for name in ("person_id", "grid_id", "joint_unit_id"):
        op.create_index(op.f(f"ix_post_{name}"), "post", [name])


def _add_divisions() -> None:
    division = sa.table(
        "division",
        sa.column("code", sa.String()),
        sa.column("since", sa.Date()),
        sa.column("until", sa.Date()),
        sa.column("name", sa.String()),
        sa.column("parent_code", sa.String()),
        sa.column("provisional", sa.Boolean()),
    )
    lines = files("cloud.database.versions").joinpath("0010_divisions.csv").read_text(encoding="utf-8").splitlines()
    rows = csv.DictReader(line for line in lines if not line.startswith("#"))
    op.bulk_insert(
        division,
        [
            {
                "code": row["code"],
                "since": date.fromisoformat(row["since"]),
                "until": date.fromisoformat(row["until"]) if row["until"] else None,
                "name": row["name"],
                "parent_code": row["parent_code"] or None,
                "provisional": row["provisional"] == "yes",
            }
            for row in rows
        ],
    )
