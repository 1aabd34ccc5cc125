"""Alarms and their steps may be deleted, as retention does, once the alarm is closed for a month; an index finds them.

Until then, and as long as an alarm is open, the database itself refuses; a step, whose time nobody can change, must be
a month old itself. That a closed alarm stays closed as it is is enforced too, so that nobody makes it older.
"""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

REFUSAL = "alarms and their steps stay"
_KEPT_S = 30 * 86400
_CLOSED = sa.text("closed_at IS NOT NULL")


def upgrade() -> None:
    op.create_index(
        "ix_alarm_closed", "alarm", ["source", "closed_at"], sqlite_where=_CLOSED, postgresql_where=_CLOSED
    )
    if op.get_bind().dialect.name == "postgresql":
        _postgresql()
    else:
        _sqlite()


def _postgresql() -> None:
    month_ago = f"(extract(epoch FROM now()) - {_KEPT_S}) * 1000000"
    for table, acts in (("alarm", "TRUNCATE"), ("alarm_step", "UPDATE OR TRUNCATE")):
        op.execute(f"DROP TRIGGER append_only ON {table}")
        op.execute(
            f"CREATE TRIGGER append_only BEFORE {acts} ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_alarm_change()"
        )
    op.execute(
        "CREATE TRIGGER kept BEFORE DELETE ON alarm FOR EACH ROW "
        f"WHEN (OLD.closed_at IS NULL OR OLD.closed_at > {month_ago}) EXECUTE FUNCTION refuse_alarm_change()"
    )
    op.execute(
        "CREATE TRIGGER stays_closed BEFORE UPDATE OF closed_at ON alarm FOR EACH ROW "
        "WHEN (OLD.closed_at IS DISTINCT FROM NEW.closed_at AND OLD.closed_at IS NOT NULL) "
        "EXECUTE FUNCTION refuse_alarm_change()"
    )
    op.execute(
        "CREATE FUNCTION refuse_young_step() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        f"IF OLD.at > {month_ago} OR EXISTS (SELECT 1 FROM alarm WHERE id = OLD.alarm_id "
        f"AND (closed_at IS NULL OR closed_at > {month_ago})) THEN "
        f"RAISE EXCEPTION '{REFUSAL}' USING ERRCODE = 'restrict_violation'; END IF; RETURN OLD; END $$"
    )
    op.execute(
        "CREATE TRIGGER kept BEFORE DELETE ON alarm_step FOR EACH ROW EXECUTE FUNCTION refuse_young_step()"
    )


def _sqlite() -> None:
    """What refuses REPLACE, which deletes without firing a DELETE trigger, stays as it is."""
    month_ago = f"(CAST(strftime('%s', 'now') AS INTEGER) - {_KEPT_S}) * 1000000"
    young_alarm = (
        f"EXISTS (SELECT 1 FROM alarm WHERE id = OLD.alarm_id AND (closed_at IS NULL OR closed_at > {month_ago}))"
    )
    for table, young in (
        ("alarm", f"OLD.closed_at IS NULL OR OLD.closed_at > {month_ago}"),
        ("alarm_step", f"OLD.at > {month_ago} OR {young_alarm}"),
    ):
        op.execute(f"DROP TRIGGER {table}_append_only_delete")
        op.execute(
            f"CREATE TRIGGER {table}_append_only_delete BEFORE DELETE ON {table} WHEN {young} "
            f"BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END"
        )
    op.execute(
        "CREATE TRIGGER alarm_stays_closed BEFORE UPDATE OF closed_at ON alarm "
        "WHEN OLD.closed_at IS NOT NULL AND OLD.closed_at IS NOT NEW.closed_at "
        f"BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END"
    )
