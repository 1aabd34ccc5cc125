"""Accounts and what they did."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, LargeBinary, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from cloud.database.tables.base import Base


class AccountRole(StrEnum):
    """What an account is for; `cloud.accounts.permissions` says what each may do."""

    GUARD = "guard"
    GRID_MEMBER = "grid_member"
    COMMUNITY = "community"
    """Staff of a village's or community's centre."""
    TOWNSHIP = "township"
    DISTRICT = "district"
    REGISTRAR = "registrar"
    CATEGORY_OFFICER = "category_officer"
    AUDITOR = "auditor"
    ADMINISTRATOR = "administrator"


class Account(Base):
    __tablename__ = "account"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    username: Mapped[str] = mapped_column(String(63), unique=True)
    password_hash: Mapped[str] = mapped_column(String(200))
    role: Mapped[AccountRole] = mapped_column(String(16))
    created_at: Mapped[datetime]
    disabled_at: Mapped[datetime | None]
    place_id: Mapped[UUID | None]
    """The place whose subtree it is bound to; None: the whole hub. Without a foreign key, which SQLite cannot add."""
    grid_id: Mapped[UUID | None]
    """The grid that a grid member is bound to, within that subtree."""


class AccountSubject(Base):
    """Who logs in as an account through a provider of log-ins: its `iss` and `sub` (OpenID Connect Core, section 2)."""

    __tablename__ = "account_subject"
    __table_args__ = (UniqueConstraint("issuer", "subject"),)
    account_id: Mapped[UUID] = mapped_column(ForeignKey("account.id"), primary_key=True)
    issuer: Mapped[str] = mapped_column(String(500))
    subject: Mapped[str] = mapped_column(String(255))
    bound_at: Mapped[datetime]


class LoginSession(Base):
    """A log-in; the cookie's token is stored as its SHA-256 alone."""

    __tablename__ = "login_session"
    token_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    id: Mapped[UUID] = mapped_column(unique=True)
    """By which it is named and ended; it opens nothing."""
    account_id: Mapped[UUID] = mapped_column(ForeignKey("account.id"), index=True)
    created_at: Mapped[datetime]
    used_at: Mapped[datetime]
    """To about a minute."""
    expires_at: Mapped[datetime]
    address: Mapped[str] = mapped_column(String(64))
    browser: Mapped[str] = mapped_column(String(200))
    """What it called itself at the log-in (User-Agent), cut off and printable."""


class SecondFactor(Base):
    """The authenticator program of an account; `last_step` is the time step of the last code that was taken."""

    __tablename__ = "second_factor"
    account_id: Mapped[UUID] = mapped_column(ForeignKey("account.id"), primary_key=True)
    secret_sealed: Mapped[bytes] = mapped_column(LargeBinary)
    last_step: Mapped[int]
    set_up_at: Mapped[datetime]
    failures: Mapped[int]
    """Wrong codes since the last right one."""
    failed_at: Mapped[datetime | None]


class RecoveryCode(Base):
    """A code that comes in once instead of the authenticator program's; its SHA-256 alone is kept."""

    __tablename__ = "recovery_code"
    account_id: Mapped[UUID] = mapped_column(ForeignKey("account.id"), primary_key=True)
    code_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    used_at: Mapped[datetime | None]


class ApiToken(Base):
    """A program's way in, in an account's name; the token is stored as its SHA-256 alone."""

    __tablename__ = "api_token"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    account_id: Mapped[UUID] = mapped_column(ForeignKey("account.id"), index=True)
    name: Mapped[str] = mapped_column(String(120))
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    permissions: Mapped[list[Any]]
    """Some of `cloud.accounts.permissions.Permission`."""
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    """To about a minute."""


class AuditEntry(Base):
    """Append-only, which triggers enforce, and hash-chained: `hash` covers the entry and the hash before it."""

    __tablename__ = "audit_entry"
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    time: Mapped[datetime]
    account_id: Mapped[UUID | None]
    action: Mapped[str] = mapped_column(String(63))
    detail: Mapped[dict[str, Any]]
    previous_hash: Mapped[str] = mapped_column(String(64))
    hash: Mapped[str] = mapped_column(String(64))
