"""Whose matters an account may see: a place with all below it, a grid with all that lies in it, or the whole hub.

This is the one place where that is decided, as a condition in the query: what is outside is not there, neither in a
list nor by its id, and not in an error message. The same is so for events of long ago, while no purpose was stated.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Self
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, and_, false, not_, or_, select, true
from sqlalchemy.orm import InstrumentedAttribute

from cloud.database.tables import Account, Door, EventRecord, Grid, GridPlace, Place, Residency
from cloud.register.paths import PathRange, subtree

IdColumn = InstrumentedAttribute[UUID] | InstrumentedAttribute[UUID | None] | ColumnElement[Any]
NameColumn = InstrumentedAttribute[str] | ColumnElement[Any]


@dataclass(frozen=True)
class Recent:
    """How far back events are told to who states no purpose. Two of the same clock and window are equal."""

    now: Callable[[], datetime]
    window: timedelta = timedelta(days=7)

    @property
    def since(self) -> datetime:
        """The moment, as of now."""
        return self.now() - self.window


@dataclass(frozen=True)
class Scope:
    """What an account is bound to.

    Attributes:
        paths: the subtree; None: every place.
        grid_id: within it, this grid and those of level 2 in it; None: not bound to a grid.
        nothing: bound to a place or grid that is no more: it sees nothing.
        recent: of events only those received since then; None: a purpose was stated, or the hub itself asks.
    """

    paths: PathRange | None = None
    grid_id: UUID | None = None
    nothing: bool = False
    recent: Recent | None = None

    def with_purpose(self) -> Self:
        """The same, events of long ago too: for a question whose purpose is in the audit."""
        return replace(self, recent=None)

    @property
    def is_whole(self) -> bool:
        """Whether it covers the whole hub, if perhaps not events of long ago."""
        return not self.nothing and self.paths is None and self.grid_id is None

    def covers_place(self, place_id: IdColumn) -> ColumnElement[bool]:
        """The condition on a column of place ids. A row without a place belongs to the whole hub alone."""
        if self.nothing:
            return false()
        conditions = []
        if self.paths is not None:
            conditions.append(place_id.in_(select(Place.id).where(self.paths.holds(Place.path))))
        if self.grid_id is not None:
            lies_in = select(GridPlace.place_id).where(GridPlace.grid_id.in_(self._grids()), GridPlace.until.is_(None))
            conditions.append(place_id.in_(lies_in))
        return and_(true(), *conditions)

    def covers_grid(self, grid_id: IdColumn) -> ColumnElement[bool]:
        """The condition on a column of grid ids."""
        if self.nothing:
            return false()
        conditions = []
        if self.paths is not None:
            places = select(Place.id).where(self.paths.holds(Place.path))
            conditions.append(grid_id.in_(select(Grid.id).where(Grid.place_id.in_(places))))
        if self.grid_id is not None:
            conditions.append(grid_id.in_(self._grids()))
        return and_(true(), *conditions)

    def covers_person(self, person_id: IdColumn, now: datetime) -> ColumnElement[bool]:
        """The condition on a column of person ids: who lives, or will live, in a dwelling that it covers."""
        if self.is_whole:
            return true()
        stays = or_(Residency.until.is_(None), Residency.until > now)
        return person_id.in_(select(Residency.person_id).where(stays, self.covers_place(Residency.dwelling_id)))

    def covers_account(self) -> ColumnElement[bool]:
        """The condition on `Account`: it is bound to a place or grid that is covered, so to nothing outside."""
        if self.is_whole:
            return true()
        return or_(self.covers_place(Account.place_id), self.covers_grid(Account.grid_id))

    def covers_gateway(self, gateway_id: NameColumn) -> ColumnElement[bool]:
        """The condition on a column of gateway names: it has a door that is covered."""
        if self.is_whole:
            return true()
        return gateway_id.in_(select(Door.gateway_id).where(self.covers_place(Door.place_id)))

    def holds_gateway(self, gateway_id: NameColumn) -> ColumnElement[bool]:
        """As `covers_gateway`, and it has no door elsewhere: what concerns the whole gateway concerns nobody else."""
        if self.is_whole:
            return true()
        foreign = select(Door.gateway_id).where(not_(self.covers_place(Door.place_id)))
        return and_(self.covers_gateway(gateway_id), gateway_id.not_in(foreign))

    def covers_event(self) -> ColumnElement[bool]:
        """The condition on `EventRecord`: not too old; by its place; one without a place (a gateway's own) by its
        gateway."""
        if self.is_whole:
            return self.is_recent()
        of_gateway = and_(EventRecord.place_id.is_(None), self.holds_gateway(EventRecord.gateway_id))
        return and_(self.is_recent(), or_(self.covers_place(EventRecord.place_id), of_gateway))

    def is_recent(self) -> ColumnElement[bool]:
        """The condition on `EventRecord` alone that it is not too old. What a gateway sends late is new to the hub."""
        return true() if self.recent is None else EventRecord.received_at >= self.recent.since

    def _grids(self) -> Any:
        return select(Grid.id).where(or_(Grid.id == self.grid_id, Grid.parent_id == self.grid_id))


WHOLE = Scope()


def scope_of(connection: Connection, account: UUID, recent: Recent | None = None) -> Scope:
    """The scope of an account, as it is bound now.

    Args:
        recent: for who asks by himself; None: the hub asks what the account is bound to.
    """
    query = (
        select(Account.place_id, Account.grid_id, Place.path, Grid.id.label("grid"))
        .outerjoin(Place, Place.id == Account.place_id)
        .outerjoin(Grid, Grid.id == Account.grid_id)
        .where(Account.id == account)
    )
    row = connection.execute(query).first()
    if row is None or (row.place_id and row.path is None) or (row.grid_id and row.grid is None):
        return Scope(nothing=True, recent=recent)
    return Scope(subtree(row.path) if row.path is not None else None, row.grid_id, recent=recent)
