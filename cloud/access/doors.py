"""Doors, their rules and their readers."""

from collections import defaultdict
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, delete, select

from cloud.access.areas import area
from cloud.access.errors import InUse, NotThere
from cloud.access.schedules import check_schedule
from cloud.access.values.doors import DoorChange, DoorValue, ReaderValue, RuleValue
from cloud.accounts.scope import WHOLE, Scope
from cloud.database.tables import AccessPassDoor, Door, DoorGroupDoor, DoorRule, Gateway, Place, Reader
from cloud.register.change import Change
from cloud.register.doors import DoorKey
from cloud.register.doors import put_door as put_register_door
from cloud.register.errors import RegisterError
from cloud.register.ids import IdMaker
from cloud.register.upsert import put

_RULE_FIELDS = tuple(RuleValue.model_fields)


def list_doors(connection: Connection, key: DoorKey | None = None, within: Scope = WHOLE) -> list[DoorValue]:
    """Every door, or that one, with its rule, readers and groups."""
    query = (
        select(Door.id, Door.gateway_id, Door.device, Door.name, Place.code.label("place"), Gateway.reported)
        .join(Place, Place.id == Door.place_id)
        .join(Gateway, Gateway.id == Door.gateway_id)
        .where(within.covers_place(Door.place_id))
        .order_by(Door.gateway_id, Door.device)
    )
    if key is not None:
        query = query.where(Door.gateway_id == key.gateway, Door.device == key.device)
    rows = connection.execute(query).all()
    ids = [row.id for row in rows] if key is not None else None
    rules, readers, groups = _rules(connection, ids), _readers(connection, ids), _groups(connection, ids)
    return [
        DoorValue(
            gateway=row.gateway_id,
            device=row.device,
            place=row.place,
            name=row.name,
            policy_format=int((row.reported or {}).get("policy_format") or 1),
            groups=tuple(groups[row.id]),
            rule=rules.get(row.id),
            readers=tuple(readers[row.id]),
        )
        for row in rows
    ]


def door(connection: Connection, key: DoorKey, within: Scope = WHOLE) -> DoorValue:
    """One door.

    Raises:
        NotThere: if there is none of this name.
    """
    found = list_doors(connection, key, within)
    if not found:
        raise _no_door(key)
    return found[0]


def door_id(connection: Connection, key: DoorKey, within: Scope = WHOLE) -> UUID:
    """The register's id of a door.

    Raises:
        NotThere: if there is none of this name.
    """
    query = select(Door.id).where(Door.gateway_id == key.gateway, Door.device == key.device)
    found = connection.execute(query.where(within.covers_place(Door.place_id))).scalar()
    if found is None:
        raise _no_door(key)
    return found


def put_door(
    connection: Connection, new_id: IdMaker, key: DoorKey, change: DoorChange, within: Scope = WHOLE
) -> Change:
    """Add a door, or change where it is and what it is called.

    Raises:
        RegisterError: if its gateway or place is not there, or not within the scope.
    """
    if not within.is_whole:
        _check_own(connection, key, change.place, within)
    return put_register_door(connection, new_id, key, change.place, change.name)


def remove_door(connection: Connection, key: DoorKey, within: Scope = WHOLE) -> None:
    """Take a door away with its rule and readers.

    Raises:
        NotThere: if there is none of this name.
        InUse: if a group or a pass names it.
    """
    found = door(connection, key, within)
    identifier = door_id(connection, key, within)
    if found.groups:
        raise InUse("door", f"group {found.groups[0]} holds {key.gateway}/{key.device}", "take it out of there first")
    if connection.execute(select(AccessPassDoor.pass_id).where(AccessPassDoor.door_id == identifier)).first():
        raise InUse("door", f"a pass names {key.gateway}/{key.device}", "it can go a day after the last pass is over")
    connection.execute(delete(Reader).where(Reader.door_id == identifier))
    connection.execute(delete(DoorRule).where(DoorRule.door_id == identifier))
    connection.execute(delete(Door).where(Door.id == identifier))


def put_rule(connection: Connection, key: DoorKey, rule: RuleValue, within: Scope = WHOLE) -> Change:
    """Set what a door asks for.

    Raises:
        NotThere: if there is no such door.
        RegisterError: if a schedule that it names is not there.
    """
    identifier = door_id(connection, key, within)
    for field in ("card_alone", "free", "first_card"):
        check_schedule(connection, getattr(rule, field), field)
    return put(connection, DoorRule, {"door_id": identifier}, rule.model_dump(mode="json"))


def remove_rule(connection: Connection, key: DoorKey, within: Scope = WHOLE) -> None:
    """Let a door take any credential that has a right there.

    Raises:
        NotThere: if there is no such door, or it has no rule.
    """
    gone = connection.execute(delete(DoorRule).where(DoorRule.door_id == door_id(connection, key, within)))
    if gone.rowcount == 0:
        raise NotThere("rule", f"door {key.gateway}/{key.device} has no rule", "nothing is left to do")


def put_reader(connection: Connection, key: DoorKey, reader: ReaderValue, within: Scope = WHOLE) -> Change:
    """Add a reader to a door, or change what it is called and where it leads.

    Raises:
        NotThere: if there is no such door.
        RegisterError: if another door of the gateway has the reader, or its area is not there.
    """
    identifier = door_id(connection, key, within)
    elsewhere = (
        select(Door.device)
        .join(Reader, Reader.door_id == Door.id)
        .where(Door.gateway_id == key.gateway, Reader.device == reader.device, Door.id != identifier)
    )
    if (other := connection.execute(elsewhere).scalar()) is not None:
        who = f"door {key.gateway}/{other}" if within.is_whole else "another door"
        raise RegisterError("device", f"{who} has this reader", "take it away from there first")
    if reader.area is not None:
        try:
            area(connection, reader.area, within)
        except NotThere as error:
            raise RegisterError("area", error.problem, "add it to the areas first") from error
    values = {"name": reader.name, "leads": reader.leads, "area_code": reader.area}
    return put(connection, Reader, {"door_id": identifier, "device": reader.device}, values)


def remove_reader(connection: Connection, key: DoorKey, device: str, within: Scope = WHOLE) -> None:
    """Take a reader away.

    Raises:
        NotThere: if there is no such door, or it has no such reader.
    """
    identifier = door_id(connection, key, within)
    gone = connection.execute(delete(Reader).where(Reader.door_id == identifier, Reader.device == device))
    if gone.rowcount == 0:
        raise NotThere("reader", f"door {key.gateway}/{key.device} has no reader {device!r}", "look at the door")


def _check_own(connection: Connection, key: DoorKey, place: str, within: Scope) -> None:
    """That an account of a part of the hub adds or moves nothing but its own: a door of its own gateway, or one that
    is within its scope already. Which of the others are there is not told."""
    if connection.execute(select(Place.id).where(Place.code == place, within.covers_place(Place.id))).first() is None:
        raise RegisterError("place", f"there is no place {place!r}", "add it to the places, or correct the code")
    own_gateway = select(Gateway.id).where(Gateway.id == key.gateway, within.holds_gateway(Gateway.id))
    own_door = select(Door.id).where(
        Door.gateway_id == key.gateway, Door.device == key.device, within.covers_place(Door.place_id)
    )
    if connection.execute(own_gateway).first() is None and connection.execute(own_door).first() is None:
        raise RegisterError("gateway", f"there is no gateway {key.gateway!r} of yours", "correct its name")


def _no_door(key: DoorKey) -> NotThere:
    return NotThere("door", f"there is no door {key.gateway}/{key.device}", "the list of doors shows those there are")


def _rules(connection: Connection, ids: list[UUID] | None) -> dict[UUID, RuleValue]:
    query = select(DoorRule.__table__)
    if ids is not None:
        query = query.where(DoorRule.door_id.in_(ids))
    found: dict[UUID, RuleValue] = {}
    for row in connection.execute(query).mappings():
        values: dict[str, Any] = {field: row[field] for field in _RULE_FIELDS}
        found[row["door_id"]] = RuleValue.model_validate(values)
    return found


def _readers(connection: Connection, ids: list[UUID] | None) -> defaultdict[UUID, list[ReaderValue]]:
    query = select(Reader.__table__).order_by(Reader.device)
    if ids is not None:
        query = query.where(Reader.door_id.in_(ids))
    found: defaultdict[UUID, list[ReaderValue]] = defaultdict(list)
    for row in connection.execute(query):
        found[row.door_id].append(ReaderValue(device=row.device, name=row.name, leads=row.leads, area=row.area_code))
    return found


def _groups(connection: Connection, ids: list[UUID] | None) -> defaultdict[UUID, list[str]]:
    query = select(DoorGroupDoor.door_id, DoorGroupDoor.group_code).order_by(DoorGroupDoor.group_code)
    if ids is not None:
        query = query.where(DoorGroupDoor.door_id.in_(ids))
    found: defaultdict[UUID, list[str]] = defaultdict(list)
    for identifier, code in connection.execute(query):
        found[identifier].append(code)
    return found
