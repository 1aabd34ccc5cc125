"""An index of the few events that tell of clips, by which a page finds the clips of its rows."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

OF_CLIPS = sa.text("type IN ('clip.kept.v1', 'clip.lost.v1')")


def upgrade() -> None:
    op.create_index(
        "ix_event_clips", "event", ["received_at", "id"], sqlite_where=OF_CLIPS, postgresql_where=OF_CLIPS
    )
