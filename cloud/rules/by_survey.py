"""What rules find by looking at how things stand: gateways that are silent, people who were not seen, leases that end.

A survey gives every cause that holds at a moment; what it gave before and does not give now is over. It only reads.
"""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, Connection, func, or_, select, type_coerce

from cloud.alarms.causes import Cause
from cloud.alarms.places import Places
from cloud.database.tables import CareAgreement, EventRecord, Gateway, NoticeChannel, Residency, ResidencyRole
from cloud.rules.book import WrittenRule
from cloud.rules.definition import (
    BySurvey,
    ChannelFailing,
    ClockWrong,
    GatewaySilent,
    NoPassage,
    Occupancy,
    Rule,
    TenancyEnds,
)
from protocols.access_events import AccessGranted
from protocols.events import ClockState
from protocols.presence import Presence

_DAY_US = 86_400_000_000
_LATE = timedelta(days=3)
"""How late an event may have come that still counts in a survey of days."""

PERIODS: dict[type[BySurvey], timedelta] = {
    GatewaySilent: timedelta(seconds=5),
    ClockWrong: timedelta(seconds=5),
    ChannelFailing: timedelta(seconds=5),
    NoPassage: timedelta(minutes=10),
    TenancyEnds: timedelta(hours=1),
    Occupancy: timedelta(days=1),
}
"""How often each is looked at."""

OF_THE_PAST = (NoPassage, TenancyEnds, Occupancy)
"""Surveys that can be made for a moment in the past. Of what else there is, the hub keeps the present state alone."""

_Survey = Callable[[Connection, WrittenRule, Any, datetime], Iterator[Cause]]


def survey(connection: Connection, written: WrittenRule, at: datetime) -> list[Cause]:
    """Every cause of a rule that holds at a moment."""
    when: Any = written.rule.when
    return list(_SURVEYS[type(when)](connection, written, when, at))


def is_survey(rule: Rule) -> bool:
    """Whether a rule looks at how things stand, and not at events."""
    return type(rule.when) in _SURVEYS


def _silent(connection: Connection, written: WrittenRule, _when: GatewaySilent, _at: datetime) -> Iterator[Cause]:
    rows = _gateways(connection, Gateway.presence == Presence.OFFLINE.value)
    for gateway, since, _ in rows:
        yield _of_gateway(connection, written, gateway, since)


def _unsynchronised(connection: Connection, written: WrittenRule, _when: ClockWrong, _at: datetime) -> Iterator[Cause]:
    for gateway, since, reported in _gateways(connection, Gateway.presence == Presence.ONLINE.value):
        if (reported or {}).get("clock") == ClockState.UNSYNCED.value:
            yield _of_gateway(connection, written, gateway, since)


def _channels(connection: Connection, written: WrittenRule, _when: ChannelFailing, at: datetime) -> Iterator[Cause]:
    query = select(NoticeChannel.name, NoticeChannel.failing_since).where(NoticeChannel.failing_since.is_not(None))
    for name, failing_since in connection.execute(query.order_by(NoticeChannel.name)):
        since = failing_since or at
        yield _cause(written, name, since, subject=name)


def _gateways(connection: Connection, condition: Any) -> list[Any]:
    query = select(Gateway.id, Gateway.presence_at, Gateway.reported).where(
        condition, Gateway.enrolled_at.is_not(None), Gateway.revoked_at.is_(None), Gateway.presence_at.is_not(None)
    )
    return list(connection.execute(query.order_by(Gateway.id)))


def _of_gateway(connection: Connection, written: WrittenRule, gateway: str, since: datetime) -> Cause:
    places = Places(connection)
    place = places.of_gateway(gateway)
    return _cause(written, gateway, since, gateway_id=gateway, place_id=place, area_id=places.area(place))


def _not_passed(connection: Connection, written: WrittenRule, _when: NoPassage, at: datetime) -> Iterator[Cause]:
    places = Places(connection)
    last = (
        select(func.max(EventRecord.time))
        .where(
            EventRecord.person_id == CareAgreement.person_id,
            EventRecord.type == AccessGranted.TYPE,
            EventRecord.time <= at,
        )
        .scalar_subquery()
    )
    query = select(CareAgreement.__table__, last.label("last")).where(*_holds(CareAgreement, at))
    for row in connection.execute(query.order_by(CareAgreement.id)):
        expected = max(row.since, row.last or row.since) + timedelta(hours=row.hours)
        if expected <= at:
            place = row.dwelling_id
            where = {"place_id": place, "area_id": places.area(place), "grid_id": places.grid(place, at)}
            yield _cause(written, row.id, expected, **where)


def _ending(connection: Connection, written: WrittenRule, when: TenancyEnds, at: datetime) -> Iterator[Cause]:
    places = Places(connection)
    bound = (ResidencyRole.TENANT, ResidencyRole.LODGER)
    ends = (Residency.until > at, Residency.until <= at + timedelta(days=when.days), Residency.since <= at)
    query = select(Residency.id, Residency.dwelling_id, Residency.until).where(Residency.role.in_(bound), *ends)
    for row in connection.execute(query.order_by(Residency.id)):
        place = row.dwelling_id
        where = {"place_id": place, "area_id": places.area(place), "grid_id": places.grid(place, at)}
        yield _cause(written, row.id, row.until - timedelta(days=when.days), **where)


def _crowded(connection: Connection, written: WrittenRule, when: Occupancy, at: datetime) -> Iterator[Cause]:
    """Dwellings for which more credentials come and go than people live there by the register."""
    since = at - timedelta(days=when.of_days)
    days = func.count(func.distinct(type_coerce(EventRecord.time, BigInteger) // _DAY_US))
    regulars = (
        select(EventRecord.dwelling_id, EventRecord.credential_id)
        .where(
            EventRecord.received_at > since,
            EventRecord.received_at <= at + _LATE,
            EventRecord.time.between(since, at),
            EventRecord.type == AccessGranted.TYPE,
            EventRecord.dwelling_id.is_not(None),
            EventRecord.credential_id.is_not(None),
        )
        .group_by(EventRecord.dwelling_id, EventRecord.credential_id)
        .having(days >= when.on_days)
        .subquery()
    )
    residents = (
        select(func.count())
        .select_from(Residency)
        .where(Residency.dwelling_id == regulars.c.dwelling_id, *_holds(Residency, at))
        .scalar_subquery()
    )
    query = (
        select(regulars.c.dwelling_id, func.count().label("seen"))
        .group_by(regulars.c.dwelling_id)
        .having(func.count() >= residents + when.above)
    )
    places = Places(connection)
    for row in connection.execute(query.order_by(regulars.c.dwelling_id)):
        place = row.dwelling_id
        where = {"place_id": place, "area_id": places.area(place), "grid_id": places.grid(place, at)}
        yield _cause(written, place, at, **where)


def _holds(table: Any, at: datetime) -> tuple[Any, ...]:
    return table.since <= at, or_(table.until.is_(None), table.until > at)


def _cause(written: WrittenRule, of: object, at: datetime, **where: Any) -> Cause:
    code = written.rule.code
    return Cause(key=f"{code}:{of}", rule=code, rule_version=written.version, at=at, **where)


_SURVEYS: dict[type[BySurvey], _Survey] = {
    GatewaySilent: _silent,
    ChannelFailing: _channels,
    ClockWrong: _unsynchronised,
    NoPassage: _not_passed,
    TenancyEnds: _ending,
    Occupancy: _crowded,
}
