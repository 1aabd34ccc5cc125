"""The database itself refuses to change or delete an entry of the audit. Who may drop triggers still can; the chain of
hashes then shows what was done."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

REFUSAL = "the audit is append-only"


def upgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        _postgresql()
    else:
        _sqlite()


def _postgresql() -> None:
    op.execute(
        "CREATE FUNCTION refuse_audit_change() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{REFUSAL}' USING ERRCODE = 'restrict_violation'; END $$"
    )
    op.execute(
        "CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_entry "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_audit_change()"
    )


def _sqlite() -> None:
    """REPLACE deletes without firing a DELETE trigger, so a number that is taken is refused before it comes to that."""
    taken = "WHEN EXISTS (SELECT 1 FROM audit_entry WHERE number = NEW.number)"
    for act, condition in (("UPDATE", ""), ("DELETE", ""), ("INSERT", taken)):
        op.execute(
            f"CREATE TRIGGER audit_entry_append_only_{act.lower()} BEFORE {act} ON audit_entry {condition} "
            f"BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END"
        )
