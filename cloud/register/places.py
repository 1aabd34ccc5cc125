"""The tree of places: from the city to the dwelling, and entrances anywhere in it."""

from uuid import UUID

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import Connection, Row, bindparam, select, update

from cloud.database.tables import Place, PlaceKind
from cloud.register.change import Change
from cloud.register.errors import RegisterError
from cloud.register.ids import IdMaker
from cloud.register.paths import child_path, moved_path, subtree
from cloud.register.upsert import put
from protocols.base import PlaceCode

_OF_A_CITY = (PlaceKind.CITY, PlaceKind.DISTRICT, PlaceKind.TOWNSHIP, PlaceKind.COMMUNITY, PlaceKind.COMPOUND)
"""From the widest on; each may stand under any before it, or under nothing."""

_PARENTS: dict[PlaceKind, frozenset[PlaceKind | None]] = {
    **{kind: frozenset({None, *_OF_A_CITY[:rank]}) for rank, kind in enumerate(_OF_A_CITY)},
    PlaceKind.BUILDING: frozenset({PlaceKind.COMMUNITY, PlaceKind.COMPOUND}),
    PlaceKind.UNIT: frozenset({PlaceKind.BUILDING}),
    PlaceKind.DWELLING: frozenset({PlaceKind.UNIT, PlaceKind.BUILDING, PlaceKind.COMPOUND, PlaceKind.COMMUNITY}),
    PlaceKind.ENTRANCE: frozenset({PlaceKind.COMMUNITY, PlaceKind.COMPOUND, PlaceKind.BUILDING, PlaceKind.UNIT}),
}
"""Under what each kind may stand; None: under nothing."""

_CODE = TypeAdapter(PlaceCode)


def place_id(connection: Connection, code: str, field: str, kind: PlaceKind | None = None) -> UUID:
    """The id of the place with this code.

    Raises:
        RegisterError: about `field`, if there is none, or it is not of that kind.
    """
    found = connection.execute(select(Place.id, Place.kind).where(Place.code == code)).first()
    if found is None:
        raise RegisterError(field, f"there is no place {code!r}", "add it to the places, or correct the code")
    if kind is not None and found.kind != kind:
        raise RegisterError(field, f"place {code!r} is a {found.kind}, not a {kind}", "write the code of a " + kind)
    identifier: UUID = found.id
    return identifier


def put_place(
    connection: Connection, new_id: IdMaker, code: str, kind: PlaceKind, name: str, parent: str | None
) -> Change:
    """Add a place, or change the one with this code.

    Raises:
        RegisterError: for a code that gateways could not name, or a parent that is missing or of the wrong kind.
    """
    try:
        _CODE.validate_python(code)
    except ValidationError as error:
        raise RegisterError(
            "code", f"{code!r} is no place code", "use up to 63 letters a-z, digits and - _ . / only"
        ) from error
    above = _parent(connection, kind, parent)
    known = connection.execute(select(Place.id, Place.path).where(Place.code == code)).first()
    identifier = known.id if known else new_id()
    path = child_path(above.path if above else None, identifier)
    if above and known and subtree(known.path).first == above.path[: len(known.path)]:
        raise RegisterError("parent", f"{parent!r} lies within {code!r} itself", "write a place outside it")
    values = {"kind": kind, "name": name, "parent_id": above.id if above else None, "path": path}
    change = put(connection, Place, {"code": code}, values, lambda: {"id": identifier})
    if known and known.path != path:
        _move_below(connection, known.path, path)
    return change


def _move_below(connection: Connection, old: bytes, new: bytes) -> None:
    """Give what lies below a place that moved its new path."""
    below = connection.execute(select(Place.id, Place.path).where(subtree(old).holds(Place.path))).all()
    if below:
        connection.execute(
            update(Place).where(Place.id == bindparam("own")).values(path=bindparam("new_path")),
            [{"own": row.id, "new_path": moved_path(row.path, old, new)} for row in below],
        )


def _parent(connection: Connection, kind: PlaceKind, parent: str | None) -> Row[UUID, PlaceKind, bytes] | None:
    allowed = _PARENTS[kind]
    if parent is None:
        if None not in allowed:
            raise RegisterError("parent", f"a {kind} stands under another place", "write that place's code")
        return None
    query = select(Place.id, Place.kind, Place.path).where(Place.code == parent)
    found = connection.execute(query).first()
    if found is None:
        raise RegisterError("parent", f"there is no place {parent!r}", "put its row before this one")
    if found.kind not in allowed:
        kinds = ", ".join(sorted(each for each in allowed if each)) or "nothing"
        raise RegisterError("parent", f"a {kind} cannot stand under a {found.kind}", f"allowed is: {kinds}")
    return found
