"""Every table of the hub. Changes come with a migration in `versions/`.

There is no column for ethnicity, religion or belief, nor for a score of a person, and none may be added. Personal
fields named `*_sealed` are encrypted by `cloud.vault`; `*_index` is a keyed hash that finds a sealed value again.
Moments are microseconds since the epoch (`types.Moment`). Intervals of validity include `since` and exclude `until`.
"""

from datetime import date, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Date,
    ForeignKey,
    Index,
    LargeBinary,
    MetaData,
    String,
    Text,
    UniqueConstraint,
    Uuid,
    false,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from cloud.database.types import Moment


class Base(DeclarativeBase):
    """Names every constraint, so that migrations can change it on both databases."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 (SQLAlchemy's)
        datetime: Moment,
        UUID: Uuid,
        int: BigInteger,  # numbers of a stream run to 2**53
        bool: Boolean,
        date: Date,
        dict[str, Any]: JSON,
        list[Any]: JSON,
    }


# --- The register: places, persons, residencies, credentials, doors


class PlaceKind(StrEnum):
    COMMUNITY = "community"
    BUILDING = "building"
    UNIT = "unit"
    DWELLING = "dwelling"
    ENTRANCE = "entrance"
    """A gate, lobby or lane: where doors and cameras stand."""


class Place(Base):
    """A node of the tree of places. `code` is what gateways and import files call it."""

    __tablename__ = "place"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    parent_id: Mapped[UUID | None] = mapped_column(ForeignKey("place.id"), index=True)
    kind: Mapped[PlaceKind] = mapped_column(String(16))
    code: Mapped[str] = mapped_column(String(64), unique=True)
    name: Mapped[str] = mapped_column(String(120))


class Person(Base):
    __tablename__ = "person"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(120))
    id_number_sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    id_number_index: Mapped[str | None] = mapped_column(String(64), unique=True)
    phone_sealed: Mapped[bytes | None] = mapped_column(LargeBinary)


class ResidencyRole(StrEnum):
    OWNER = "owner"
    TENANT = "tenant"
    FAMILY = "family"


class Residency(Base):
    """A person lives in (or owns) a dwelling from `since` until `until`."""

    __tablename__ = "residency"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    person_id: Mapped[UUID] = mapped_column(ForeignKey("person.id"), index=True)
    dwelling_id: Mapped[UUID] = mapped_column(ForeignKey("place.id"), index=True)
    role: Mapped[ResidencyRole] = mapped_column(String(16))
    since: Mapped[datetime]
    until: Mapped[datetime | None]


class Credential(Base):
    """A card, PIN, plate or pass, held by a person from `since` until `until`; `revoked_at` ends it at once.

    `number_sealed` is what the kind is known by: the card's number, the PIN, the plate, and for a pass its own id. For
    a pass the person is the host. A card that was revoked may be given to another person: that is another credential,
    so that past events stay linked to who held it then.
    """

    __tablename__ = "credential"
    __table_args__ = (
        Index(
            "uq_credential_number_index_in_use",
            "number_index",
            unique=True,
            sqlite_where=text("revoked_at IS NULL"),
            postgresql_where=text("revoked_at IS NULL"),
        ),
    )
    id: Mapped[UUID] = mapped_column(primary_key=True)
    person_id: Mapped[UUID] = mapped_column(ForeignKey("person.id"), index=True)
    number_sealed: Mapped[bytes] = mapped_column(LargeBinary)
    number_index: Mapped[str] = mapped_column(String(64))
    since: Mapped[datetime | None]
    until: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    kind: Mapped[str] = mapped_column(String(8), default="card", server_default="card")
    """`protocols.credentials.CredentialKind`."""
    pin_sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    """The PIN that goes with a card."""
    duress_pin_sealed: Mapped[bytes | None] = mapped_column(LargeBinary)
    """That of the same card which raises a silent alarm."""
    duress: Mapped[bool] = mapped_column(default=False, server_default=false())
    """A credential that always raises a silent alarm."""
    uses: Mapped[int | None]
    offline_s: Mapped[int | None]
    """For how long after the gateway's last news of the hub it is taken."""
    first: Mapped[bool] = mapped_column(default=False, server_default=false())
    """Counts as a first card."""


class Door(Base):
    """A door of a gateway; `device` is its id in the gateway's configuration."""

    __tablename__ = "door"
    __table_args__ = (UniqueConstraint("gateway_id", "device"),)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    gateway_id: Mapped[str] = mapped_column(ForeignKey("gateway.id"))
    device: Mapped[str] = mapped_column(String(63))
    place_id: Mapped[UUID] = mapped_column(ForeignKey("place.id"))
    name: Mapped[str] = mapped_column(String(120))


class Schedule(Base):
    """A week; `intervals` is a list of [weekday, since minute, until minute], weekday 7 for holidays."""

    __tablename__ = "schedule"
    code: Mapped[str] = mapped_column(String(63), primary_key=True)
    name: Mapped[str] = mapped_column(String(120))
    intervals: Mapped[list[Any]]
    heeds_holidays: Mapped[bool] = mapped_column(default=False, server_default=false())


class SpecialDay(Base):
    """A public holiday, or a make-up workday, of the State Council's yearly notice."""

    __tablename__ = "special_day"
    day: Mapped[date] = mapped_column(primary_key=True)
    counts_as: Mapped[int]
    """`protocols.rules.Weekday`: 7 for a holiday, else the weekday whose hours hold."""
    name: Mapped[str] = mapped_column(String(120))


class DoorGroup(Base):
    __tablename__ = "door_group"
    code: Mapped[str] = mapped_column(String(63), primary_key=True)
    name: Mapped[str] = mapped_column(String(120))
    schedule_code: Mapped[str] = mapped_column(ForeignKey("schedule.code"))


class DoorGroupDoor(Base):
    __tablename__ = "door_group_door"
    group_code: Mapped[str] = mapped_column(ForeignKey("door_group.code"), primary_key=True)
    door_id: Mapped[UUID] = mapped_column(ForeignKey("door.id"), primary_key=True)


class CredentialGroup(Base):
    __tablename__ = "credential_group"
    credential_id: Mapped[UUID] = mapped_column(ForeignKey("credential.id"), primary_key=True)
    group_code: Mapped[str] = mapped_column(ForeignKey("door_group.code"), primary_key=True, index=True)


# --- What doors ask for (docs/doors/managing.md)


class Area(Base):
    """A part of the site that is entered and left through readers."""

    __tablename__ = "area"
    code: Mapped[str] = mapped_column(String(63), primary_key=True)
    name: Mapped[str] = mapped_column(String(120))
    anti_passback: Mapped[str] = mapped_column(String(8))
    """`protocols.rules.AntiPassback`."""
    minutes: Mapped[int]
    forgives_at: Mapped[int | None]
    """The minute after local midnight; None: never by itself."""


class Reader(Base):
    """A reader of a door, as the gateway's configuration names it, and where it leads."""

    __tablename__ = "reader"
    door_id: Mapped[UUID] = mapped_column(ForeignKey("door.id"), primary_key=True)
    device: Mapped[str] = mapped_column(String(63), primary_key=True)
    name: Mapped[str] = mapped_column(String(120))
    leads: Mapped[str] = mapped_column(String(8))
    """`cloud.access.readers.Leads`: nowhere, into `area_code`, or out of every area."""
    area_code: Mapped[str | None] = mapped_column(ForeignKey("area.code"), index=True)


class DoorRule(Base):
    """What a door asks for; one without a rule takes any credential that has a right there."""

    __tablename__ = "door_rule"
    door_id: Mapped[UUID] = mapped_column(ForeignKey("door.id"), primary_key=True)
    methods: Mapped[list[Any]]
    """Some of `protocols.access_events.AccessMethod`."""
    card_alone: Mapped[str | None] = mapped_column(ForeignKey("schedule.code"))
    free: Mapped[str | None] = mapped_column(ForeignKey("schedule.code"))
    first_card: Mapped[str | None] = mapped_column(ForeignKey("schedule.code"))
    first_card_frees: Mapped[bool]
    two_persons: Mapped[bool]
    interlock: Mapped[str | None] = mapped_column(String(63))
    keeps_list: Mapped[bool]


class AccessPass(Base):
    """What a guest, a helper or a courier was given by a host; its credential has the same id."""

    __tablename__ = "access_pass"
    id: Mapped[UUID] = mapped_column(ForeignKey("credential.id"), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    """`cloud.access.passes.PassKind`."""
    label: Mapped[str] = mapped_column(String(120))
    """Whom or what it is for, in the host's words."""
    days: Mapped[list[Any]]
    """Weekdays, Monday 0; none: all."""
    hours_since: Mapped[int | None]
    hours_until: Mapped[int | None]
    """Minutes after local midnight; None: the whole day."""
    created_at: Mapped[datetime]
    created_by: Mapped[UUID | None] = mapped_column(ForeignKey("account.id"))
    tokens_until: Mapped[datetime | None]
    """When the last QR code that was issued for it ends; until then gateways are told of it, revoked or not."""
    dropped: Mapped[bool] = mapped_column(default=False, server_default=false())
    """It is over, and gateways are told of it no more."""


class AccessPassDoor(Base):
    """A door that a pass names by itself, beside those of its credential's groups."""

    __tablename__ = "access_pass_door"
    pass_id: Mapped[UUID] = mapped_column(ForeignKey("access_pass.id"), primary_key=True)
    door_id: Mapped[UUID] = mapped_column(ForeignKey("door.id"), primary_key=True, index=True)


class LeaseGrace(Base):
    """For how long after a residency's end its credentials go on, by role; none: not at all."""

    __tablename__ = "lease_grace"
    role: Mapped[ResidencyRole] = mapped_column(String(16), primary_key=True)
    grace_s: Mapped[int]


class LeaseWarning(Base):
    """A warning that a residency ends in so many days (0: it has ended, and its grace runs). Another end is warned of
    anew."""

    __tablename__ = "lease_warning"
    residency_id: Mapped[UUID] = mapped_column(ForeignKey("residency.id"), primary_key=True)
    until: Mapped[datetime] = mapped_column(primary_key=True)
    days: Mapped[int] = mapped_column(primary_key=True)
    told_at: Mapped[datetime]
    dealt_with_at: Mapped[datetime | None]
    dealt_with_by: Mapped[UUID | None]
    """The account that marked it; also in the audit, and so without a foreign key, which SQLite cannot add."""


class Lockdown(Base):
    """A lockdown of some gateways' doors: asked for by one account and confirmed by another."""

    __tablename__ = "lockdown"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    gateways: Mapped[list[Any]]
    state: Mapped[str] = mapped_column(String(16), index=True)
    """`cloud.access.lockdown.LockdownState`."""
    why: Mapped[str] = mapped_column(String(200))
    asked_by: Mapped[UUID] = mapped_column(ForeignKey("account.id"))
    asked_at: Mapped[datetime]
    confirmed_by: Mapped[UUID | None] = mapped_column(ForeignKey("account.id"))
    confirmed_at: Mapped[datetime | None]
    ended_by: Mapped[UUID | None] = mapped_column(ForeignKey("account.id"))
    ended_at: Mapped[datetime | None]


# --- Gateways, their keys and what they were sent


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
    account_id: Mapped[UUID] = mapped_column(ForeignKey("account.id"))
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


# --- Events


class EventRecord(Base):
    """An event with what it was linked to at its own time. `body` is the event as it came."""

    __tablename__ = "event"
    __table_args__ = (
        Index("ix_event_received_at", "received_at"),
        Index("ix_event_person_id_time", "person_id", "time"),
        Index("ix_event_gateway_id_subject_time", "gateway_id", "subject", "time"),
    )
    id: Mapped[UUID] = mapped_column(primary_key=True)
    gateway_id: Mapped[str] = mapped_column(String(39))
    stream: Mapped[UUID]
    seq: Mapped[int]
    type: Mapped[str] = mapped_column(String(80))
    subject: Mapped[str] = mapped_column(String(63))
    time: Mapped[datetime]
    received_at: Mapped[datetime]
    place_id: Mapped[UUID | None]
    credential_id: Mapped[UUID | None]
    person_id: Mapped[UUID | None]
    dwelling_id: Mapped[UUID | None]
    body: Mapped[str] = mapped_column(Text)


class DeadLetter(Base):
    """A message or event that could not be read, kept for a person to look at."""

    __tablename__ = "dead_letter"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    gateway_id: Mapped[str | None] = mapped_column(String(39))
    topic: Mapped[str] = mapped_column(String(200))
    reason: Mapped[str] = mapped_column(String(300))
    payload: Mapped[bytes] = mapped_column(LargeBinary)
    received_at: Mapped[datetime] = mapped_column(index=True)


class StreamCursor(Base):
    """Which numbers of a gateway's stream are stored: all up to `upto`, and the closed `ranges` beyond."""

    __tablename__ = "stream_cursor"
    gateway_id: Mapped[str] = mapped_column(String(39), primary_key=True)
    stream: Mapped[UUID] = mapped_column(primary_key=True)
    upto: Mapped[int]
    ranges: Mapped[list[Any]]


class DeviceState(Base):
    """A projection of events: only a later (stream, seq) of the same gateway may move it; streams are UUIDv7."""

    __tablename__ = "device_state"
    gateway_id: Mapped[str] = mapped_column(String(39), primary_key=True)
    device: Mapped[str] = mapped_column(String(63), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    """door, reader or camera."""
    state: Mapped[str] = mapped_column(String(16))
    since: Mapped[datetime]
    stream: Mapped[UUID]
    seq: Mapped[int]


class Picture(Base):
    """A JPEG that a gateway sent; the file lies in the hub's pictures folder under its SHA-256."""

    __tablename__ = "picture"
    sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    gateway_id: Mapped[str] = mapped_column(String(39))
    size_bytes: Mapped[int]
    received_at: Mapped[datetime] = mapped_column(index=True)


class Clip(Base):
    """A clip of video that a gateway sent; the file lies in the hub's clips folder under its SHA-256."""

    __tablename__ = "clip"
    sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    gateway_id: Mapped[str] = mapped_column(String(39))
    size_bytes: Mapped[int]
    received_at: Mapped[datetime] = mapped_column(index=True)


# --- Accounts and what they did


class AccountRole(StrEnum):
    GUARD = "guard"
    ADMINISTRATOR = "administrator"


class Account(Base):
    __tablename__ = "account"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    username: Mapped[str] = mapped_column(String(63), unique=True)
    password_hash: Mapped[str] = mapped_column(String(200))
    role: Mapped[AccountRole] = mapped_column(String(16))
    created_at: Mapped[datetime]
    disabled_at: Mapped[datetime | None]


class LoginSession(Base):
    """A log-in; the cookie's token is stored as its SHA-256 alone."""

    __tablename__ = "login_session"
    token_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    account_id: Mapped[UUID] = mapped_column(ForeignKey("account.id"), index=True)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]


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
