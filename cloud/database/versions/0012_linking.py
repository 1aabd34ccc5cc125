"""Events are linked anew when the register is corrected, with a record of both; indexes for what staff ask for.

Marks of what is to be linked anew are left by triggers. A change of an interval's end marks the time between the old end
and the new one alone: the end of a tenancy concerns nothing of the years before it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

REFUSAL = "corrections of links are append-only; they go with their event"
_NO_ID, _NO_NAME = "CAST(NULL AS uuid)", "CAST(NULL AS varchar(63))"
_NO_TIME = "CAST(NULL AS bigint)"

# What a row of a table with an interval marks: {row} is OLD or NEW, {since} and {until} the time concerned.
_OF_PERSON = f"SELECT 'person', {{row}}.person_id, {_NO_NAME}, {_NO_NAME}, {{since}}, {{until}}"
_OF_DWELLING = f"SELECT 'dwelling', {{row}}.place_id, {_NO_NAME}, {_NO_NAME}, {{since}}, {{until}}"
_OF_PLACE = f"SELECT 'place', {{row}}.place_id, {_NO_NAME}, {_NO_NAME}, {{since}}, {{until}}"
_OF_MEMBERS = (
    f"SELECT 'person', r.person_id, {_NO_NAME}, {_NO_NAME}, {{since}}, {{until}} FROM residency r "
    "WHERE r.household_id = {row}.id"
)
INTERVALS = {
    "residency": (("person_id", "dwelling_id", "household_id", "since"), (_OF_PERSON,)),
    "household": (("id", "since"), (_OF_MEMBERS,)),
    "grid_place": (("place_id", "grid_id", "since"), (_OF_DWELLING, _OF_PLACE)),
    "joint_unit_place": (("place_id", "joint_unit_id", "since"), (_OF_DWELLING,)),
}
"""Table -> what says what a row means beside its end, and whose events it concerns."""

_OF_DOOR = f"SELECT 'door', {_NO_ID}, {{row}}.gateway_id, {{row}}.device, {_NO_TIME}, {_NO_TIME}"
_OF_CREDENTIAL = f"SELECT 'credential', {{row}}.id, {_NO_NAME}, {_NO_NAME}, {_NO_TIME}, {_NO_TIME}"
_AT_PLACE = f"SELECT 'place', {{row}}.id, {_NO_NAME}, {_NO_NAME}, {_NO_TIME}, {_NO_TIME}"
_NOWHERE = f"SELECT 'nowhere', {_NO_ID}, {_NO_NAME}, {_NO_NAME}, {_NO_TIME}, {_NO_TIME}"
_OTHER_DOOR = " AND ".join(f"OLD.{name} = NEW.{name}" for name in ("gateway_id", "device", "place_id"))
_WAITS = "SELECT 1 FROM relinking WHERE kind = 'nowhere' AND done_at IS NULL AND after_id IS NULL"
OTHERS = (
    ("door", "INSERT", _OF_DOOR.format(row="NEW")),
    ("door", "DELETE", _OF_DOOR.format(row="OLD")),
    ("door", "UPDATE", f"{_OF_DOOR.format(row='OLD')} WHERE NOT ({_OTHER_DOOR})"
     f" UNION {_OF_DOOR.format(row='NEW')} WHERE NOT ({_OTHER_DOOR})"),
    ("credential", "UPDATE", f"{_OF_CREDENTIAL.format(row='NEW')} WHERE OLD.person_id <> NEW.person_id"),
    ("credential", "DELETE", _OF_CREDENTIAL.format(row="OLD")),
    ("access_pass", "INSERT", _OF_CREDENTIAL.format(row="NEW")),
    ("access_pass", "DELETE", _OF_CREDENTIAL.format(row="OLD")),
    ("place", "DELETE", _AT_PLACE.format(row="OLD")),
    ("place", "UPDATE", f"{_AT_PLACE.format(row='OLD')} WHERE OLD.code <> NEW.code"
     f" UNION ALL {_NOWHERE} WHERE OLD.code <> NEW.code"),
)


def upgrade() -> None:
    _tables()
    _event()
    is_postgresql = op.get_bind().dialect.name == "postgresql"
    if is_postgresql:
        op.execute("CREATE SEQUENCE relinking_number")
    make = _postgresql_trigger if is_postgresql else _sqlite_trigger
    for table, (identity, marks) in INTERVALS.items():
        for act in ("INSERT", "UPDATE", "DELETE"):
            make(table, act, _marks_of_interval(act, identity, marks))
    for table, act, query in OTHERS:
        make(table, act, query)
    if is_postgresql:
        _postgresql_trigger("place", "INSERT", _NOWHERE, "STATEMENT")
    else:  # it has no triggers of statements, but one writer at a time: a mark that waits is dealt with after this
        _sqlite_trigger("place", "INSERT", f"{_NOWHERE} WHERE NOT EXISTS ({_WAITS})")
    if is_postgresql:
        _append_only_postgresql()
    else:
        _append_only_sqlite()


def _tables() -> None:
    op.create_table(
        "relinking",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=True),
        sa.Column("gateway_id", sa.String(39), nullable=True),
        sa.Column("device", sa.String(63), nullable=True),
        sa.Column("since", sa.BigInteger(), nullable=True),
        sa.Column("until", sa.BigInteger(), nullable=True),
        sa.Column("cause", sa.String(40), nullable=False),
        sa.Column("why", sa.String(200), nullable=False, server_default=""),
        sa.Column("asked_by", sa.String(63), nullable=False, server_default=""),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.Column("after_time", sa.BigInteger(), nullable=True),
        sa.Column("after_id", sa.Uuid(), nullable=True),
        sa.Column("examined", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("corrected", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("done_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_relinking")),
    )
    _index("ix_relinking_open", "relinking", ["number"], "done_at IS NULL")
    op.create_table(
        "link_correction",
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("relinking", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("before", sa.JSON(), nullable=False),
        sa.Column("after", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("event_id", "relinking", name=op.f("pk_link_correction")),
    )


def _event() -> None:
    op.add_column("event", sa.Column("denied_for", sa.String(40), nullable=True))
    is_postgresql = op.get_bind().dialect.name == "postgresql"
    reason = "CAST(body AS json)->'data'->>'reason'" if is_postgresql else "json_extract(body, '$.data.reason')"
    op.execute(f"UPDATE event SET denied_for = {reason} WHERE type = 'access.denied.v1'")  # noqa: S608 (our own names)
    for name, columns in (
        ("ix_event_received_at", ["received_at", "id", "type"]),
        ("ix_event_gateway_id_subject_time", ["gateway_id", "subject", "time", "id"]),
    ):
        op.drop_index(name, "event")
        op.create_index(name, "event", columns)
    op.drop_index("ix_event_person_id_time", "event")
    op.create_index("ix_event_place_id_time", "event", ["place_id", "time", "id"])
    for column in ("credential_id", "person_id", "dwelling_id", "denied_for"):
        _index(f"ix_event_{column}_time", "event", [column, "time", "id"], f"{column} IS NOT NULL")
    passage = "household_id IS NOT NULL AND person_id IS NOT NULL AND type = 'access.granted.v1'"
    _index("ix_event_passage", "event", ["household_id", "time"], passage)


def _index(name: str, table: str, columns: list[str], condition: str) -> None:
    op.create_index(name, table, columns, sqlite_where=sa.text(condition), postgresql_where=sa.text(condition))


def _marks_of_interval(act: str, identity: tuple[str, ...], marks: tuple[str, ...]) -> str:
    """The marks of a row that came or went: its interval. Of one whose end was moved: the time between both ends."""
    rows = {"INSERT": ("NEW",), "UPDATE": ("OLD", "NEW"), "DELETE": ("OLD",)}[act]
    whole = [
        mark.format(row=row, since=f"{row}.since", until=f"{row}.until") for row in rows for mark in marks
    ]
    if act != "UPDATE":
        return " UNION ALL ".join(whole)
    same = " AND ".join(f"(OLD.{c} = NEW.{c} OR (OLD.{c} IS NULL AND NEW.{c} IS NULL))" for c in identity)
    earlier = (
        "CASE WHEN OLD.until IS NULL THEN NEW.until WHEN NEW.until IS NULL OR OLD.until < NEW.until THEN OLD.until "
        "ELSE NEW.until END"
    )
    later = (
        f"CASE WHEN OLD.until IS NULL OR NEW.until IS NULL THEN {_NO_TIME} "
        "WHEN OLD.until < NEW.until THEN NEW.until ELSE OLD.until END"
    )
    moved_end = "coalesce(OLD.until, -1) <> coalesce(NEW.until, -1)"
    between = [mark.format(row="NEW", since=earlier, until=later) for mark in marks]
    return " UNION ALL ".join(
        [_where(mark, f"NOT ({same})") for mark in whole] + [_where(mark, f"{same} AND {moved_end}") for mark in between]
    )


def _where(query: str, condition: str) -> str:
    return f"{query} {'AND' if ' WHERE ' in query else 'WHERE'} {condition}"


_INTO = "INSERT INTO relinking (number, kind, subject_id, gateway_id, device, since, until, cause, asked_at)"
_COLUMNS = "m.kind, m.subject_id, m.gateway_id, m.device, m.since, m.until"


def _postgresql_trigger(table: str, act: str, marks: str, each: str = "ROW") -> None:
    name = f"relink_{table}_{act.lower()}"
    op.execute(
        f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {_INTO} "
        f"SELECT nextval('relinking_number'), {_COLUMNS}, '{table}', "
        "CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint) "
        f"FROM ({marks}) AS m (kind, subject_id, gateway_id, device, since, until); RETURN NULL; END $$"
    )
    op.execute(f"CREATE TRIGGER {name} AFTER {act} ON {table} FOR EACH {each} EXECUTE FUNCTION {name}()")


def _sqlite_trigger(table: str, act: str, marks: str) -> None:
    op.execute(
        f"CREATE TRIGGER relink_{table}_{act.lower()} AFTER {act} ON {table} BEGIN {_INTO} "
        "SELECT (SELECT coalesce(max(number), 0) FROM relinking) + row_number() OVER (), m.*, "
        f"'{table}', CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER) FROM ({marks}) AS m; END"
    )


def _append_only_postgresql() -> None:
    op.execute(
        "CREATE FUNCTION refuse_link_correction_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "IF TG_OP = 'DELETE' AND NOT EXISTS (SELECT 1 FROM event WHERE id = OLD.event_id) THEN RETURN OLD; END IF; "
        f"RAISE EXCEPTION '{REFUSAL}' USING ERRCODE = 'restrict_violation'; END $$"
    )
    op.execute(
        "CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON link_correction "
        "FOR EACH ROW EXECUTE FUNCTION refuse_link_correction_change()"
    )
    op.execute(
        "CREATE FUNCTION forget_link_corrections() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "DELETE FROM link_correction WHERE event_id IN (SELECT id FROM gone); RETURN NULL; END $$"
    )
    op.execute(
        "CREATE TRIGGER forget_link_corrections AFTER DELETE ON event REFERENCING OLD TABLE AS gone "
        "FOR EACH STATEMENT EXECUTE FUNCTION forget_link_corrections()"
    )


def _append_only_sqlite() -> None:
    there = "WHEN EXISTS (SELECT 1 FROM event WHERE id = OLD.event_id)"
    taken = "WHEN EXISTS (SELECT 1 FROM link_correction WHERE event_id = NEW.event_id AND relinking = NEW.relinking)"
    for act, condition in (("UPDATE", ""), ("DELETE", there), ("INSERT", taken)):
        op.execute(
            f"CREATE TRIGGER link_correction_append_only_{act.lower()} BEFORE {act} ON link_correction {condition} "
            f"BEGIN SELECT RAISE(ABORT, '{REFUSAL}'); END"
        )
    op.execute(
        "CREATE TRIGGER forget_link_corrections AFTER DELETE ON event "
        "BEGIN DELETE FROM link_correction WHERE event_id = OLD.id; END"
    )
