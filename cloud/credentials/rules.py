"""From the register to a gateway's rules: its doors' groups, schedules, and what each door asks for. It only reads.

A gateway that reads policy format 1 knows none of what a door asks for: to it, a card alone opens. So the doors that
ask for more than a plain card are left out of its groups, and stay shut to cards until it is brought up to date.
"""

from collections.abc import Iterable
from itertools import groupby

from sqlalchemy import Connection, Row, select

from cloud.database.tables import Area as AreaRow
from cloud.database.tables import Door, DoorGroup, DoorGroupDoor, Reader
from cloud.database.tables import DoorRule as DoorRuleRow
from cloud.database.tables import Schedule as ScheduleRow
from cloud.database.tables import SpecialDay as SpecialDayRow
from protocols.access_events import AccessMethod
from protocols.credentials import POLICY_FORMAT
from protocols.rules import (
    AntiPassback,
    Area,
    DoorRule,
    Interval,
    ReaderArea,
    Rules,
    Schedule,
    SpecialDay,
    Weekday,
)
from protocols.rules import DoorGroup as GroupRule

NOWHERE, INTO, OUT = "nowhere", "into", "out"
"""Where a reader leads (`Reader.leads`)."""


def rules_of(connection: Connection, gateway: str, policy_format: int = POLICY_FORMAT) -> Rules:
    """The rules of a gateway in its format, with its own doors alone.

    Raises:
        ValueError: if what the database holds is no sound rule.
    """
    doors = _door_rules(connection, gateway)
    areas = _areas(connection, doors)
    if policy_format < 2:
        shut = {door.door for door in doors if asks_for_more_than_a_card(door, areas)}
        groups = _groups(connection, gateway, shut)
        return Rules(schedules=_schedules(connection, _named(groups, ()), policy_format), groups=groups)
    groups = _groups(connection, gateway, set())
    schedules = _schedules(connection, _named(groups, doors), policy_format)
    heeding = any(schedule.heeds_holidays for schedule in schedules)
    return Rules(
        schedules=schedules,
        groups=groups,
        special_days=_special_days(connection) if heeding else (),
        doors=doors,
        areas=areas,
    )


def asks_for_more_than_a_card(door: DoorRule, areas: Iterable[Area]) -> bool:
    """Whether a gateway that knows no rules would let somebody in whom this door should refuse."""
    strict = {area.id for area in areas if area.anti_passback in (AntiPassback.HARD, AntiPassback.TIMED)}
    return (
        AccessMethod.CARD not in door.methods
        or AccessMethod.CARD_PIN in door.methods
        or door.first_card is not None
        or door.two_persons
        or door.interlock is not None
        or bool(strict and any(reader.into is None or reader.into in strict for reader in door.areas))
    )


def intervals_of(stored: Iterable[tuple[int, int, int]]) -> tuple[Interval, ...]:
    """A schedule's week as the database keeps it."""
    return tuple(Interval(weekday=Weekday(day), since=since, until=until) for day, since, until in stored)


def _groups(connection: Connection, gateway: str, shut: set[str]) -> tuple[GroupRule, ...]:
    query = (
        select(DoorGroup.code, DoorGroup.schedule_code, Door.device)
        .join(DoorGroupDoor, DoorGroupDoor.group_code == DoorGroup.code)
        .join(Door, Door.id == DoorGroupDoor.door_id)
        .where(Door.gateway_id == gateway)
        .order_by(DoorGroup.code, Door.device)
    )
    return tuple(
        GroupRule(id=code, schedule=schedule, doors=tuple(row.device for row in rows if row.device not in shut))
        for (code, schedule), rows in groupby(connection.execute(query), lambda row: (row.code, row.schedule_code))
    )


def _named(groups: Iterable[GroupRule], doors: Iterable[DoorRule]) -> set[str]:
    """The schedules that these name."""
    named = {group.schedule for group in groups}
    for door in doors:
        named |= {each for each in (door.card_alone, door.free, door.first_card) if each is not None}
    return named


def _schedules(connection: Connection, named: set[str], policy_format: int) -> tuple[Schedule, ...]:
    columns = (ScheduleRow.code, ScheduleRow.intervals, ScheduleRow.heeds_holidays)
    rows = connection.execute(select(*columns).where(ScheduleRow.code.in_(named)).order_by(ScheduleRow.code))
    return tuple(_schedule(row, policy_format) for row in rows)


def _schedule(row: Row[str, list[tuple[int, int, int]], bool], policy_format: int) -> Schedule:
    heeds = row.heeds_holidays and policy_format >= 2
    intervals = intervals_of(row.intervals)
    if not heeds:
        intervals = tuple(each for each in intervals if each.weekday is not Weekday.HOLIDAY)
    return Schedule(id=row.code, intervals=intervals, heeds_holidays=heeds)


def _special_days(connection: Connection) -> tuple[SpecialDay, ...]:
    rows = connection.execute(select(SpecialDayRow.day, SpecialDayRow.counts_as).order_by(SpecialDayRow.day))
    return tuple(SpecialDay(day=day, counts_as=Weekday(counts_as)) for day, counts_as in rows)


def _door_rules(connection: Connection, gateway: str) -> tuple[DoorRule, ...]:
    """The rules of the doors that have any, or readers that lead somewhere, by device."""
    rows = connection.execute(
        select(DoorRuleRow.__table__, Door.device.label("door"))
        .join(Door, Door.id == DoorRuleRow.door_id)
        .where(Door.gateway_id == gateway)
    ).mappings()
    fields: dict[str, dict[str, object]] = {row["door"]: {**row, "methods": tuple(row["methods"])} for row in rows}
    readers = connection.execute(
        select(Door.device.label("door"), Reader.device, Reader.area_code)
        .join(Door, Door.id == Reader.door_id)
        .where(Door.gateway_id == gateway, Reader.leads != NOWHERE)
        .order_by(Door.device, Reader.device)
    )
    for device, led in groupby(readers, lambda row: row.door):
        areas = tuple(ReaderArea(reader=reader.device, into=reader.area_code) for reader in led)
        fields.setdefault(device, {"door": device})["areas"] = areas
    return tuple(DoorRule.model_validate(each) for _, each in sorted(fields.items()))


def _areas(connection: Connection, doors: Iterable[DoorRule]) -> tuple[Area, ...]:
    named = {reader.into for door in doors for reader in door.areas}
    rows = connection.execute(select(AreaRow.__table__).where(AreaRow.code.in_(named)).order_by(AreaRow.code))
    return tuple(
        Area(
            id=row.code,
            anti_passback=AntiPassback(row.anti_passback),
            minutes=row.minutes,
            forgives_at=row.forgives_at,
        )
        for row in rows
    )
