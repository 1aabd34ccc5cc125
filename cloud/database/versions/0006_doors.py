"""What doors ask for: rules, readers, areas, holidays; PINs, passes, leases and lockdowns.

Marks of changed doors, groups and schedules name the gateways concerned from here on, and a changed residency marks its
person's credentials: the lease's end is the credential's.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

FOR_ALL = ("door", "door_group", "door_group_door", "schedule")
"""Tables whose changes marked every gateway until now."""

_NO_CREDENTIAL, _NO_GATEWAY = "CAST(NULL AS uuid)", "CAST(NULL AS varchar(39))"
_OF_DOOR = f"SELECT {_NO_CREDENTIAL}, d.gateway_id FROM door d WHERE d.id = {{row}}.door_id"
_EVERYTHING = f"SELECT {_NO_CREDENTIAL}, {_NO_GATEWAY}"
_BY_GROUPS = "FROM door d JOIN door_group_door m ON m.door_id = d.id"

CONCERNED = {
    "door": f"SELECT {_NO_CREDENTIAL}, {{row}}.gateway_id",
    "door_group": f"SELECT DISTINCT {_NO_CREDENTIAL}, d.gateway_id {_BY_GROUPS} WHERE m.group_code = {{row}}.code",
    "door_group_door": _OF_DOOR,
    "schedule": (
        f"SELECT {_NO_CREDENTIAL}, d.gateway_id {_BY_GROUPS} JOIN door_group g ON g.code = m.group_code "
        "WHERE g.schedule_code = {row}.code "
        f"UNION SELECT {_NO_CREDENTIAL}, d.gateway_id FROM door d JOIN door_rule u ON u.door_id = d.id "
        "WHERE {row}.code IN (u.card_alone, u.free, u.first_card)"
    ),
    "area": (
        f"SELECT DISTINCT {_NO_CREDENTIAL}, d.gateway_id FROM door d JOIN reader x ON x.door_id = d.id "
        "WHERE x.area_code = {row}.code"
    ),
    "reader": _OF_DOOR,
    "door_rule": _OF_DOOR,
    "special_day": _EVERYTHING,
    "lease_grace": _EVERYTHING,
    "residency": (
        f"SELECT c.id, {_NO_GATEWAY} FROM credential c WHERE c.person_id = {{row}}.person_id AND c.revoked_at IS NULL"
    ),
    "access_pass": f"SELECT {{row}}.id, {_NO_GATEWAY}",
    "access_pass_door": f"SELECT {{row}}.pass_id, {_NO_GATEWAY}",
}
"""Table -> a query for the marks (credential, gateway) that a change of one of its rows leaves."""

_ROWS = {"INSERT": ("NEW",), "UPDATE": ("NEW", "OLD"), "DELETE": ("OLD",)}


def upgrade() -> None:
    _areas_and_rules()
    _passes()
    _leases_and_lockdowns()
    _columns()
    if op.get_bind().dialect.name == "postgresql":
        _postgresql()
    else:
        _sqlite()


def _areas_and_rules() -> None:
    op.create_table(
        "area",
        sa.Column("code", sa.String(63), nullable=False),
        sa.Column("name", sa.String(120), nullable=False),
        sa.Column("anti_passback", sa.String(8), nullable=False),
        sa.Column("minutes", sa.BigInteger(), nullable=False),
        sa.Column("forgives_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_area")),
    )
    op.create_table(
        "special_day",
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("counts_as", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.String(120), nullable=False),
        sa.PrimaryKeyConstraint("day", name=op.f("pk_special_day")),
    )
    op.create_table(
        "reader",
        sa.Column("door_id", sa.Uuid(), nullable=False),
        sa.Column("device", sa.String(63), nullable=False),
        sa.Column("name", sa.String(120), nullable=False),
        sa.Column("leads", sa.String(8), nullable=False),
        sa.Column("area_code", sa.String(63), nullable=True),
        sa.ForeignKeyConstraint(["door_id"], ["door.id"], name=op.f("fk_reader_door_id")),
        sa.ForeignKeyConstraint(["area_code"], ["area.code"], name=op.f("fk_reader_area_code")),
        sa.PrimaryKeyConstraint("door_id", "device", name=op.f("pk_reader")),
    )
    op.create_index(op.f("ix_reader_area_code"), "reader", ["area_code"])
    op.create_table(
        "door_rule",
        sa.Column("door_id", sa.Uuid(), nullable=False),
        sa.Column("methods", sa.JSON(), nullable=False),
        sa.Column("card_alone", sa.String(63), nullable=True),
        sa.Column("free", sa.String(63), nullable=True),
        sa.Column("first_card", sa.String(63), nullable=True),
        sa.Column("first_card_frees", sa.Boolean(), nullable=False),
        sa.Column("two_persons", sa.Boolean(), nullable=False),
        sa.Column("interlock", sa.String(63), nullable=True),
        sa.Column("keeps_list", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["door_id"], ["door.id"], name=op.f("fk_door_rule_door_id")),
        sa.ForeignKeyConstraint(["card_alone"], ["schedule.code"], name=op.f("fk_door_rule_card_alone")),
        sa.ForeignKeyConstraint(["free"], ["schedule.code"], name=op.f("fk_door_rule_free")),
        sa.ForeignKeyConstraint(["first_card"], ["schedule.code"], name=op.f("fk_door_rule_first_card")),
        sa.PrimaryKeyConstraint("door_id", name=op.f("pk_door_rule")),
    )


def _passes() -> None:
    op.create_table(
        "access_pass",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("label", sa.String(120), nullable=False),
        sa.Column("days", sa.JSON(), nullable=False),
        sa.Column("hours_since", sa.BigInteger(), nullable=True),
        sa.Column("hours_until", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.Uuid(), nullable=True),
        sa.Column("tokens_until", sa.BigInteger(), nullable=True),
        sa.Column("dropped", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.ForeignKeyConstraint(["id"], ["credential.id"], name=op.f("fk_access_pass_id")),
        sa.ForeignKeyConstraint(["created_by"], ["account.id"], name=op.f("fk_access_pass_created_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_access_pass")),
    )
    op.create_table(
        "access_pass_door",
        sa.Column("pass_id", sa.Uuid(), nullable=False),
        sa.Column("door_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["pass_id"], ["access_pass.id"], name=op.f("fk_access_pass_door_pass_id")),
        sa.ForeignKeyConstraint(["door_id"], ["door.id"], name=op.f("fk_access_pass_door_door_id")),
        sa.PrimaryKeyConstraint("pass_id", "door_id", name=op.f("pk_access_pass_door")),
    )
    op.create_index(op.f("ix_access_pass_door_door_id"), "access_pass_door", ["door_id"])


def _leases_and_lockdowns() -> None:
    op.create_table(
        "lease_grace",
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("grace_s", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("role", name=op.f("pk_lease_grace")),
    )
    op.create_table(
        "lease_warning",
        sa.Column("residency_id", sa.Uuid(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column("days", sa.BigInteger(), nullable=False),
        sa.Column("told_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["residency_id"], ["residency.id"], name=op.f("fk_lease_warning_residency_id")),
        sa.PrimaryKeyConstraint("residency_id", "until", "days", name=op.f("pk_lease_warning")),
    )
    op.create_table(
        "lockdown",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("gateways", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("why", sa.String(200), nullable=False),
        sa.Column("asked_by", sa.Uuid(), nullable=False),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.Column("confirmed_by", sa.Uuid(), nullable=True),
        sa.Column("confirmed_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_by", sa.Uuid(), nullable=True),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["asked_by"], ["account.id"], name=op.f("fk_lockdown_asked_by")),
        sa.ForeignKeyConstraint(["confirmed_by"], ["account.id"], name=op.f("fk_lockdown_confirmed_by")),
        sa.ForeignKeyConstraint(["ended_by"], ["account.id"], name=op.f("fk_lockdown_ended_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_lockdown")),
    )
    op.create_index(op.f("ix_lockdown_state"), "lockdown", ["state"])


def _columns() -> None:
    op.add_column("schedule", sa.Column("heeds_holidays", sa.Boolean(), nullable=False, server_default=sa.false()))
    columns: dict[str, tuple[sa.Column[Any], ...]] = {}
    columns["credential"] = (
        sa.Column("kind", sa.String(8), nullable=False, server_default="card"),
        sa.Column("pin_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("duress_pin_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("duress", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("uses", sa.BigInteger(), nullable=True),
        sa.Column("offline_s", sa.BigInteger(), nullable=True),
        sa.Column("first", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    columns["command"] = (
        sa.Column("action", sa.String(32), nullable=False, server_default="door.release"),
        sa.Column("args", sa.JSON(), nullable=True),
        sa.Column("why", sa.String(200), nullable=False, server_default=""),
    )
    for table, added in columns.items():
        for column in added:
            op.add_column(table, column)


def _marks(table: str, act: str) -> str:
    return " UNION ".join(CONCERNED[table].format(row=row) for row in _ROWS[act])


def _postgresql() -> None:
    for table in FOR_ALL:
        op.execute(f"DROP TRIGGER mark_change ON {table}")
        op.execute(
            f"CREATE TRIGGER mark_truncate AFTER TRUNCATE ON {table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION mark_register_change()"
        )
    for table in CONCERNED:
        for act in _ROWS:
            _postgresql_trigger(f"mark_{table}_{act.lower()}", _marks(table, act), f"AFTER {act} ON {table}", "")
    formats = [f"coalesce({row}.reported->>'policy_format', '1')" for row in ("NEW", "OLD")]
    _postgresql_trigger(
        "mark_gateway_format",
        f"SELECT {_NO_CREDENTIAL}, NEW.id",
        "AFTER UPDATE OF reported ON gateway",
        f"WHEN ({' <> '.join(formats)})",
    )


def _postgresql_trigger(name: str, marks: str, when: str, condition: str) -> None:
    op.execute(
        f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "INSERT INTO register_change (number, credential_id, gateway_id) "
        f"SELECT nextval('register_change_number'), m.credential_id, m.gateway_id FROM ({marks}) "
        "AS m (credential_id, gateway_id); RETURN NULL; END $$"
    )
    op.execute(f"CREATE TRIGGER {name} {when} FOR EACH ROW {condition} EXECUTE FUNCTION {name}()")


def _sqlite() -> None:
    for table in FOR_ALL:
        for act in _ROWS:
            op.execute(f"DROP TRIGGER mark_{table}_{act.lower()}")
    for table in CONCERNED:
        for act in _ROWS:
            _sqlite_trigger(f"mark_{table}_{act.lower()}", _marks(table, act), f"AFTER {act} ON {table}")
    formats = [f"coalesce(json_extract({row}.reported, '$.policy_format'), 1)" for row in ("NEW", "OLD")]
    _sqlite_trigger(
        "mark_gateway_format",
        f"SELECT {_NO_CREDENTIAL}, NEW.id",
        f"AFTER UPDATE OF reported ON gateway WHEN {' <> '.join(formats)}",
    )


def _sqlite_trigger(name: str, marks: str, when: str) -> None:
    op.execute(
        f"CREATE TRIGGER {name} {when} BEGIN INSERT INTO register_change (number, credential_id, gateway_id) "
        "SELECT (SELECT coalesce(max(number), 0) FROM register_change) + row_number() OVER (), m.* "
        f"FROM ({marks}) AS m; END"
    )
