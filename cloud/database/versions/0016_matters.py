"""Clips of open alarms that gateways hold, for which the hub itself gives commands."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0013"
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
