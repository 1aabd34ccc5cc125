"""What was told to whom, and how channels fare, for people to read. Notices follow the scope of their alarm."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection, Row, func, select

from cloud.accounts.scope import Scope
from cloud.alarms.reach import EVERYTHING, Sees
from cloud.database.tables import Alarm, Notice, NoticeAttempt, NoticeChannel, NoticeMessage
from cloud.notify.settings import NotifySettings
from cloud.notify.states import State

MAX_ROWS = 200


class _Values(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class NoticeRow(_Values):
    """A step of an alarm that a recipient of a channel was to be told."""

    alarm: UUID
    rule: str
    step: int
    level: int
    priority: int
    channel: str
    recipient: str
    """Its name in the configuration; empty: the channel's group."""
    nobody_on_duty: bool
    made_at: datetime
    due_at: datetime
    state: str
    """`waiting`, `sent`, `failed`; `moot`: closed before it was told; `dropped`: the queue was full."""
    message: UUID | None
    joined: int
    """How many notices its message tells; 0: it is in none."""
    attempts: int
    last_outcome: str | None
    """Of the last attempt; None: none was made, or it is under way."""
    detail: str
    ended_at: datetime | None


class ChannelRow(_Values):
    """A channel and how it fares."""

    name: str
    kind: str
    routes: tuple[str, ...]
    """Without any it is told nothing."""
    recipients: int
    waiting: int
    failing_since: datetime | None
    failures: int
    last_failure: str | None
    retry_at: datetime | None
    last_sent_at: datetime | None


def read_notices(
    connection: Connection,
    scope: Scope,
    sees: Sees = EVERYTHING,
    alarm: UUID | None = None,
    channel: str | None = None,
    before: datetime | None = None,
    limit: int = MAX_ROWS,
) -> list[NoticeRow]:
    """The notices of a scope's alarms, the newest first; `before`: only those made earlier."""
    of_message = Notice.__table__.alias("of_message")
    joined = select(func.count()).where(of_message.c.message_id == NoticeMessage.id).scalar_subquery()
    query = (
        select(
            Notice.__table__,
            Alarm.rule,
            NoticeMessage.state,
            NoticeMessage.attempts,
            NoticeMessage.ended_at,
            NoticeAttempt.outcome,
            NoticeAttempt.detail,
            joined.label("joined"),
        )
        .join(Alarm, Alarm.id == Notice.alarm_id)
        .outerjoin(NoticeMessage, NoticeMessage.id == Notice.message_id)
        .outerjoin(
            NoticeAttempt,
            (NoticeAttempt.message_id == NoticeMessage.id) & (NoticeAttempt.number == NoticeMessage.attempts),
        )
        .where(sees.alarm(scope))
        .order_by(Notice.made_at.desc(), Notice.id.desc())
        .limit(limit)
    )
    if alarm is not None:
        query = query.where(Notice.alarm_id == alarm)
    if channel is not None:
        query = query.where(Notice.channel == channel)
    if before is not None:
        query = query.where(Notice.made_at < before)
    return [_notice(row) for row in connection.execute(query)]


def read_channels(connection: Connection, settings: NotifySettings) -> list[ChannelRow]:
    """Every channel of the configuration."""
    fares = {row.name: row for row in connection.execute(select(NoticeChannel.__table__))}
    counts = _counts(connection)
    return [
        ChannelRow(
            name=name,
            kind=channel.kind,
            routes=tuple(route for route, each in settings.routes.items() if each.channel == name),
            recipients=len(channel.recipients),
            waiting=counts.get(name, 0),
            **_fare(fares.get(name)),
        )
        for name, channel in settings.channels.items()
    ]


def _counts(connection: Connection) -> dict[str, int]:
    queries: Sequence[Any] = (
        select(Notice.channel, func.count())
        .where(Notice.message_id.is_(None), Notice.ended.is_(None))
        .group_by(Notice.channel),
        select(NoticeMessage.channel, func.count())
        .where(NoticeMessage.ended_at.is_(None))
        .group_by(NoticeMessage.channel),
    )
    counts: dict[str, int] = {}
    for query in queries:
        for name, count in connection.execute(query):
            counts[name] = counts.get(name, 0) + count
    return counts


def _fare(row: Row[*tuple[Any, ...]] | None) -> dict[str, Any]:
    names = ("failing_since", "failures", "last_failure", "retry_at", "last_sent_at")
    if row is None:
        return {**dict.fromkeys(names), "failures": 0}
    return {name: row._mapping[name] for name in names}


def _notice(row: Row[*tuple[Any, ...]]) -> NoticeRow:
    same = ("rule", "step", "level", "priority", "channel", "recipient", "nobody_on_duty", "made_at", "due_at")
    return NoticeRow(
        **{name: row._mapping[name] for name in same},
        alarm=row.alarm_id,
        state=row.ended or row.state or State.WAITING,
        message=row.message_id,
        joined=row.joined or 0,
        attempts=row.attempts or 0,
        last_outcome=row.outcome,
        detail=row.detail or "",
        ended_at=row.ended_at,
    )
