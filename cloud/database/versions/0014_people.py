"""Service categories; leases, contacts, vehicles and guests; holds of persons, and what persons ask of their data."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _categories()
    _residents()
    _subjects()


def _categories() -> None:
    _table(
        "service_category",
        _needed("person_id", sa.Uuid()),
        _needed("category_sealed", sa.LargeBinary()),
        _needed("category_index", sa.String(length=64)),
        _needed("basis_sealed", sa.LargeBinary()),
        _needed("officer_id", sa.Uuid()),
        _needed("since", sa.BigInteger()),
        _needed("review_at", sa.BigInteger()),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        _reference("service_category", "person_id", "person"),
        _reference("service_category", "officer_id", "account"),
        indexes=("person_id", "category_index", "officer_id", "review_at"),
    )
    op.create_table(
        "category_warning",
        _needed("entry_id", sa.Uuid()),
        _needed("review_at", sa.BigInteger()),
        sa.Column("days", sa.BigInteger(), autoincrement=False, nullable=False),
        _needed("told_at", sa.BigInteger()),
        _reference("category_warning", "entry_id", "service_category"),
        sa.PrimaryKeyConstraint("entry_id", "review_at", "days", name=op.f("pk_category_warning")),
    )


def _residents() -> None:
    _table(
        "lease",
        _needed("residency_id", sa.Uuid()),
        _needed("number", sa.String(length=64)),
        _needed("since", sa.BigInteger()),
        sa.Column("until", sa.BigInteger(), nullable=True),
        _reference("lease", "residency_id", "residency"),
        sa.UniqueConstraint("residency_id", "number", name=op.f("uq_lease_residency_id_number")),
    )
    _table(
        "contact",
        _needed("person_id", sa.Uuid()),
        _needed("name_sealed", sa.LargeBinary()),
        _needed("relation", sa.String(length=40)),
        *_phone(nullable=False),
        _reference("contact", "person_id", "person"),
        sa.UniqueConstraint("person_id", "phone_index", name=op.f("uq_contact_person_id_phone_index")),
        indexes=("phone_index", "phone_tail_index"),
    )
    _table(
        "vehicle",
        _needed("person_id", sa.Uuid()),
        _needed("plate_sealed", sa.LargeBinary()),
        _needed("plate_index", sa.String(length=64)),
        _needed("plate_tail_index", sa.String(length=64)),
        _needed("description", sa.String(length=80)),
        _needed("since", sa.BigInteger()),
        sa.Column("until", sa.BigInteger(), nullable=True),
        _reference("vehicle", "person_id", "person"),
        indexes=("person_id", "plate_index", "plate_tail_index"),
    )
    _table(
        "guest",
        _needed("dwelling_id", sa.Uuid()),
        _needed("name_sealed", sa.LargeBinary()),
        _needed("name_index", sa.String(length=64)),
        *_phone(nullable=True),
        _needed("since", sa.BigInteger()),
        _needed("until", sa.BigInteger()),
        _reference("guest", "dwelling_id", "place"),
        indexes=("dwelling_id", "phone_index", "phone_tail_index", "until"),
    )


def _subjects() -> None:
    _table(
        "person_hold",
        _needed("person_id", sa.Uuid()),
        *_cause(),
        _needed("held_at", sa.BigInteger()),
        sa.Column("held_by", sa.Uuid(), nullable=True),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_by", sa.Uuid(), nullable=True),
        indexes=("person_id",),
    )
    _table(
        "subject_request",
        _needed("person_id", sa.Uuid()),
        _needed("kind", sa.String(length=8)),
        *_cause(),
        sa.Column("asked_by", sa.Uuid(), nullable=True),
        _needed("asked_at", sa.BigInteger()),
        sa.Column("confirmed_by", sa.Uuid(), nullable=True),
        sa.Column("confirmed_at", sa.BigInteger(), nullable=True),
        sa.Column("done_at", sa.BigInteger(), nullable=True),
        _needed("is_left", sa.Boolean()),
        _reference("subject_request", "asked_by", "account"),
        _reference("subject_request", "confirmed_by", "account"),
        indexes=("person_id",),
    )


def _table(name: str, *parts: sa.Column[Any] | sa.Constraint, indexes: tuple[str, ...] = ()) -> None:
    op.create_table(name, _needed("id", sa.Uuid()), *parts, sa.PrimaryKeyConstraint("id", name=op.f(f"pk_{name}")))
    for column in indexes:
        op.create_index(op.f(f"ix_{name}_{column}"), name, [column])


def _needed(name: str, kind: sa.types.TypeEngine[Any]) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False)


def _reference(table: str, column: str, to: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [f"{to}.id"], name=op.f(f"fk_{table}_{column}"))


def _phone(*, nullable: bool) -> tuple[sa.Column[Any], ...]:
    return (
        sa.Column("phone_sealed", sa.LargeBinary(), nullable=nullable),
        sa.Column("phone_index", sa.String(length=64), nullable=nullable),
        sa.Column("phone_tail_index", sa.String(length=64), nullable=nullable),
    )


def _cause() -> tuple[sa.Column[Any], ...]:
    return (_needed("case_number", sa.String(length=64)), _needed("purpose", sa.String(length=200)))
