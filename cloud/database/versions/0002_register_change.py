"""Whatever changes who may open which door leaves a mark, written by triggers, so that no program can forget it."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

BY_CREDENTIAL = {"credential": "id", "credential_group": "credential_id"}
"""Table -> the column that says whose mark it is."""
FOR_ALL = ("door", "door_group", "door_group_door", "schedule")


def upgrade() -> None:
    op.create_table(
        "register_change",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("credential_id", sa.Uuid(), nullable=True),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_register_change")),
    )
    if op.get_bind().dialect.name == "postgresql":
        _postgresql()
    else:
        _sqlite()


def _postgresql() -> None:
    op.execute("CREATE SEQUENCE register_change_number")
    op.execute(
        "CREATE FUNCTION mark_register_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "INSERT INTO register_change (number) VALUES (nextval('register_change_number')); RETURN NULL; END $$"
    )
    for table in FOR_ALL:
        op.execute(
            f"CREATE TRIGGER mark_change AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION mark_register_change()"
        )
    for table, column in BY_CREDENTIAL.items():
        op.execute(
            f"CREATE FUNCTION mark_{table}_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "INSERT INTO register_change (number, credential_id) "
            f"SELECT nextval('register_change_number'), {column} FROM (SELECT DISTINCT {column} FROM changed) AS c; "
            "RETURN NULL; END $$"
        )
        for act, rows in (("INSERT", "NEW"), ("UPDATE", "NEW"), ("DELETE", "OLD")):
            op.execute(
                f"CREATE TRIGGER mark_{act.lower()} AFTER {act} ON {table} REFERENCING {rows} TABLE AS changed "
                f"FOR EACH STATEMENT EXECUTE FUNCTION mark_{table}_change()"
            )


def _sqlite() -> None:
    columns = dict.fromkeys(FOR_ALL, None) | BY_CREDENTIAL
    for table, column in columns.items():
        for act, row in (("INSERT", "NEW"), ("UPDATE", "NEW"), ("DELETE", "OLD")):
            whose = f"{row}.{column}" if column else "NULL"
            op.execute(
                f"CREATE TRIGGER mark_{table}_{act.lower()} AFTER {act} ON {table} BEGIN "
                "INSERT INTO register_change (number, credential_id) "
                f"SELECT coalesce(max(number), 0) + 1, {whose} FROM register_change; END"
            )
