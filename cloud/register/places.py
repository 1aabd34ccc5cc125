"""The tree of places: community, building, unit, dwelling, and entrances anywhere in it."""

from uuid import UUID

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import Connection, select

from cloud.database.tables import Place, PlaceKind
from cloud.register.change import Change
from cloud.register.errors import RegisterError
from cloud.register.ids import IdMaker
from cloud.register.upsert import put
from protocols.base import PlaceCode

_PARENTS: dict[PlaceKind, frozenset[PlaceKind]] = {
    PlaceKind.COMMUNITY: frozenset(),
    PlaceKind.BUILDING: frozenset({PlaceKind.COMMUNITY}),
    PlaceKind.UNIT: frozenset({PlaceKind.BUILDING}),
    PlaceKind.DWELLING: frozenset({PlaceKind.UNIT, PlaceKind.BUILDING, PlaceKind.COMMUNITY}),
    PlaceKind.ENTRANCE: frozenset({PlaceKind.COMMUNITY, PlaceKind.BUILDING, PlaceKind.UNIT}),
}
"""Under what each kind may stand; a community under nothing."""

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
    parent_id = _parent_id(connection, kind, parent)
    values = {"kind": kind, "name": name, "parent_id": parent_id}
    return put(connection, Place, {"code": code}, values, lambda: {"id": new_id()})


def _parent_id(connection: Connection, kind: PlaceKind, parent: str | None) -> UUID | None:
    allowed = _PARENTS[kind]
    if parent is None:
        if allowed:
            raise RegisterError("parent", f"a {kind} stands under another place", "write that place's code")
        return None
    found = connection.execute(select(Place.id, Place.kind).where(Place.code == parent)).first()
    if found is None:
        raise RegisterError("parent", f"there is no place {parent!r}", "put its row before this one")
    if found.kind not in allowed:
        kinds = ", ".join(sorted(allowed)) or "nothing"
        raise RegisterError("parent", f"a {kind} cannot stand under a {found.kind}", f"allowed is: {kinds}")
    identifier: UUID = found.id
    return identifier
