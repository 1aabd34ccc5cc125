"""The triggers that mark what a change of the register concerns look things up by the index of what they look for, on
PostgreSQL.

Within the transaction of an import PostgreSQL has no statistics of what it has just stored, and takes a hundred thousand
credentials for a few: it read the whole table, or the whole index of those that are not revoked, for each resident.
"""

from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "DO $$ DECLARE function regprocedure; BEGIN "
            "FOR function IN SELECT DISTINCT p.oid::regprocedure FROM pg_proc p JOIN pg_trigger t ON t.tgfoid = p.oid "
            "WHERE p.proname ~ '^(mark|relink)_' AND t.tgtype & 1 = 1 LOOP "  # for each row
            "EXECUTE replace(pg_get_functiondef(function), 'c.revoked_at IS NULL', 'coalesce(c.revoked_at, 0) = 0'); "
            "EXECUTE format('ALTER FUNCTION %s SET enable_seqscan = off', function); END LOOP; END $$"
        )
