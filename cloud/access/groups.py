"""Doors that are granted together."""

from datetime import datetime
from itertools import groupby

from sqlalchemy import Connection, delete, func, select, true

from cloud.access.errors import InUse, NotThere
from cloud.access.values.base import DoorKeyValue
from cloud.access.values.weeks import GroupChange, GroupValue
from cloud.accounts.scope import WHOLE, Scope
from cloud.database.tables import Credential, CredentialGroup, Door, DoorGroup, DoorGroupDoor
from cloud.register.change import Change
from cloud.register.doors import DoorKey, put_door_group


def list_groups(
    connection: Connection, code: str | None = None, within: Scope = WHOLE, now: datetime | None = None
) -> list[GroupValue]:
    """Every group, or the one of this code, with its doors and the number of credentials in force.

    Args:
        within: of a group only the doors, and the credentials of people, within this scope; without any of its doors
            the group is not there.
        now: when those people live there; needed for a scope that is not the whole hub.
    """
    held_here = true() if now is None else within.covers_person(Credential.person_id, now)
    counted = (
        select(CredentialGroup.group_code, func.count().label("credentials"))
        .join(Credential, Credential.id == CredentialGroup.credential_id)
        .where(Credential.revoked_at.is_(None), held_here)
        .group_by(CredentialGroup.group_code)
    )
    counts = {row.group_code: row.credentials for row in connection.execute(counted)}
    query = (
        select(DoorGroup.code, DoorGroup.name, DoorGroup.schedule_code, Door.gateway_id, Door.device)
        .outerjoin(DoorGroupDoor, DoorGroupDoor.group_code == DoorGroup.code)
        .outerjoin(Door, Door.id == DoorGroupDoor.door_id)
        .order_by(DoorGroup.code, Door.gateway_id, Door.device)
    )
    if not within.is_whole:
        query = query.where(within.covers_place(Door.place_id))
    if code is not None:
        query = query.where(DoorGroup.code == code)
    found = []
    for held, rows in groupby(connection.execute(query), lambda row: row.code):
        members = list(rows)
        doors = tuple(DoorKeyValue(gateway=row.gateway_id, device=row.device) for row in members if row.device)
        first = members[0]
        found.append(
            GroupValue(
                code=held, name=first.name, schedule=first.schedule_code, doors=doors, credentials=counts.get(held, 0)
            )
        )
    return found


def group(connection: Connection, code: str, within: Scope = WHOLE, now: datetime | None = None) -> GroupValue:
    """One group.

    Raises:
        NotThere: if there is none of this code.
    """
    found = list_groups(connection, code, within, now)
    if not found:
        raise NotThere("group", f"there is no door group {code!r}", "the list of groups shows those there are")
    return found[0]


def put_group(connection: Connection, code: str, change: GroupChange) -> Change:
    """Add a group, or change the one with this code; it then holds exactly these doors.

    Raises:
        RegisterError: if its schedule or a door is not there.
    """
    doors = [DoorKey(each.gateway, each.device) for each in change.doors]
    return put_door_group(connection, code, change.name, change.schedule, doors)


def remove_group(connection: Connection, code: str) -> None:
    """Take a group away.

    Raises:
        NotThere: if there is none of this code.
        InUse: if a credential has it, revoked ones too, which events stay linked to.
    """
    group(connection, code)
    query = select(func.count()).select_from(CredentialGroup).where(CredentialGroup.group_code == code)
    if held := connection.execute(query).scalar_one():
        raise InUse("group", f"{held} credentials have {code!r}", "take it from those first, or empty its doors")
    connection.execute(delete(DoorGroupDoor).where(DoorGroupDoor.group_code == code))
    connection.execute(delete(DoorGroup).where(DoorGroup.code == code))
