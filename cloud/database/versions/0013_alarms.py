"""Alarms with their steps, rules with their versions, and a mark for each event that a rule is to look at.

A trigger marks events, so that neither ingest nor any other writer has to know of rules: the mark is committed with the
event or not at all. The database itself refuses to change a step of an alarm, or to delete one, or an alarm.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

REFUSAL = "alarms and their steps stay"
_OPEN: dict[str, Any] = {"sqlite_where": sa.text("closed_at IS NULL"), "postgresql_where": sa.text("closed_at IS NULL")}


def upgrade() -> None:
    _alarm()
    _beside_alarms()
    _rules()
    if op.get_bind().dialect.name == "postgresql":
        _postgresql()
    else:
        _sqlite()


def _postgresql() -> None:
    op.execute(
        "CREATE FUNCTION mark_event() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "INSERT INTO event_mark (event_id) SELECT id FROM arrived "
        "WHERE type IN (SELECT type FROM rule_event_type); RETURN NULL; END $$"
    )
    op.execute(
        "CREATE TRIGGER mark_event AFTER INSERT ON event REFERENCING NEW TABLE AS arrived "
        "FOR EACH STATEMENT EXECUTE FUNCTION mark_event()"
    )
    op.execute(
        "CREATE FUNCTION refuse_alarm_change() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{REFUSAL}' USING ERRCODE = 'restrict_violation'; END $$"
    )
    for table, acts in (("alarm", "DELETE OR TRUNCATE"), ("alarm_step", "UPDATE OR DELETE OR TRUNCATE")):
        op.execute(
            f"CREATE TRIGGER append_only BEFORE {acts} ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_alarm_change()"
        )


def _sqlite() -> None:
    """REPLACE deletes without firing a DELETE trigger, so what is there already is refused before it comes to that."""
    op.execute(
        "CREATE TRIGGER mark_event AFTER INSERT ON event "
        "WHEN EXISTS (SELECT 1 FROM rule_event_type WHERE type = NEW.type) "
        "BEGIN INSERT INTO event_mark (event_id) VALUES (NEW.id); END"
    )
    taken = "WHEN EXISTS (SELECT 1 FROM {} WHERE {})"
    of_alarm, of_step = "id = NEW.id", "alarm_id = NEW.alarm_id AND number = NEW.number"
    for table, act, condition in (
        ("alarm", "DELETE", ""),
        ("alarm", "INSERT", taken.format("alarm", of_alarm)),
        ("alarm_step", "UPDATE", ""),
        ("alarm_step", "DELETE", ""),
        ("alarm_step", "INSERT", taken.format("alarm_step", of_step)),
    ):
        op.execute(
            f"CREATE TRIGGER {table}_append_only_{act.lower()} BEFORE {act} ON {table} {condition} "
            f"BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END"
        )


def _alarm() -> None:
    op.create_table(
        "alarm",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("rule", sa.String(length=63), nullable=False),
        sa.Column("rule_version", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.String(length=250), nullable=False),
        sa.Column("priority", sa.BigInteger(), nullable=False),
        sa.Column("handling", sa.String(length=16), nullable=False),
        sa.Column("condition", sa.String(length=16), nullable=False),
        sa.Column("level", sa.BigInteger(), nullable=False),
        sa.Column("audience", sa.String(length=16), nullable=False),
        sa.Column("place_id", sa.Uuid(), nullable=True),
        sa.Column("area_id", sa.Uuid(), nullable=True),
        sa.Column("grid_id", sa.Uuid(), nullable=True),
        sa.Column("gateway_id", sa.String(length=39), nullable=True),
        sa.Column("subject", sa.String(length=63), nullable=True),
        sa.Column("first_event_id", sa.Uuid(), nullable=True),
        sa.Column("last_event_id", sa.Uuid(), nullable=True),
        sa.Column("happened_at", sa.BigInteger(), nullable=False),
        sa.Column("raised_at", sa.BigInteger(), nullable=False),
        sa.Column("last_at", sa.BigInteger(), nullable=False),
        sa.Column("times", sa.BigInteger(), nullable=False),
        sa.Column("chatter_since", sa.BigInteger(), nullable=True),
        sa.Column("chatter_count", sa.BigInteger(), nullable=False),
        sa.Column("chattering", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("in_flood", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("cleared_at", sa.BigInteger(), nullable=True),
        sa.Column("clear_due_at", sa.BigInteger(), nullable=True),
        sa.Column("acked_at", sa.BigInteger(), nullable=True),
        sa.Column("acked_by", sa.Uuid(), nullable=True),
        sa.Column("handling_at", sa.BigInteger(), nullable=True),
        sa.Column("handling_by", sa.Uuid(), nullable=True),
        sa.Column("closed_at", sa.BigInteger(), nullable=True),
        sa.Column("closed_by", sa.Uuid(), nullable=True),
        sa.Column("outcome", sa.String(length=16), nullable=True),
        sa.Column("due_at", sa.BigInteger(), nullable=True),
        sa.Column("overdue", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("shelved_until", sa.BigInteger(), nullable=True),
        sa.Column("shelved_by", sa.Uuid(), nullable=True),
        sa.Column("shelved_why", sa.String(length=300), nullable=True),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alarm")),
    )
    op.create_index("ix_alarm_area_id_raised_at", "alarm", ["area_id", "raised_at"])
    op.create_index("ix_alarm_clear_due_at", "alarm", ["clear_due_at"], **_OPEN)
    op.create_index("ix_alarm_due_at", "alarm", ["due_at"], **_OPEN)
    op.create_index("ix_alarm_queue", "alarm", ["priority", "raised_at"], **_OPEN)
    op.create_index("ix_alarm_raised_at", "alarm", ["raised_at"])
    op.create_index("ix_alarm_shelved_until", "alarm", ["shelved_until"], **_OPEN)
    op.create_index("uq_alarm_key_open", "alarm", ["key"], unique=True, **_OPEN)


def _beside_alarms() -> None:
    op.create_table(
        "alarm_candidate",
        sa.Column("key", sa.String(length=250), nullable=False),
        sa.Column("rule", sa.String(length=63), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("cause", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_alarm_candidate")),
    )
    op.create_index(op.f("ix_alarm_candidate_due_at"), "alarm_candidate", ["due_at"])
    op.create_index(op.f("ix_alarm_candidate_rule"), "alarm_candidate", ["rule"])
    op.create_table(
        "alarm_flood",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("area_id", sa.Uuid(), nullable=True),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alarm_flood")),
    )
    op.create_index("ix_alarm_flood_until", "alarm_flood", ["until"])
    op.create_table(
        "alarm_step",
        sa.Column("alarm_id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=True),
        sa.Column("origin", sa.String(length=80), nullable=False),
        sa.Column("move", sa.String(length=16), nullable=False),
        sa.Column("note", sa.String(length=500), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["alarm_id"], ["alarm.id"], name=op.f("fk_alarm_step_alarm_id")),
        sa.PrimaryKeyConstraint("alarm_id", "number", name=op.f("pk_alarm_step")),
    )
    op.create_table(
        "alarm_told",
        sa.Column("alarm_id", sa.Uuid(), nullable=False),
        sa.Column("step", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["alarm_id"], ["alarm.id"], name=op.f("fk_alarm_told_alarm_id")),
        sa.PrimaryKeyConstraint("alarm_id", "step", "account_id", name=op.f("pk_alarm_told")),
    )
    op.create_index(op.f("ix_alarm_told_account_id"), "alarm_told", ["account_id"])


def _rules() -> None:
    op.create_table(
        "event_mark",
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("event_id", name=op.f("pk_event_mark")),
    )
    op.create_table(
        "rule_event_type",
        sa.Column("type", sa.String(length=80), nullable=False),
        sa.PrimaryKeyConstraint("type", name=op.f("pk_rule_event_type")),
    )
    op.create_table(
        "rule_version",
        sa.Column("code", sa.String(length=63), nullable=False),
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("written_at", sa.BigInteger(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=True),
        sa.Column("definition", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("code", "version", name=op.f("pk_rule_version")),
    )
    op.create_table(
        "care_agreement",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("person_id", sa.Uuid(), nullable=False),
        sa.Column("dwelling_id", sa.Uuid(), nullable=False),
        sa.Column("hours", sa.BigInteger(), nullable=False),
        sa.Column("consent", sa.String(length=200), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_care_agreement")),
    )
    op.create_index(op.f("ix_care_agreement_dwelling_id"), "care_agreement", ["dwelling_id"])
    op.create_index(op.f("ix_care_agreement_person_id"), "care_agreement", ["person_id"])
