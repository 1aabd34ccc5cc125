"""Whom an account is bound to at a provider of log-ins (OpenID Connect)."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "account_subject",
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("issuer", sa.String(length=500), nullable=False),
        sa.Column("subject", sa.String(length=255), nullable=False),
        sa.Column("bound_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_account_subject_account_id")),
        sa.PrimaryKeyConstraint("account_id", name=op.f("pk_account_subject")),
        sa.UniqueConstraint("issuer", "subject", name=op.f("uq_account_subject_issuer_subject")),
    )
