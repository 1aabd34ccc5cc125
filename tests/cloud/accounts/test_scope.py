"""What an account is bound to decides in the query what it finds."""

from datetime import UTC, datetime
from uuid import UUID

import pytest
from sqlalchemy import Connection, insert, select, update

from cloud.accounts.scope import Scope, scope_of
from cloud.database.engine import Database
from cloud.database.tables import Account, AccountRole, Grid, GridPlace, Place, PlaceKind
from cloud.register.ids import IdMaker
from cloud.register.places import put_place

START = datetime(2026, 1, 1, tzinfo=UTC)
make_id = IdMaker()


def place(connection: Connection, code: str, kind: PlaceKind, parent: str | None) -> UUID:
    put_place(connection, make_id, code, kind, code, parent)
    return connection.execute(select(Place.id).where(Place.code == code)).scalar_one()


@pytest.fixture
def bound(database: Database) -> dict[str, UUID]:
    """Two communities with a dwelling each; a grid of the first with one of level 2 that holds its dwelling."""
    with database.write() as connection:
        found = {
            "xx": place(connection, "xx", PlaceKind.DISTRICT, None),
            "qt": place(connection, "qt", PlaceKind.COMMUNITY, "xx"),
            "qt-1": place(connection, "qt-1", PlaceKind.DWELLING, "qt"),
            "by": place(connection, "by", PlaceKind.COMMUNITY, "xx"),
            "by-1": place(connection, "by-1", PlaceKind.DWELLING, "by"),
            "grid": make_id(),
            "small": make_id(),
            "account": make_id(),
        }
        values = {"place_id": found["qt"], "since": START, "name": "x"}
        connection.execute(insert(Grid).values(id=found["grid"], code="g", level=1, **values))
        connection.execute(insert(Grid).values(id=found["small"], code="s", level=2, parent_id=found["grid"], **values))
        connection.execute(insert(GridPlace).values(place_id=found["qt-1"], since=START, grid_id=found["small"]))
        account = {"id": found["account"], "username": "a", "password_hash": "x", "created_at": START}
        connection.execute(insert(Account).values(role=AccountRole.COMMUNITY, **account))
    return found


def seen(database: Database, bound: dict[str, UUID], **binding: UUID) -> tuple[set[str], set[str]]:
    with database.write() as connection:
        if binding:
            connection.execute(update(Account).where(Account.id == bound["account"]).values(**binding))
        scope = scope_of(connection, bound["account"])
        places = connection.execute(select(Place.code).where(scope.covers_place(Place.id))).scalars()
        grids = connection.execute(select(Grid.code).where(scope.covers_grid(Grid.id))).scalars()
        return set(places), set(grids)


def test_an_account_without_a_place_sees_the_whole_hub(database: Database, bound: dict[str, UUID]) -> None:
    assert seen(database, bound) == ({"xx", "qt", "qt-1", "by", "by-1"}, {"g", "s"})
    assert Scope().is_whole


def test_an_account_sees_the_subtree_of_its_place(database: Database, bound: dict[str, UUID]) -> None:
    assert seen(database, bound, place_id=bound["by"]) == ({"by", "by-1"}, set())
    assert seen(database, bound, place_id=bound["qt"]) == ({"qt", "qt-1"}, {"g", "s"})


def test_a_grid_member_sees_what_lies_in_the_grid_now(database: Database, bound: dict[str, UUID]) -> None:
    assert seen(database, bound, grid_id=bound["grid"]) == ({"qt-1"}, {"g", "s"})
    assert seen(database, bound, place_id=bound["by"], grid_id=bound["grid"]) == (set(), set())


def test_one_that_is_bound_to_what_is_no_more_sees_nothing(database: Database, bound: dict[str, UUID]) -> None:
    assert seen(database, bound, place_id=make_id()) == (set(), set())
    assert seen(database, bound, grid_id=make_id()) == (set(), set())
    with database.read() as connection:
        assert scope_of(connection, make_id()).nothing
