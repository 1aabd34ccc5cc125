"""Why a command was not carried out, as a code that the console tells in the reader's language."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("command", sa.Column("code", sa.String(40), nullable=False, server_default=""))
