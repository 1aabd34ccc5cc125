"""Who is told of an alarm. The register's duty rosters may answer instead of `EveryoneOfLevel`: see `Roster`."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy import Connection, Row, insert, or_, select

from cloud.alarms.states import LEVEL_OF_ROLE, Audience, Level
from cloud.database.tables import Account, AlarmTold, Grid, Place
from cloud.register.paths import SEGMENT_BYTES


@dataclass(frozen=True)
class Duty:
    """What a roster is asked: who looks after this place and grid, at this level and moment."""

    level: Level
    audience: Audience
    place_id: UUID | None
    grid_id: UUID | None
    at: datetime


class Roster(Protocol):
    """Decides who is told."""

    def on_duty(self, connection: Connection, duty: Duty) -> Sequence[UUID]:
        """The accounts that are told; it only reads. Nobody: the alarm climbs by its limits all the same."""
        ...


class Nobody:
    """A roster that tells nobody: for rules that are only tested."""

    def on_duty(self, connection: Connection, duty: Duty) -> Sequence[UUID]:  # noqa: ARG002 (a Roster)
        return ()


class EveryoneOfLevel:
    """Tells every account of the level whose scope covers the place. A unit's head has no account of that name: the
    grid members of the grid stand for the heads of its units, and without any the community's staff."""

    def on_duty(self, connection: Connection, duty: Duty) -> Sequence[UUID]:
        accounts = self._accounts(connection, duty)
        if duty.audience is Audience.UNIT_HEAD and duty.level is Level.GUARD:
            bound = [row.id for row in accounts if row.grid_id is not None]
            return bound or [row.id for row in accounts if LEVEL_OF_ROLE.get(row.role) is Level.COMMUNITY]
        return [row.id for row in accounts if LEVEL_OF_ROLE.get(row.role) is duty.level]

    def _accounts(self, connection: Connection, duty: Duty) -> Sequence[Row[*tuple[Any, ...]]]:
        places = or_(Account.place_id.is_(None), Account.place_id.in_(_above(connection, duty.place_id)))
        grids = or_(Account.grid_id.is_(None), Account.grid_id.in_(_grids(connection, duty.grid_id)))
        query = select(Account.id, Account.role, Account.grid_id).where(Account.disabled_at.is_(None), places, grids)
        return connection.execute(query.order_by(Account.id)).all()


def announce(connection: Connection, roster: Roster, alarm: UUID, step: int, duty: Duty) -> int:
    """Write down who is told of a step; how many they are."""
    return tell(connection, alarm, step, roster.on_duty(connection, duty), duty.at)


def tell(connection: Connection, alarm: UUID, step: int, accounts: Iterable[UUID], at: datetime) -> int:
    """Write down that these accounts are told of a step; how many they are."""
    told = sorted(set(accounts))
    if told:
        rows = [{"alarm_id": alarm, "step": step, "account_id": each, "at": at} for each in told]
        connection.execute(insert(AlarmTold), rows)
    return len(told)


def _above(connection: Connection, place: UUID | None) -> list[UUID]:
    """The place itself and those that it lies in."""
    path = connection.execute(select(Place.path).where(Place.id == place)).scalar()
    if path is None:
        return []
    paths = [path[:end] for end in range(SEGMENT_BYTES, len(path) + 1, SEGMENT_BYTES)]
    return list(connection.execute(select(Place.id).where(Place.path.in_(paths))).scalars())


def _grids(connection: Connection, grid: UUID | None) -> list[UUID]:
    """The grid and the one that it is a part of."""
    if grid is None:
        return []
    parent = connection.execute(select(Grid.parent_id).where(Grid.id == grid)).scalar()
    return [each for each in (grid, parent) if each is not None]
