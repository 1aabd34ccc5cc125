"""Clips of video that gateways sent."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "clip",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("gateway_id", sa.String(length=39), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_clip")),
    )
    op.create_index(op.f("ix_clip_received_at"), "clip", ["received_at"], unique=False)
