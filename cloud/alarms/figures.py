"""Figures of alarms within a scope: each community's span, and how the alarms load those who handle them.

Matters are in the monthly figures (`cloud.alarms.monthly`), not here: nobody tunes rules by them.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import BigInteger, ColumnElement, Connection, case, func, select, type_coerce

from cloud.accounts.scope import Scope
from cloud.alarms.reach import covers
from cloud.alarms.states import Condition, Outcome, Priority, Source
from cloud.alarms.values import CentreFigures, HealthReport, Offender
from cloud.database.tables import Alarm, AlarmFlood, Place
from cloud.register.errors import RegisterError

_SECOND_US = 1_000_000
_HOUR_US = 3600 * _SECOND_US
_TEN_MINUTES_S = 600.0
_STALE = timedelta(days=1)


def check_whole(field: str, since: datetime, now: datetime, kept: timedelta) -> None:
    """Figures are told of a time from which no alarm and no matter has gone by its days.

    Args:
        kept: `cloud.retention.RetentionDays.figures`.

    Raises:
        RegisterError: `since`, which `field` asked for, is earlier.
    """
    if since < now - kept:
        cause = f"of before {now - kept:%Y-%m-%d} alarms and matters may have gone, so that figures would not be whole"
        raise RegisterError(field, cause, f"ask for later ones: [web.retention] keeps all for {kept.days} days")


def centre_figures(connection: Connection, scope: Scope, since: datetime, until: datetime) -> Sequence[CentreFigures]:
    """The alarms that were raised from `since` until `until`, by community; the journal is left out."""
    raised = type_coerce(Alarm.raised_at, BigInteger)
    query = (
        select(
            Place.name,
            func.count().label("alarms"),
            func.avg(type_coerce(Alarm.acked_at, BigInteger) - raised).label("acknowledge_us"),
            func.avg(type_coerce(Alarm.closed_at, BigInteger) - raised).label("close_us"),
            func.sum(case((Alarm.overdue, 1), else_=0)).label("overdue"),
            func.sum(case((Alarm.outcome == Outcome.FALSE_ALARM, 1), else_=0)).label("false_alarms"),
            func.sum(case((Alarm.closed_at.is_(None), 1), else_=0)).label("still_open"),
        )
        .select_from(Alarm)
        .outerjoin(Place, Place.id == Alarm.area_id)
        .where(covers(scope), *_raised(since, until))
        .group_by(Alarm.area_id, Place.name)
        .order_by(Place.name)
    )
    return [
        CentreFigures(
            community=row.name,
            alarms=row.alarms,
            acknowledge_s=_seconds(row.acknowledge_us),
            close_s=_seconds(row.close_us),
            overdue=row.overdue,
            false_alarms=row.false_alarms,
            still_open=row.still_open,
        )
        for row in connection.execute(query)
    ]


def health_report(connection: Connection, scope: Scope, since: datetime, until: datetime) -> HealthReport:
    """The load of a span, for the scope as if one operator had it."""
    within = (covers(scope), *_raised(since, until))
    counts = select(Alarm.priority, func.count().label("alarms")).where(*within).group_by(Alarm.priority)
    priorities = {row.priority: row.alarms for row in connection.execute(counts)}
    total = sum(priorities.values())
    hour = type_coerce(Alarm.raised_at, BigInteger) // _HOUR_US
    by_hour = select(func.count().label("alarms")).where(*within).group_by(hour).subquery()
    busiest = connection.execute(select(func.max(by_hour.c.alarms))).scalar() or 0
    chattering = select(func.count()).select_from(Alarm).where(*within, Alarm.chattering)
    stale = (Alarm.closed_at.is_(None), Alarm.condition == Condition.ACTIVE, Alarm.raised_at < until - _STALE)
    stale_count = select(func.count()).select_from(Alarm).where(covers(scope), *stale)
    spans = (until - since).total_seconds() / _TEN_MINUTES_S
    return HealthReport(
        since=since,
        until=until,
        alarms=total,
        per_10_min=total / spans,
        busiest_hour_per_10_min=busiest / 6,
        flood_share=_flood_share(connection, scope, since, until),
        priorities={priority: count / total for priority, count in sorted(priorities.items())},
        top_ten=_top_ten(connection, scope, since, until, total),
        chattering=connection.execute(chattering).scalar_one(),
        stale=connection.execute(stale_count).scalar_one(),
    )


def _raised(since: datetime, until: datetime) -> tuple[ColumnElement[bool], ...]:
    of_rules = (Alarm.source == Source.RULE, Alarm.priority < Priority.JOURNAL)
    return Alarm.raised_at >= since, Alarm.raised_at < until, *of_rules


def _top_ten(
    connection: Connection, scope: Scope, since: datetime, until: datetime, total: int
) -> tuple[Offender, ...]:
    query = (
        select(Alarm.key, func.count().label("alarms"))
        .where(covers(scope), *_raised(since, until))
        .group_by(Alarm.key)
        .order_by(func.count().desc(), Alarm.key)
        .limit(10)
    )
    rows = connection.execute(query).all()
    return tuple(Offender(key=row.key, alarms=row.alarms, share=row.alarms / total) for row in rows)


def _flood_share(connection: Connection, scope: Scope, since: datetime, until: datetime) -> float:
    """The share of the time in which any area of the scope was in a flood."""
    query = (
        select(AlarmFlood.since, AlarmFlood.until)
        .where(AlarmFlood.since < until, scope.covers_place(AlarmFlood.area_id))
        .order_by(AlarmFlood.since)
    )
    flooded, reached = timedelta(), since
    for row in connection.execute(query):
        begin, end = max(row.since, reached), min(row.until or until, until)
        if end > begin:
            flooded, reached = flooded + (end - begin), end
    return flooded / (until - since)


def _seconds(microseconds: float | None) -> float | None:
    return None if microseconds is None else round(float(microseconds) / _SECOND_US, 1)
