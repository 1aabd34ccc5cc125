"""Gateways, their keys and what they were sent."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, LargeBinary, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from cloud.database.tables.base import Base


class Gateway(Base):
    """A gateway that was added; `enrolled_at` is empty until its code was used."""

    __tablename__ = "gateway"
    id: Mapped[str] = mapped_column(String(39), primary_key=True)
    created_at: Mapped[datetime]
    enrolled_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    key_id: Mapped[str | None] = mapped_column(String(16))
    message_key_sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    card_key_sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    broker_password_sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    session: Mapped[int] = mapped_column(default=0)
    presence: Mapped[str | None] = mapped_column(String(16))
    presence_at: Mapped[datetime | None]
    reported: Mapped[dict[str, Any] | None]
    """The last birth as the gateway sent it: version, outbox rows, clock state, credentials applied."""


class EnrolmentCode(Base):
    __tablename__ = "enrolment_code"
    name: Mapped[str] = mapped_column(String(4), primary_key=True)
    gateway_id: Mapped[str] = mapped_column(ForeignKey("gateway.id"))
    secret_sealed: Mapped[bytes] = mapped_column(LargeBinary)
    expires_at: Mapped[datetime]
    failures: Mapped[int] = mapped_column(default=0)


class GatewayCredentials(Base):
    """The version of the credential set that a gateway was sent last."""

    __tablename__ = "gateway_credentials"
    gateway_id: Mapped[str] = mapped_column(ForeignKey("gateway.id"), primary_key=True)
    version: Mapped[int]
    digest: Mapped[str] = mapped_column(String(64))
    row_count: Mapped[int]
    rules: Mapped[dict[str, Any]]


class GatewayCredentialRow(Base):
    """A row of that set, so that the next version can be told as a difference."""

    __tablename__ = "gateway_credential_row"
    gateway_id: Mapped[str] = mapped_column(ForeignKey("gateway.id"), primary_key=True)
    ref: Mapped[UUID] = mapped_column(primary_key=True)
    row: Mapped[str] = mapped_column(Text)
    """The `protocols.credentials.CredentialRow` as JSON."""


class CredentialChange(Base):
    """A delta that was sent, kept for gateways that were away; a bounded number of them."""

    __tablename__ = "credential_change"
    gateway_id: Mapped[str] = mapped_column(ForeignKey("gateway.id"), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    since_version: Mapped[int]
    delta: Mapped[str] = mapped_column(Text)


class RegisterChange(Base):
    """A mark of a change that decides who may open which door, left by triggers, and by enrolment for its gateway.

    Without credential and gateway it concerns every gateway: holidays, days of grace. Whoever
    distributes credentials takes the marks away and compiles anew; no program has to remember to leave one.
    """

    __tablename__ = "register_change"
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    credential_id: Mapped[UUID | None]
    """The one credential that changed."""
    gateway_id: Mapped[str | None] = mapped_column(String(39))
    """The one gateway whose card key, doors, groups, schedules, rules or format changed."""


class CommandRecord(Base):
    """A command and its outcome."""

    __tablename__ = "command"
    corr: Mapped[UUID] = mapped_column(primary_key=True)
    gateway_id: Mapped[str] = mapped_column(ForeignKey("gateway.id"), index=True)
    door: Mapped[str] = mapped_column(String(63))
    account_id: Mapped[UUID | None] = mapped_column(ForeignKey("account.id"))
    """None: the hub itself gave it (`cloud.alarms.evidence`)."""
    issued_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    state: Mapped[str] = mapped_column(String(16))
    """sent, accepted, done, failed, expired or no_answer."""
    reason: Mapped[str] = mapped_column(String(300), default="")
    """A sentence, in English."""
    code: Mapped[str] = mapped_column(String(40), default="", server_default="")
    """The same as a word: `cloud.commands.HubCode` or `protocols.commands.FailureCode`, empty from an older gateway."""
    action: Mapped[str] = mapped_column(String(32), default="door.release", server_default="door.release")
    """`protocols.commands.Action`; `door` is empty where it concerns none."""
    args: Mapped[dict[str, Any] | None]
    why: Mapped[str] = mapped_column(String(200), default="", server_default="")
    """The operator's own reason."""
    updated_at: Mapped[datetime]
