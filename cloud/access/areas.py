"""The areas that readers lead into."""

from sqlalchemy import Connection, delete, select

from cloud.access.errors import InUse, NotThere
from cloud.access.values.doors import AreaChange, AreaValue
from cloud.database.tables import Area, Door, Reader
from cloud.register.change import Change
from cloud.register.upsert import put


def list_areas(connection: Connection) -> list[AreaValue]:
    """Every area, by code."""
    rows = connection.execute(select(Area.__table__).order_by(Area.code)).mappings()
    return [AreaValue.model_validate(dict(row)) for row in rows]


def area(connection: Connection, code: str) -> AreaValue:
    """One area.

    Raises:
        NotThere: if there is none of this code.
    """
    row = connection.execute(select(Area.__table__).where(Area.code == code)).mappings().first()
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


def gateways_of(connection: Connection, code: str) -> list[str]:
    """The gateways with a reader that leads into this area."""
    query = select(Door.gateway_id).distinct().join(Reader, Reader.door_id == Door.id).where(Reader.area_code == code)
    return sorted(connection.execute(query).scalars())
