"""The areas that readers lead into."""

from sqlalchemy import ColumnElement, Connection, delete, not_, select, true

from cloud.access.errors import InUse, NotThere
from cloud.access.values.doors import AreaChange, AreaValue
from cloud.accounts.scope import WHOLE, Scope
from cloud.database.tables import Area, Door, Reader
from cloud.register.change import Change
from cloud.register.upsert import put


def list_areas(connection: Connection, within: Scope = WHOLE) -> list[AreaValue]:
    """Every area that a reader of a door within the scope leads into, by code; for the whole hub every area."""
    rows = connection.execute(select(Area.__table__).where(_covered(within)).order_by(Area.code)).mappings()
    return [AreaValue.model_validate(dict(row)) for row in rows]


def area(connection: Connection, code: str, within: Scope = WHOLE) -> AreaValue:
    """One area.

    Raises:
        NotThere: if there is none of this code.
    """
    query = select(Area.__table__).where(Area.code == code, _covered(within))
    row = connection.execute(query).mappings().first()
    if row is None:
        raise NotThere("area", f"there is no area {code!r}", "the list of areas shows those there are")
    return AreaValue.model_validate(dict(row))


def put_area(connection: Connection, code: str, change: AreaChange) -> Change:
    """Add an area, or change the one with this code."""
    return put(connection, Area, {"code": code}, change.model_dump(mode="json"))


def remove_area(connection: Connection, code: str) -> None:
    """Take an area away.

    Raises:
        NotThere: if there is none of this code.
        InUse: if a reader leads into it.
    """
    area(connection, code)
    query = select(Door.gateway_id, Reader.device).join(Door, Door.id == Reader.door_id).where(Reader.area_code == code)
    if row := connection.execute(query).first():
        raise InUse("area", f"reader {row.gateway_id}/{row.device} leads into {code!r}", "change where it leads first")
    connection.execute(delete(Area).where(Area.code == code))


def own_area(connection: Connection, code: str, within: Scope) -> None:
    """That an area is there, and no door outside the scope leads into it.

    Raises:
        NotThere: if that is not so.
    """
    area(connection, code, within)
    if not within.is_whole:
        foreign = select(Reader.door_id).join(Door, Door.id == Reader.door_id)
        foreign = foreign.where(Reader.area_code == code, not_(within.covers_place(Door.place_id)))
        if connection.execute(foreign).first() is not None:
            raise NotThere("area", f"area {code!r} reaches beyond your part of the hub", "ask who has all of it")


def gateways_of(connection: Connection, code: str) -> list[str]:
    """The gateways with a reader that leads into this area."""
    query = select(Door.gateway_id).distinct().join(Reader, Reader.door_id == Door.id).where(Reader.area_code == code)
    return sorted(connection.execute(query).scalars())


def _covered(within: Scope) -> ColumnElement[bool]:
    if within.is_whole:
        return true()
    leads = select(Reader.area_code).join(Door, Door.id == Reader.door_id)
    return Area.code.in_(leads.where(Reader.area_code.is_not(None), within.covers_place(Door.place_id)))
