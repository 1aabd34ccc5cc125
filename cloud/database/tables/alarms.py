"""Alarms with their steps, what waits to become one, the rules that raise them, and marks of events not looked at yet.

Nothing here has a foreign key into the register: an alarm outlives the place, grid or door that it names.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, String, false, text
from sqlalchemy.orm import Mapped, mapped_column

from cloud.database.tables.base import Base

_OPEN, _CLOSED = text("closed_at IS NULL"), text("closed_at IS NOT NULL")


def _of_open(name: str, *columns: str, unique: bool = False) -> Index:
    """An index of the alarms that are not closed."""
    return Index(name, *columns, unique=unique, sqlite_where=_OPEN, postgresql_where=_OPEN)


class Alarm(Base):
    """One cause, one alarm: of those that are not closed, each has a `key` of its own. Matters are here too (`source`).

    `cloud.alarms.states` has the words of `handling`, `condition`, `priority`, `level` and `outcome`. `revision` is the
    number of the alarm's last step.
    """

    __tablename__ = "alarm"
    __table_args__ = (
        _of_open("uq_alarm_key_open", "key", unique=True),
        _of_open("ix_alarm_queue", "priority", "raised_at"),
        _of_open("ix_alarm_due_at", "due_at"),
        _of_open("ix_alarm_clear_due_at", "clear_due_at"),
        _of_open("ix_alarm_shelved_until", "shelved_until"),
        Index("ix_alarm_area_id_raised_at", "area_id", "raised_at"),
        Index("ix_alarm_raised_at", "raised_at"),
        Index("ix_alarm_closed", "source", "closed_at", sqlite_where=_CLOSED, postgresql_where=_CLOSED),
    )
    id: Mapped[UUID] = mapped_column(primary_key=True)
    source: Mapped[str] = mapped_column(String(16), default="rule", server_default="rule")
    """`rule`: a rule raised it; `matter`: somebody reported it (`cloud.database.tables.matters`)."""
    rule: Mapped[str] = mapped_column(String(63))
    """The rule's code; of a matter `matter.` and its kind."""
    rule_version: Mapped[int]
    key: Mapped[str] = mapped_column(String(250))
    """What makes two findings the same cause: the rule's code and the things that it names."""
    priority: Mapped[int]
    handling: Mapped[str] = mapped_column(String(16))
    condition: Mapped[str] = mapped_column(String(16))
    level: Mapped[int]
    audience: Mapped[str] = mapped_column(String(16))
    """Who is told at the first level."""
    place_id: Mapped[UUID | None]
    area_id: Mapped[UUID | None]
    """The community (or compound) that the place lies in: alarms are counted for floods by it."""
    grid_id: Mapped[UUID | None]
    gateway_id: Mapped[str | None] = mapped_column(String(39))
    subject: Mapped[str | None] = mapped_column(String(63))
    first_event_id: Mapped[UUID | None]
    last_event_id: Mapped[UUID | None]
    happened_at: Mapped[datetime]
    """When it began, by the clock of who saw it."""
    raised_at: Mapped[datetime]
    last_at: Mapped[datetime]
    """When it was found last."""
    times: Mapped[int]
    """How often it was found."""
    chatter_since: Mapped[datetime | None]
    chatter_count: Mapped[int]
    """Findings since `chatter_since`, which begins anew after a pause."""
    chattering: Mapped[bool] = mapped_column(default=False, server_default=false())
    in_flood: Mapped[bool] = mapped_column(default=False, server_default=false())
    cleared_at: Mapped[datetime | None]
    clear_due_at: Mapped[datetime | None]
    """When the condition is cleared unless it is found again before."""
    acked_at: Mapped[datetime | None]
    acked_by: Mapped[UUID | None]
    handling_at: Mapped[datetime | None]
    handling_by: Mapped[UUID | None]
    closed_at: Mapped[datetime | None]
    closed_by: Mapped[UUID | None]
    outcome: Mapped[str | None] = mapped_column(String(16))
    due_at: Mapped[datetime | None]
    """When it goes up a level; None: it does not."""
    overdue: Mapped[bool] = mapped_column(default=False, server_default=false())
    """Whether a limit was missed."""
    settle_by: Mapped[datetime | None]
    """A limit that a person gave when passing it up: by then it is closed, or it goes up further."""
    shelved_until: Mapped[datetime | None]
    shelved_by: Mapped[UUID | None]
    shelved_why: Mapped[str | None] = mapped_column(String(300))
    revision: Mapped[int]


class AlarmStep(Base):
    """What was done to an alarm, by whom, when and from where. Triggers let nobody change a step, or delete one before
    its alarm is closed for a month."""

    __tablename__ = "alarm_step"
    alarm_id: Mapped[UUID] = mapped_column(ForeignKey("alarm.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[datetime]
    account_id: Mapped[UUID | None]
    """None: the hub itself."""
    origin: Mapped[str] = mapped_column(String(80))
    """From where: the address of the person's browser, or `hub`."""
    move: Mapped[str] = mapped_column(String(16))
    order_id: Mapped[UUID | None]
    """The work order that it is about."""
    note: Mapped[str] = mapped_column(String(500))
    detail: Mapped[dict[str, Any]]


class AlarmTold(Base):
    """Who was told of a step of an alarm, as the duty roster said then."""

    __tablename__ = "alarm_told"
    alarm_id: Mapped[UUID] = mapped_column(ForeignKey("alarm.id"), primary_key=True)
    step: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    account_id: Mapped[UUID] = mapped_column(primary_key=True, index=True)
    at: Mapped[datetime]


class AlarmCandidate(Base):
    """A finding whose rule waits before it raises an alarm; forgotten if it ends before `due_at`."""

    __tablename__ = "alarm_candidate"
    key: Mapped[str] = mapped_column(String(250), primary_key=True)
    rule: Mapped[str] = mapped_column(String(63), index=True)
    due_at: Mapped[datetime] = mapped_column(index=True)
    cause: Mapped[dict[str, Any]]
    """The `cloud.alarms.causes.Cause` as JSON."""


class AlarmFlood(Base):
    """More alarms came in an area than its operators can take in; `area_id` None: outside any community."""

    __tablename__ = "alarm_flood"
    __table_args__ = (Index("ix_alarm_flood_until", "until"),)
    id: Mapped[UUID] = mapped_column(primary_key=True)
    area_id: Mapped[UUID | None]
    since: Mapped[datetime]
    until: Mapped[datetime | None]


class RuleVersion(Base):
    """A rule as it was written at one time; the highest version of a code is the one that counts."""

    __tablename__ = "rule_version"
    code: Mapped[str] = mapped_column(String(63), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    written_at: Mapped[datetime]
    account_id: Mapped[UUID | None]
    """None: shipped with Gatehouse, or written at the command line."""
    definition: Mapped[dict[str, Any]]
    """The `cloud.rules.definition.Rule`."""


class RuleEventType(Base):
    """Types of events that some rule in force looks at: a trigger marks such events as they are stored."""

    __tablename__ = "rule_event_type"
    type: Mapped[str] = mapped_column(String(80), primary_key=True)


class EventMark(Base):
    """An event that the rules have not looked at yet. It goes in the transaction that writes what they found."""

    __tablename__ = "event_mark"
    event_id: Mapped[UUID] = mapped_column(primary_key=True)


class CareAgreement(Base):
    """Somebody who lives alone asked to be looked after: no passage for `hours` is told to the unit's head.

    It holds nothing but the consent: when and how it was given, until when it holds, and for how long nobody worries.
    """

    __tablename__ = "care_agreement"
    id: Mapped[UUID] = mapped_column(primary_key=True)
    person_id: Mapped[UUID] = mapped_column(index=True)
    dwelling_id: Mapped[UUID] = mapped_column(index=True)
    hours: Mapped[int]
    consent: Mapped[str] = mapped_column(String(200))
    """How it was given, for example `signed form 12 of 2026`."""
    since: Mapped[datetime]
    until: Mapped[datetime | None]
