"""The first tables: the register, gateways, events, accounts and the audit log."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "account",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("username", sa.String(length=63), nullable=False),
        sa.Column("password_hash", sa.String(length=200), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("disabled_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_account")),
        sa.UniqueConstraint("username", name=op.f("uq_account_username")),
    )
    op.create_table(
        "audit_entry",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=True),
        sa.Column("action", sa.String(length=63), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.Column("previous_hash", sa.String(length=64), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_audit_entry")),
    )
    op.create_table(
        "dead_letter",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("gateway_id", sa.String(length=39), nullable=True),
        sa.Column("topic", sa.String(length=200), nullable=False),
        sa.Column("reason", sa.String(length=300), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dead_letter")),
    )
    op.create_index(op.f("ix_dead_letter_received_at"), "dead_letter", ["received_at"], unique=False)
    op.create_table(
        "device_state",
        sa.Column("gateway_id", sa.String(length=39), nullable=False),
        sa.Column("device", sa.String(length=63), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("stream", sa.Uuid(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("gateway_id", "device", name=op.f("pk_device_state")),
    )
    op.create_table(
        "event",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("gateway_id", sa.String(length=39), nullable=False),
        sa.Column("stream", sa.Uuid(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("type", sa.String(length=80), nullable=False),
        sa.Column("subject", sa.String(length=63), nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("place_id", sa.Uuid(), nullable=True),
        sa.Column("credential_id", sa.Uuid(), nullable=True),
        sa.Column("person_id", sa.Uuid(), nullable=True),
        sa.Column("dwelling_id", sa.Uuid(), nullable=True),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_event")),
    )
    op.create_index("ix_event_gateway_id_subject_time", "event", ["gateway_id", "subject", "time"], unique=False)
    op.create_index("ix_event_person_id_time", "event", ["person_id", "time"], unique=False)
    op.create_index("ix_event_received_at", "event", ["received_at"], unique=False)
    op.create_table(
        "gateway",
        sa.Column("id", sa.String(length=39), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("enrolled_at", sa.BigInteger(), nullable=True),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.Column("key_id", sa.String(length=16), nullable=True),
        sa.Column("message_key_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("card_key_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("broker_password_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("session", sa.BigInteger(), nullable=False),
        sa.Column("presence", sa.String(length=16), nullable=True),
        sa.Column("presence_at", sa.BigInteger(), nullable=True),
        sa.Column("reported", sa.JSON(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_gateway")),
    )
    op.create_table(
        "person",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("id_number_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("id_number_index", sa.String(length=64), nullable=True),
        sa.Column("phone_sealed", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_person")),
        sa.UniqueConstraint("id_number_index", name=op.f("uq_person_id_number_index")),
    )
    op.create_table(
        "picture",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("gateway_id", sa.String(length=39), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_picture")),
    )
    op.create_index(op.f("ix_picture_received_at"), "picture", ["received_at"], unique=False)
    op.create_table(
        "place",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("parent_id", sa.Uuid(), nullable=True),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.ForeignKeyConstraint(["parent_id"], ["place.id"], name=op.f("fk_place_parent_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_place")),
        sa.UniqueConstraint("code", name=op.f("uq_place_code")),
    )
    op.create_index(op.f("ix_place_parent_id"), "place", ["parent_id"], unique=False)
    op.create_table(
        "schedule",
        sa.Column("code", sa.String(length=63), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("intervals", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_schedule")),
    )
    op.create_table(
        "stream_cursor",
        sa.Column("gateway_id", sa.String(length=39), nullable=False),
        sa.Column("stream", sa.Uuid(), nullable=False),
        sa.Column("upto", sa.BigInteger(), nullable=False),
        sa.Column("ranges", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("gateway_id", "stream", name=op.f("pk_stream_cursor")),
    )
    op.create_table(
        "command",
        sa.Column("corr", sa.Uuid(), nullable=False),
        sa.Column("gateway_id", sa.String(length=39), nullable=False),
        sa.Column("door", sa.String(length=63), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("issued_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=300), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_command_account_id")),
        sa.ForeignKeyConstraint(["gateway_id"], ["gateway.id"], name=op.f("fk_command_gateway_id")),
        sa.PrimaryKeyConstraint("corr", name=op.f("pk_command")),
    )
    op.create_index(op.f("ix_command_gateway_id"), "command", ["gateway_id"], unique=False)
    op.create_table(
        "credential",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("person_id", sa.Uuid(), nullable=False),
        sa.Column("number_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("number_index", sa.String(length=64), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=True),
        sa.Column("until", sa.BigInteger(), nullable=True),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_credential_person_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_credential")),
    )
    op.create_index(
        "uq_credential_number_index_in_use",
        "credential",
        ["number_index"],
        unique=True,
        sqlite_where=sa.text("revoked_at IS NULL"),
        postgresql_where=sa.text("revoked_at IS NULL"),
    )
    op.create_index(op.f("ix_credential_person_id"), "credential", ["person_id"], unique=False)
    op.create_table(
        "credential_change",
        sa.Column("gateway_id", sa.String(length=39), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("since_version", sa.BigInteger(), nullable=False),
        sa.Column("delta", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["gateway_id"], ["gateway.id"], name=op.f("fk_credential_change_gateway_id")),
        sa.PrimaryKeyConstraint("gateway_id", "version", name=op.f("pk_credential_change")),
    )
    op.create_table(
        "door",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("gateway_id", sa.String(length=39), nullable=False),
        sa.Column("device", sa.String(length=63), nullable=False),
        sa.Column("place_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.ForeignKeyConstraint(["gateway_id"], ["gateway.id"], name=op.f("fk_door_gateway_id")),
        sa.ForeignKeyConstraint(["place_id"], ["place.id"], name=op.f("fk_door_place_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_door")),
        sa.UniqueConstraint("gateway_id", "device", name=op.f("uq_door_gateway_id_device")),
    )
    op.create_table(
        "door_group",
        sa.Column("code", sa.String(length=63), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("schedule_code", sa.String(length=63), nullable=False),
        sa.ForeignKeyConstraint(["schedule_code"], ["schedule.code"], name=op.f("fk_door_group_schedule_code")),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_door_group")),
    )
    op.create_table(
        "enrolment_code",
        sa.Column("name", sa.String(length=4), nullable=False),
        sa.Column("gateway_id", sa.String(length=39), nullable=False),
        sa.Column("secret_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("failures", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["gateway_id"], ["gateway.id"], name=op.f("fk_enrolment_code_gateway_id")),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_enrolment_code")),
    )
    op.create_table(
        "gateway_credential_row",
        sa.Column("gateway_id", sa.String(length=39), nullable=False),
        sa.Column("ref", sa.Uuid(), nullable=False),
        sa.Column("row", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["gateway_id"], ["gateway.id"], name=op.f("fk_gateway_credential_row_gateway_id")),
        sa.PrimaryKeyConstraint("gateway_id", "ref", name=op.f("pk_gateway_credential_row")),
    )
    op.create_table(
        "gateway_credentials",
        sa.Column("gateway_id", sa.String(length=39), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("row_count", sa.BigInteger(), nullable=False),
        sa.Column("rules", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["gateway_id"], ["gateway.id"], name=op.f("fk_gateway_credentials_gateway_id")),
        sa.PrimaryKeyConstraint("gateway_id", name=op.f("pk_gateway_credentials")),
    )
    op.create_table(
        "login_session",
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"], name=op.f("fk_login_session_account_id")),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_login_session")),
    )
    op.create_index(op.f("ix_login_session_account_id"), "login_session", ["account_id"], unique=False)
    op.create_table(
        "residency",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("person_id", sa.Uuid(), nullable=False),
        sa.Column("dwelling_id", sa.Uuid(), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["dwelling_id"], ["place.id"], name=op.f("fk_residency_dwelling_id")),
        sa.ForeignKeyConstraint(["person_id"], ["person.id"], name=op.f("fk_residency_person_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_residency")),
    )
    op.create_index(op.f("ix_residency_dwelling_id"), "residency", ["dwelling_id"], unique=False)
    op.create_index(op.f("ix_residency_person_id"), "residency", ["person_id"], unique=False)
    op.create_table(
        "credential_group",
        sa.Column("credential_id", sa.Uuid(), nullable=False),
        sa.Column("group_code", sa.String(length=63), nullable=False),
        sa.ForeignKeyConstraint(["credential_id"], ["credential.id"], name=op.f("fk_credential_group_credential_id")),
        sa.ForeignKeyConstraint(["group_code"], ["door_group.code"], name=op.f("fk_credential_group_group_code")),
        sa.PrimaryKeyConstraint("credential_id", "group_code", name=op.f("pk_credential_group")),
    )
    op.create_index(op.f("ix_credential_group_group_code"), "credential_group", ["group_code"], unique=False)
    op.create_table(
        "door_group_door",
        sa.Column("group_code", sa.String(length=63), nullable=False),
        sa.Column("door_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["door_id"], ["door.id"], name=op.f("fk_door_group_door_door_id")),
        sa.ForeignKeyConstraint(["group_code"], ["door_group.code"], name=op.f("fk_door_group_door_group_code")),
        sa.PrimaryKeyConstraint("group_code", "door_id", name=op.f("pk_door_group_door")),
    )
