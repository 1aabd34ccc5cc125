"""Matters beside alarms, orders to grid members, and clips of open alarms that gateways hold by the hub's own command."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_RUNNING: dict[str, Any] = {
    "sqlite_where": sa.text("ended_at IS NULL"),
    "postgresql_where": sa.text("ended_at IS NULL"),
}


def upgrade() -> None:
    with op.batch_alter_table("command") as command:
        command.alter_column("account_id", existing_type=sa.Uuid(), nullable=True)
    _alarm_evidence()
    op.add_column("alarm", sa.Column("source", sa.String(length=16), server_default="rule", nullable=False))
    op.add_column("alarm", sa.Column("settle_by", sa.BigInteger(), nullable=True))
    op.add_column("alarm_step", sa.Column("order_id", sa.Uuid(), nullable=True))
    _matter()
    _work_order()


def _alarm_evidence() -> None:
    op.create_table(
        "alarm_evidence",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("alarm_id", sa.Uuid(), nullable=False),
        sa.Column("gateway_id", sa.String(length=39), nullable=False),
        sa.Column("camera", sa.String(length=63), nullable=False),
        sa.Column("clip_id", sa.Uuid(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column("asked", sa.Boolean(), nullable=False),
        sa.Column("corr", sa.Uuid(), nullable=True),
        sa.Column("ending", sa.Boolean(), nullable=False),
        sa.Column("try_at", sa.BigInteger(), nullable=False),
        sa.Column("tries", sa.BigInteger(), nullable=False),
        sa.Column("held_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["alarm_id"], ["alarm.id"], name=op.f("fk_alarm_evidence_alarm_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alarm_evidence")),
        sa.UniqueConstraint("alarm_id", "camera", "clip_id", name=op.f("uq_alarm_evidence_alarm_id_camera_clip_id")),
    )
    op.create_index("ix_alarm_evidence_running", "alarm_evidence", ["try_at"], **_RUNNING)


def _matter() -> None:
    op.create_table(
        "matter",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("number", sa.String(length=16), nullable=False),
        sa.Column("kind", sa.String(length=31), nullable=False),
        sa.Column("title", sa.String(length=60), nullable=False),
        sa.Column("title_zh", sa.String(length=60), nullable=False),
        sa.Column("text", sa.String(length=2000), nullable=False),
        sa.Column("reported_by", sa.String(length=16), nullable=False),
        sa.Column("reporter_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("entered_by", sa.Uuid(), nullable=True),
        sa.Column("request_id", sa.Uuid(), nullable=True),
        sa.ForeignKeyConstraint(["id"], ["alarm.id"], name=op.f("fk_matter_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_matter")),
        sa.UniqueConstraint("entered_by", "request_id", name=op.f("uq_matter_entered_by_request_id")),
        sa.UniqueConstraint("number", name=op.f("uq_matter_number")),
    )
    op.create_table(
        "matter_number",
        sa.Column("year", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("year", name=op.f("pk_matter_number")),
    )


def _work_order() -> None:
    op.create_table(
        "work_order",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("alarm_id", sa.Uuid(), nullable=False),
        sa.Column("assignee_id", sa.Uuid(), nullable=False),
        sa.Column("given_by", sa.Uuid(), nullable=False),
        sa.Column("given_at", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("what", sa.String(length=500), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("answered_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("overdue_at", sa.BigInteger(), nullable=True),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["alarm_id"], ["alarm.id"], name=op.f("fk_work_order_alarm_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_work_order")),
    )
    op.create_index(op.f("ix_work_order_alarm_id"), "work_order", ["alarm_id"])
    op.create_index("ix_work_order_assignee_id", "work_order", ["assignee_id", "given_at"])
    op.create_index("ix_work_order_due_at", "work_order", ["due_at"], **_RUNNING)
