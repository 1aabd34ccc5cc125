"""Paths of places: a subtree is one range, also after a place has moved, and where places had none before."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, select

from cloud.database.engine import Database
from cloud.database.tables import Place, PlaceKind
from cloud.register.errors import RegisterError
from cloud.register.ids import IdMaker
from cloud.register.paths import child_path, moved_path, subtree
from cloud.register.places import put_place

TREE = (
    ("an", PlaceKind.CITY, None),
    ("xx", PlaceKind.DISTRICT, "an"),
    ("east", PlaceKind.TOWNSHIP, "xx"),
    ("west", PlaceKind.TOWNSHIP, "xx"),
    ("qt", PlaceKind.COMMUNITY, "east"),
    ("qt-3", PlaceKind.BUILDING, "qt"),
    ("qt-3-501", PlaceKind.DWELLING, "qt-3"),
)
_ids = st.uuids(version=4)


def plant(connection: Connection) -> None:
    make_id = IdMaker()
    for code, kind, parent in TREE:
        put_place(connection, make_id, code, kind, code, parent)


def below(connection: Connection, code: str) -> set[str]:
    path = connection.execute(select(Place.path).where(Place.code == code)).scalar_one()
    return set(connection.execute(select(Place.code).where(subtree(path).holds(Place.path))).scalars())


def test_a_subtree_is_a_range_of_paths(database: Database) -> None:
    with database.write() as connection:
        plant(connection)
        assert below(connection, "xx") == {"xx", "east", "west", "qt", "qt-3", "qt-3-501"}
        assert below(connection, "east") == {"east", "qt", "qt-3", "qt-3-501"}
        assert below(connection, "west") == {"west"}


def test_what_lies_below_moves_along(database: Database) -> None:
    with database.write() as connection:
        plant(connection)
        put_place(connection, IdMaker(), "qt", PlaceKind.COMMUNITY, "qt", "west")
        assert below(connection, "east") == {"east"}
        assert below(connection, "west") == {"west", "qt", "qt-3", "qt-3-501"}


def test_a_place_cannot_be_moved_into_itself(database: Database) -> None:
    with database.write() as connection:
        plant(connection)
        put_place(connection, IdMaker(), "inner", PlaceKind.COMPOUND, "inner", "qt")
        put_place(connection, IdMaker(), "outer", PlaceKind.COMPOUND, "outer", "qt")
        with pytest.raises(RegisterError):
            put_place(connection, IdMaker(), "qt", PlaceKind.COMMUNITY, "qt", "qt")


@pytest.mark.parametrize(
    ("kind", "parent"),
    [
        (PlaceKind.BUILDING, None),
        (PlaceKind.BUILDING, "xx"),
        (PlaceKind.TOWNSHIP, "qt"),
        (PlaceKind.DWELLING, "east"),
        (PlaceKind.CITY, "xx"),
    ],
)
def test_a_place_stands_only_under_what_is_wider(database: Database, kind: PlaceKind, parent: str | None) -> None:
    with database.write() as connection:
        plant(connection)
        with pytest.raises(RegisterError):
            put_place(connection, IdMaker(), "new", kind, "new", parent)


@given(_ids, _ids, _ids)
def test_a_path_lies_in_the_range_of_its_parent_and_of_no_sibling(parent: UUID, child: UUID, other: UUID) -> None:
    above = child_path(None, parent)
    path = child_path(above, child)
    first, beyond = subtree(above)
    assert first <= path < beyond
    assert moved_path(path, above, child_path(None, other)) == child_path(child_path(None, other), child)
    if other.bytes[8:] != parent.bytes[8:]:
        first, beyond = subtree(child_path(None, other))
        assert not first <= path < beyond
