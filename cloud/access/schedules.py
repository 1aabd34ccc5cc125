"""The weeks in which door groups and rules hold."""

from typing import Any

from sqlalchemy import Connection, Row, delete, select

from cloud.access.errors import InUse, NotThere
from cloud.access.values.weeks import IntervalValue, ScheduleChange, ScheduleValue
from cloud.database.tables import Door, DoorGroup, DoorRule, Schedule
from cloud.register.change import Change
from cloud.register.errors import RegisterError
from cloud.register.upsert import put


def list_schedules(connection: Connection) -> list[ScheduleValue]:
    """Every schedule, by code."""
    return [_value(row) for row in connection.execute(select(Schedule.__table__).order_by(Schedule.code))]


def schedule(connection: Connection, code: str) -> ScheduleValue:
    """One schedule.

    Raises:
        NotThere: if there is none of this code.
    """
    row = connection.execute(select(Schedule.__table__).where(Schedule.code == code)).first()
    if row is None:
        raise NotThere("schedule", f"there is no schedule {code!r}", "the list of schedules shows those there are")
    return _value(row)


def check_schedule(connection: Connection, code: str | None, field: str) -> None:
    """That a schedule which `field` names is there; None names none.

    Raises:
        RegisterError: about `field`.
    """
    if code is not None and connection.execute(select(Schedule.code).where(Schedule.code == code)).first() is None:
        raise RegisterError(field, f"there is no schedule {code!r}", "add it to the schedules first")


def put_schedule(connection: Connection, code: str, change: ScheduleChange) -> Change:
    """Add a week, or change the one with this code. `code` has the grammar of `RuleId`."""
    intervals = sorted([each.weekday, each.since, each.until] for each in change.intervals)
    values = {"name": change.name, "intervals": intervals, "heeds_holidays": change.heeds_holidays}
    return put(connection, Schedule, {"code": code}, values)


def remove_schedule(connection: Connection, code: str) -> None:
    """Take a week away.

    Raises:
        NotThere: if there is none of this code.
        InUse: if a group or a door's rule names it.
    """
    schedule(connection, code)
    if users := schedule_users(connection, code):
        raise InUse("schedule", f"{code!r} is used by {', '.join(users[:5])}", "give those another schedule first")
    connection.execute(delete(Schedule).where(Schedule.code == code))


def schedule_users(connection: Connection, code: str) -> list[str]:
    """What names this schedule: groups, and doors by their rules."""
    groups = connection.execute(select(DoorGroup.code).where(DoorGroup.schedule_code == code).order_by(DoorGroup.code))
    columns = (DoorRule.card_alone, DoorRule.free, DoorRule.first_card)
    rules = select(Door.gateway_id, Door.device).join(DoorRule, DoorRule.door_id == Door.id)
    doors = connection.execute(rules.where((columns[0] == code) | (columns[1] == code) | (columns[2] == code)))
    return [f"group {group}" for group in groups.scalars()] + [f"door {gateway}/{device}" for gateway, device in doors]


def _value(row: Row[*tuple[Any, ...]]) -> ScheduleValue:
    intervals = tuple(
        IntervalValue(weekday=weekday, since=since, until=until) for weekday, since, until in row.intervals
    )
    return ScheduleValue(code=row.code, name=row.name, heeds_holidays=row.heeds_holidays, intervals=intervals)
