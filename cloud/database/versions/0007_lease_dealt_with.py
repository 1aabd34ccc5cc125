"""A warning that a lease ends can be marked as dealt with: when, and by which account."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("lease_warning", sa.Column("dealt_with_at", sa.BigInteger(), nullable=True))
    op.add_column("lease_warning", sa.Column("dealt_with_by", sa.Uuid(), nullable=True))
