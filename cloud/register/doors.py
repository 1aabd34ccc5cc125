"""Doors, the groups in which they are granted, and the weeks in which groups are open."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from uuid import UUID

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import Connection, delete, insert, select

from cloud.database.tables import Door, DoorGroup, DoorGroupDoor, Gateway, Schedule
from cloud.register.change import Change
from cloud.register.errors import RegisterError
from cloud.register.ids import IdMaker
from cloud.register.places import place_id
from cloud.register.upsert import put
from protocols.base import DeviceId
from protocols.rules import Interval, RuleId, Weekday

_DEVICE = TypeAdapter(DeviceId)
_RULE = TypeAdapter(RuleId)
_MAX_INTERVALS = 200
_MAX_DOORS = 1000


@dataclass(frozen=True)
class DoorKey:
    """A door as its gateway names it."""

    gateway: str
    device: str


def put_door(connection: Connection, new_id: IdMaker, key: DoorKey, place: str, name: str) -> Change:
    """Add a door, or change where it is and what it is called.

    Raises:
        RegisterError: if its gateway or place is not there, or the device is no device id.
    """
    if connection.execute(select(Gateway.id).where(Gateway.id == key.gateway)).first() is None:
        raise RegisterError(
            "gateway", f"there is no gateway {key.gateway!r}", f"run 'gatehouse hub gateways add {key.gateway}' first"
        )
    _check(_DEVICE, key.device, "device")
    values = {"place_id": place_id(connection, place, "place"), "name": name}
    keys = {"gateway_id": key.gateway, "device": key.device}
    return put(connection, Door, keys, values, lambda: {"id": new_id()})


def put_schedule(connection: Connection, code: str, name: str, intervals: Sequence[Interval]) -> Change:
    """Add a week, or change the one with this code.

    Raises:
        RegisterError: for a code that gateways do not take, or too many intervals.
    """
    _check(_RULE, code, "code")
    if len(intervals) > _MAX_INTERVALS:
        raise RegisterError("code", f"schedule {code} has more than {_MAX_INTERVALS} intervals", "join some")
    stored = sorted([int(each.weekday), each.since, each.until] for each in intervals)
    return put(connection, Schedule, {"code": code}, {"name": name, "intervals": stored})


def whole_week() -> tuple[Interval, ...]:
    """Every minute of every day."""
    return tuple(Interval(weekday=day, since=0, until=24 * 60) for day in Weekday)


def put_door_group(connection: Connection, code: str, name: str, schedule: str, doors: Collection[DoorKey]) -> Change:
    """Add a group, or change the one with this code; it then holds exactly these doors.

    Raises:
        RegisterError: if its schedule or a door is not there.
    """
    _check(_RULE, code, "code")
    if len(doors) > _MAX_DOORS:
        raise RegisterError("doors", f"group {code} has more than {_MAX_DOORS} doors", "split it")
    if connection.execute(select(Schedule.code).where(Schedule.code == schedule)).first() is None:
        raise RegisterError("schedule", f"there is no schedule {schedule!r}", "add it to the schedules")
    wanted = {_door_id(connection, key) for key in doors}
    change = put(connection, DoorGroup, {"code": code}, {"name": name, "schedule_code": schedule})
    members = select(DoorGroupDoor.door_id).where(DoorGroupDoor.group_code == code)
    held = set(connection.execute(members).scalars())
    if gone := held - wanted:
        connection.execute(
            delete(DoorGroupDoor).where(DoorGroupDoor.group_code == code, DoorGroupDoor.door_id.in_(gone))
        )
    if come := wanted - held:
        connection.execute(insert(DoorGroupDoor), [{"group_code": code, "door_id": door} for door in sorted(come)])
    return Change.UPDATED if change is Change.UNCHANGED and held != wanted else change


def _door_id(connection: Connection, key: DoorKey) -> UUID:
    query = select(Door.id).where(Door.gateway_id == key.gateway, Door.device == key.device)
    found = connection.execute(query).scalar()
    if found is None:
        raise RegisterError("doors", f"there is no door {key.gateway}/{key.device}", "add it to the doors")
    return found


def _check(grammar: TypeAdapter[str], value: str, field: str) -> None:
    try:
        grammar.validate_python(value)
    except ValidationError as error:
        raise RegisterError(field, f"{value!r} is no name for it", "use small letters, digits, - and _") from error
