"""A mark may name the one gateway whose set is to be compiled anew, as an enrolment changes its card key alone."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("register_change", sa.Column("gateway_id", sa.String(39), nullable=True))
