"""Centres, who works there, duty rosters, handovers, and which person has an account.

The database itself refuses to change or delete what a roster said, and handovers with their acceptances; these may be
deleted, as retention does, once they are a month old.
"""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

REFUSAL = "rosters and handovers are only added to"
_APPEND_ONLY = {
    "duty_roster_version": "roster_id = NEW.roster_id AND number = NEW.number",
    "duty_exception": "id = NEW.id OR (roster_id = NEW.roster_id AND number = NEW.number)",
    "handover": "id = NEW.id",
    "handover_acceptance": "handover_id = NEW.handover_id",
}
"""Table -> what a row has that is there already."""
_MAY_GO = {"handover": "written_at", "handover_acceptance": "accepted_at"}
"""Table -> the moment from which its rows are kept for `_KEPT_S` at the least."""
_KEPT_S = 30 * 86400


def upgrade() -> None:
    _centre()
    _roster()
    _handover()
    op.create_table(
        "account_person",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("person_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_account_person_account_id")),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_account_person_person_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_account_person")),
        sa.UniqueConstraint("account_id", name=op.f("uq_account_person_account_id")),
    )
    op.create_index(op.f("ix_account_person_person_id"), "account_person", ["person_id"])
    if op.get_bind().dialect.name == "postgresql":
        _postgresql()
    else:
        _sqlite()


def _postgresql() -> None:
    op.execute(
        "CREATE FUNCTION refuse_duty_change() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{REFUSAL}' USING ERRCODE = 'restrict_violation'; END $$"
    )
    for table in _APPEND_ONLY:
        acts = "UPDATE OR TRUNCATE" if table in _MAY_GO else "UPDATE OR DELETE OR TRUNCATE"
        op.execute(
            f"CREATE TRIGGER append_only BEFORE {acts} ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_duty_change()"
        )
    for table, moment in _MAY_GO.items():
        op.execute(
            f"CREATE TRIGGER kept BEFORE DELETE ON {table} FOR EACH ROW "
            f"WHEN (OLD.{moment} > (extract(epoch FROM now()) - {_KEPT_S}) * 1000000) "
            "EXECUTE FUNCTION refuse_duty_change()"
        )


def _sqlite() -> None:
    """REPLACE deletes without firing a DELETE trigger, so what is there already is refused before it comes to that."""
    for table, same in _APPEND_ONLY.items():
        taken = f"WHEN EXISTS (SELECT 1 FROM {table} WHERE {same})"
        young = ""
        if table in _MAY_GO:
            young = f"WHEN OLD.{_MAY_GO[table]} > (CAST(strftime('%s', 'now') AS INTEGER) - {_KEPT_S}) * 1000000"
        for act, condition in (("UPDATE", ""), ("DELETE", young), ("INSERT", taken)):
            op.execute(
                f"CREATE TRIGGER {table}_append_only_{act.lower()} BEFORE {act} ON {table} {condition} "
                f"BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END"
            )


def _centre() -> None:
    op.create_table(
        "centre",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("place_id", sa.Uuid(), nullable=False),
        sa.Column("level", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("closed_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["place_id"], ["place.id"], name=op.f("fk_centre_place_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_centre")),
        sa.UniqueConstraint("place_id", "level", name=op.f("uq_centre_place_id_level")),
    )
    op.create_table(
        "centre_post",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("centre_id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("function", sa.String(length=60), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_centre_post_account_id")),
        sa.ForeignKeyConstraint(["centre_id"], ["centre.id"], name=op.f("fk_centre_post_centre_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_centre_post")),
    )
    op.create_index(op.f("ix_centre_post_account_id"), "centre_post", ["account_id"])
    op.create_index(op.f("ix_centre_post_centre_id"), "centre_post", ["centre_id"])


def _roster() -> None:
    op.create_table(
        "duty_roster",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("centre_id", sa.Uuid(), nullable=False),
        sa.Column("code", sa.String(length=31), nullable=False),
        sa.ForeignKeyConstraint(["centre_id"], ["centre.id"], name=op.f("fk_duty_roster_centre_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_duty_roster")),
        sa.UniqueConstraint("centre_id", "code", name=op.f("uq_duty_roster_centre_id_code")),
    )
    op.create_table(
        "duty_roster_version",
        sa.Column("roster_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("since", sa.Date(), nullable=False),
        sa.Column("until", sa.Date(), nullable=True),
        sa.Column("plan", sa.JSON(), nullable=False),
        sa.Column("written_at", sa.BigInteger(), nullable=False),
        sa.Column("written_by", sa.Uuid(), nullable=True),
        sa.ForeignKeyConstraint(["roster_id"], ["duty_roster.id"], name=op.f("fk_duty_roster_version_roster_id")),
        sa.PrimaryKeyConstraint("roster_id", "number", name=op.f("pk_duty_roster_version")),
    )
    op.create_table(
        "duty_exception",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("roster_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("shift", sa.String(length=60), nullable=False),
        sa.Column("members", sa.JSON(), nullable=True),
        sa.Column("note", sa.String(length=200), nullable=False),
        sa.Column("written_at", sa.BigInteger(), nullable=False),
        sa.Column("written_by", sa.Uuid(), nullable=True),
        sa.ForeignKeyConstraint(["roster_id"], ["duty_roster.id"], name=op.f("fk_duty_exception_roster_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_duty_exception")),
        sa.UniqueConstraint("roster_id", "number", name=op.f("uq_duty_exception_roster_id_number")),
    )
    op.create_index(op.f("ix_duty_exception_day"), "duty_exception", ["day"])


def _handover() -> None:
    op.create_table(
        "handover",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("centre_id", sa.Uuid(), nullable=False),
        sa.Column("written_at", sa.BigInteger(), nullable=False),
        sa.Column("written_by", sa.Uuid(), nullable=False),
        sa.Column("accept_by", sa.BigInteger(), nullable=False),
        sa.Column("note", sa.String(length=2000), nullable=False),
        sa.Column("special", sa.String(length=500), nullable=False),
        sa.Column("open_items", sa.JSON(), nullable=False),
        sa.Column("more", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["centre_id"], ["centre.id"], name=op.f("fk_handover_centre_id")),
        sa.ForeignKeyConstraint(["written_by"], ["account.id"], name=op.f("fk_handover_written_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_handover")),
    )
    op.create_index(op.f("ix_handover_centre_id"), "handover", ["centre_id"])
    op.create_index(op.f("ix_handover_written_at"), "handover", ["written_at"])
    op.create_table(
        "handover_acceptance",
        sa.Column("handover_id", sa.Uuid(), nullable=False),
        sa.Column("accepted_at", sa.BigInteger(), nullable=False),
        sa.Column("accepted_by", sa.Uuid(), nullable=False),
        sa.Column("note", sa.String(length=500), nullable=False),
        sa.ForeignKeyConstraint(["accepted_by"], ["account.id"], name=op.f("fk_handover_acceptance_accepted_by")),
        sa.ForeignKeyConstraint(["handover_id"], ["handover.id"], name=op.f("fk_handover_acceptance_handover_id")),
        sa.PrimaryKeyConstraint("handover_id", name=op.f("pk_handover_acceptance")),
    )
