"""Whatever changes who may open which door leaves a mark, written by triggers, so that no program can forget it."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TABLES = ("credential", "credential_group", "door", "door_group", "door_group_door", "schedule")


def upgrade() -> None:
    op.create_table(
        "register_change",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_register_change")),
    )
    if op.get_bind().dialect.name == "postgresql":
        op.execute("CREATE SEQUENCE register_change_number")
        op.execute(
            "CREATE FUNCTION mark_register_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "INSERT INTO register_change (number) VALUES (nextval('register_change_number')); RETURN NULL; END $$"
        )
        for table in TABLES:
            op.execute(
                f"CREATE TRIGGER mark_change AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON {table} "
                "FOR EACH STATEMENT EXECUTE FUNCTION mark_register_change()"
            )
        return
    for table in TABLES:
        for act in ("INSERT", "UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER mark_{table}_{act.lower()} AFTER {act} ON {table} "
                "BEGIN INSERT OR IGNORE INTO register_change (number) VALUES (1); END"
            )
