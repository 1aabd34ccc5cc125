"""Where a matter belongs: a place, its community and its grid, each within the account's scope. Only reads."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, select

from cloud.accounts.scope import Scope
from cloud.alarms.places import Places
from cloud.database.tables import Grid, Place
from cloud.matters.errors import NoSuchSite, WrongGrid
from cloud.register.paths import subtree


@dataclass(frozen=True)
class Site:
    """`code` and `grid_code` are what the step of a move tells."""

    place_id: UUID
    area_id: UUID | None
    grid_id: UUID | None
    code: str
    grid_code: str


def find_site(connection: Connection, scope: Scope, place: UUID | None, grid: UUID | None, at: datetime) -> Site:
    """The site of a place, a grid, or both. Without a place it is what the grid divides; without a grid, the place's.

    Raises:
        NoSuchSite: if one is not there, or the scope does not cover it.
        WrongGrid: if the place lies in another grid, or outside what the grid divides.
    """
    divided, grid_code = _grid(connection, scope, grid) if grid is not None else (None, "")
    where = place or divided
    query = select(Place.id, Place.code, Place.path).where(Place.id == where)
    if place is not None:
        query = query.where(scope.covers_place(Place.id))
    found = connection.execute(query).first()
    if found is None:
        raise NoSuchSite("place")
    places = Places(connection)
    own = places.grid(found.id, at) if place is not None else None
    if grid is not None and place is not None:
        _check(connection, divided, found.path, own, grid)
    if grid is None and own is not None:
        grid, grid_code = own, connection.execute(select(Grid.code).where(Grid.id == own)).scalar_one()
    return Site(found.id, places.area(found.id), grid, found.code, grid_code)


def _grid(connection: Connection, scope: Scope, grid: UUID) -> tuple[UUID, str]:
    query = select(Grid.place_id, Grid.code).where(Grid.id == grid, Grid.until.is_(None), scope.covers_grid(Grid.id))
    found = connection.execute(query).first()
    if found is None:
        raise NoSuchSite("grid")
    return found.place_id, found.code


def _check(connection: Connection, divided: UUID | None, path: bytes, own: UUID | None, grid: UUID) -> None:
    """That a place lies in a grid: as the register says, or where it says nothing, in what the grid divides."""
    if own is not None:
        parent = connection.execute(select(Grid.parent_id).where(Grid.id == own)).scalar()
        if grid not in (own, parent):
            raise WrongGrid
        return
    held = subtree(connection.execute(select(Place.path).where(Place.id == divided)).scalar_one())
    if not held.first <= path < held.beyond:
        raise WrongGrid
