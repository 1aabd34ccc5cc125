"""The list of alarms and matters, one with its steps, and the floods: each within a scope, a part of the query."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, func, select
from sqlalchemy.orm import aliased

from cloud.accounts.scope import Scope
from cloud.alarms.errors import NoSuchAlarm
from cloud.alarms.orders import read_orders
from cloud.alarms.reach import EVERYTHING, Sees
from cloud.alarms.states import Handling, Level, Priority, Source
from cloud.alarms.values import AlarmAnswer, AlarmRow, FloodRow, QueueAnswer, QueueState, StepRow
from cloud.database.tables import Account, Alarm, AlarmFlood, AlarmStep, Door, Grid, Matter, Place
from cloud.rules.book import read_titles

MAX_ROWS = 200

_Area, _Acked, _Handler, _Closer = aliased(Place), aliased(Account), aliased(Account), aliased(Account)
_SAME = (
    "id", "source", "number", "rule", "priority", "handling", "condition", "level", "happened_at", "raised_at",
    "last_at", "times", "chattering", "in_flood", "acked_at", "closed_at", "outcome", "due_at", "overdue",
    "shelved_until", "shelved_why", "revision",
)  # fmt: skip
"""What a row tells as it is stored."""
_JOINED = (
    select(
        *(Matter.number if name == "number" else getattr(Alarm, name) for name in _SAME),
        Alarm.gateway_id,
        Alarm.subject,
        Alarm.first_event_id,
        Place.name.label("place_name"),
        _Area.name.label("area_name"),
        Grid.name.label("grid_name"),
        Door.name.label("door_name"),
        _Acked.username.label("acked_name"),
        _Handler.username.label("handler_name"),
        _Closer.username.label("closer_name"),
        Matter.title,
        Matter.title_zh,
    )
    .outerjoin(Place, Place.id == Alarm.place_id)
    .outerjoin(_Area, _Area.id == Alarm.area_id)
    .outerjoin(Grid, Grid.id == Alarm.grid_id)
    .outerjoin(Door, (Door.gateway_id == Alarm.gateway_id) & (Door.device == Alarm.subject))
    .outerjoin(_Acked, _Acked.id == Alarm.acked_by)
    .outerjoin(_Handler, _Handler.id == Alarm.handling_by)
    .outerjoin(_Closer, _Closer.id == Alarm.closed_by)
    .outerjoin(Matter, Matter.id == Alarm.id)
)
_STATES = {
    QueueState.OPEN: (Alarm.closed_at.is_(None), Alarm.shelved_until.is_(None)),
    QueueState.SHELVED: (Alarm.closed_at.is_(None), Alarm.shelved_until.is_not(None)),
    QueueState.CLOSED: (Alarm.closed_at.is_not(None),),
}


def read_queue(
    connection: Connection,
    scope: Scope,
    state: QueueState = QueueState.OPEN,
    priority: Priority | None = None,
    limit: int = MAX_ROWS,
    *,
    source: Source | None = None,
    sees: Sees = EVERYTHING,
    from_level: Level = Level.GUARD,
) -> QueueAnswer:
    """The alarms of a scope and the matters, or those of one source; `from_level`: that have come so far up."""
    query = _JOINED.where(sees.alarm(scope), *_STATES[state])
    if source is not None:
        query = query.where(Alarm.source == source)
    if from_level is not Level.GUARD:
        query = query.where(Alarm.level >= int(from_level))
    if priority is not None:
        query = query.where(Alarm.priority == int(priority))
    if state is QueueState.CLOSED:
        query = query.order_by(Alarm.raised_at.desc(), Alarm.id.desc())
    else:
        query = query.order_by(Alarm.priority, Alarm.raised_at, Alarm.id)
    titles = read_titles(connection)
    counted = select(func.count()).select_from(Alarm).where(sees.alarm(scope), *_STATES[QueueState.SHELVED])
    return QueueAnswer(
        items=tuple(_row(found, titles) for found in connection.execute(query.limit(limit)).all()),
        floods=_floods(connection, scope),
        shelved=connection.execute(counted).scalar_one(),
    )


def read_alarm(connection: Connection, scope: Scope, alarm: UUID, *, sees: Sees = EVERYTHING) -> AlarmAnswer:
    """One alarm with its steps, the first first.

    Raises:
        NoSuchAlarm: if there is none in the scope.
    """
    found = connection.execute(_JOINED.where(Alarm.id == alarm, sees.alarm(scope))).first()
    if found is None:
        raise NoSuchAlarm
    steps = (
        select(AlarmStep.__table__, Account.username)
        .outerjoin(Account, Account.id == AlarmStep.account_id)
        .where(AlarmStep.alarm_id == alarm, sees.step())
        .order_by(AlarmStep.number)
    )
    return AlarmAnswer(
        alarm=_row(found, read_titles(connection)),
        steps=tuple(_step(row) for row in connection.execute(steps)),
        orders=tuple(read_orders(connection, scope, sees, alarm=alarm, running=False)),
    )


def _floods(connection: Connection, scope: Scope) -> tuple[FloodRow, ...]:
    query = (
        select(Place.name, AlarmFlood.since)
        .outerjoin(Place, Place.id == AlarmFlood.area_id)
        .where(AlarmFlood.until.is_(None), scope.covers_place(AlarmFlood.area_id))
        .order_by(AlarmFlood.since)
    )
    return tuple(FloodRow(community=name, since=since) for name, since in connection.execute(query))


def _row(found: Row[*tuple[Any, ...]], titles: Mapping[str, tuple[str, str]]) -> AlarmRow:
    title, title_zh = (found.title, found.title_zh) if found.number else titles.get(found.rule, (found.rule,) * 2)
    is_urgent = found.priority == Priority.P1 or (not found.in_flood and found.priority < Priority.JOURNAL)
    return AlarmRow(
        **dict(zip(_SAME, found, strict=False)),  # the rest of the row is told in other words
        title=title,
        title_zh=title_zh,
        place=found.place_name,
        community=found.area_name,
        grid=found.grid_name,
        gateway=found.gateway_id,
        device=found.door_name or found.subject,
        event=found.first_event_id,
        sounds=is_urgent and found.handling == Handling.NEW and found.shelved_until is None,
        acked_by=found.acked_name,
        handled_by=found.handler_name,
        closed_by=found.closer_name,
    )


def _step(row: Row[*tuple[Any, ...]]) -> StepRow:
    return StepRow(
        number=row.number,
        at=row.at,
        account=row.username,
        origin=row.origin,
        move=row.move,
        note=row.note,
        detail=row.detail,
    )
