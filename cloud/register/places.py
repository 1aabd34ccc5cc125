"""The tree of places: from the city to the dwelling, and entrances anywhere in it."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import Connection, bindparam, select, update

from cloud.database.tables import Place, PlaceKind
from cloud.register.change import Change
from cloud.register.errors import RegisterError
from cloud.register.ids import IdMaker
from cloud.register.paths import child_path, moved_path, subtree
from cloud.register.writer import RegisterWriter
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
_DIVISION_CODE = re.compile(r"[0-9A-Z]{6}(?:[0-9]{3}){0,2}")


@dataclass(frozen=True)
class PlaceEntry:
    """A place as a register names it; `division` is its division's code of 6, 9 or 12 characters."""

    code: str
    kind: PlaceKind
    name: str
    parent: str | None = None
    division: str | None = None


@dataclass
class KnownPlace:
    """A place that is in the register."""

    id: UUID
    kind: PlaceKind
    name: str
    parent_id: UUID | None
    division_code: str | None
    path: bytes


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


class PlaceBatch:
    """Puts places into the register, many at a time: `load` what a number of entries names, `put` each, `flush`."""

    def __init__(self, writer: RegisterWriter) -> None:
        self._writer = writer
        self._known: dict[str, KnownPlace] = {}
        self._asked: set[str] = set()

    def load(self, codes: Iterable[str]) -> None:
        """Ask for the places of these codes at once."""
        wanted = set(codes) - self._asked
        columns = (Place.code, Place.id, Place.kind, Place.name, Place.parent_id, Place.division_code, Place.path)
        if wanted:
            rows = self._writer.connection.execute(select(*columns).where(Place.code.in_(wanted)))
            self._known.update((row.code, KnownPlace(row.id, PlaceKind(row.kind), *row[3:])) for row in rows)
        self._asked |= wanted

    def find(self, code: str) -> KnownPlace | None:
        """The place of this code."""
        if code not in self._asked:
            self.load([code])
        return self._known.get(code)

    def need(self, code: str, field: str, kinds: Iterable[PlaceKind] = tuple(PlaceKind)) -> KnownPlace:
        """The place of this code.

        Raises:
            RegisterError: about `field`, if there is none, or it is of another kind.
        """
        found = self.find(code)
        if found is None:
            raise RegisterError(field, f"there is no place {code!r}", "add it to the places, or correct the code")
        if found.kind not in kinds:
            wanted = " or ".join(kinds)
            raise RegisterError(
                field, f"place {code!r} is of kind {found.kind}, not {wanted}", "write another place's code"
            )
        return found

    def put(self, entry: PlaceEntry) -> Change:
        """Add a place, or change the one with this code; a division that is left out stays as it was.

        Raises:
            RegisterError: for a code that gateways could not name, a parent that is missing or of the wrong kind, or a
                division's code that is none.
        """
        _check_codes(entry)
        above = self._parent(entry)
        known = self.find(entry.code)
        identifier = known.id if known else self._writer.new_id()
        path = child_path(above.path if above else None, identifier)
        if above and known and subtree(known.path).first == above.path[: len(known.path)]:
            raise RegisterError("parent", f"{entry.parent!r} lies within {entry.code!r} itself", "write one outside it")
        division = entry.division or (known.division_code if known else None)
        new = KnownPlace(identifier, entry.kind, entry.name, above.id if above else None, division, path)
        return self._add(entry.code, new) if known is None else self._change(entry.code, known, new)

    def _add(self, code: str, new: KnownPlace) -> Change:
        self._writer.insert(Place, {"code": code, **vars(new)})
        self._known[code] = new
        return Change.ADDED

    def _change(self, code: str, known: KnownPlace, new: KnownPlace) -> Change:
        columns = [name for name, value in vars(new).items() if getattr(known, name) != value]
        if not columns:
            return Change.UNCHANGED
        before, after = ({name: getattr(each, name) for name in columns} for each in (known, new))
        self._writer.update(Place, {"id": known.id}, before, after)
        self._known[code] = new
        if known.path != new.path:
            self._writer.flush()
            _move_below(self._writer.connection, known.path, new.path)
            self._known.clear()  # their paths may be others now
            self._asked.clear()
        return Change.UPDATED

    def _parent(self, entry: PlaceEntry) -> KnownPlace | None:
        allowed = _PARENTS[entry.kind]
        if entry.parent is None:
            if None not in allowed:
                raise RegisterError("parent", f"a {entry.kind} stands under another place", "write that place's code")
            return None
        found = self.find(entry.parent)
        if found is None:
            raise RegisterError("parent", f"there is no place {entry.parent!r}", "put its row before this one")
        if found.kind not in allowed:
            kinds = ", ".join(sorted(each for each in allowed if each)) or "nothing"
            raise RegisterError("parent", f"a {entry.kind} cannot stand under a {found.kind}", f"allowed is: {kinds}")
        return found


def _check_codes(entry: PlaceEntry) -> None:
    try:
        _CODE.validate_python(entry.code)
    except ValidationError as error:
        raise RegisterError(
            "code", f"{entry.code!r} is no place code", "use up to 63 letters a-z, digits and - _ . / only"
        ) from error
    if entry.division is not None and not _DIVISION_CODE.fullmatch(entry.division):
        raise RegisterError("division", f"{entry.division[:20]!r} is no division's code", "write its 6, 9 or 12 digits")


def _move_below(connection: Connection, old: bytes, new: bytes) -> None:
    """Give what lies below a place that moved its new path."""
    below = connection.execute(select(Place.id, Place.path).where(subtree(old).holds(Place.path))).all()
    if below:
        connection.execute(
            update(Place).where(Place.id == bindparam("own")).values(path=bindparam("new_path")),
            [{"own": row.id, "new_path": moved_path(row.path, old, new)} for row in below],
        )


def put_place(
    connection: Connection, new_id: IdMaker, code: str, kind: PlaceKind, name: str, parent: str | None
) -> Change:
    """Put one place by itself; its change is not kept.

    Raises:
        RegisterError: as `PlaceBatch.put`.
    """
    writer = RegisterWriter(connection, None, new_id)
    change = PlaceBatch(writer).put(PlaceEntry(code, kind, name, parent))
    writer.flush()
    return change
