"""Who is told of an alarm: a `Roster` says. `cloud.duty.roster` is the hub's.

What is told outside the console is `cloud.notify`'s: its roster stands around another one and hears of each
announcement within the transaction that writes the step.
"""

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


@dataclass(frozen=True)
class Told:
    """Who is told. Nobody: the alarm climbs by its limits all the same.

    Attributes:
        nobody_on_duty: there is a duty roster, but nobody is on duty: everybody of the level is told instead.
    """

    accounts: tuple[UUID, ...] = ()
    nobody_on_duty: bool = False


@dataclass(frozen=True)
class Announcement:
    """A step of an alarm of which people are told."""

    alarm: UUID
    step: int
    duty: Duty
    told: Told


class Roster(Protocol):
    """Decides who is told."""

    def on_duty(self, connection: Connection, duty: Duty) -> Told:
        """The accounts that are told; it only reads."""
        ...

    def announced(self, connection: Connection, announcement: Announcement) -> None:  # noqa: ARG002 (nothing to do)
        """Hears what was written down, in the same transaction."""
        return


class Nobody(Roster):
    """A roster that tells nobody: for rules that are only tested."""

    def on_duty(self, connection: Connection, duty: Duty) -> Told:  # noqa: ARG002 (a Roster)
        return Told()


def asks_for_head(duty: Duty) -> bool:
    """Whether the head of a unit is to be told."""
    return duty.audience is Audience.UNIT_HEAD and duty.level is Level.GUARD


def covering(connection: Connection, duty: Duty) -> Sequence[Row[*tuple[Any, ...]]]:
    """Every account that sees the place and grid: `id`, `username`, `role`, `grid_id`."""
    places = or_(Account.place_id.is_(None), Account.place_id.in_(places_above(connection, duty.place_id)))
    grids = or_(Account.grid_id.is_(None), Account.grid_id.in_(_grids(connection, duty.grid_id)))
    query = select(Account.id, Account.username, Account.role, Account.grid_id)
    query = query.where(Account.disabled_at.is_(None), places, grids)
    return connection.execute(query.order_by(Account.id)).all()


def of_level(accounts: Iterable[Row[*tuple[Any, ...]]], level: Level) -> tuple[UUID, ...]:
    """Those of these accounts that are told at a level."""
    return tuple(row.id for row in accounts if LEVEL_OF_ROLE.get(row.role) is level)


def grid_members(accounts: Iterable[Row[*tuple[Any, ...]]]) -> tuple[UUID, ...]:
    """Those that are bound to a grid."""
    return tuple(row.id for row in accounts if row.grid_id is not None)


def announce(connection: Connection, roster: Roster, alarm: UUID, step: int, duty: Duty) -> int:
    """Write down who is told of a step; how many they are."""
    told = roster.on_duty(connection, duty)
    count = tell(connection, alarm, step, told.accounts, duty.at)
    roster.announced(connection, Announcement(alarm, step, duty, told))
    return count


def tell(connection: Connection, alarm: UUID, step: int, accounts: Iterable[UUID], at: datetime) -> int:
    """Write down that these accounts are told of a step; how many they are."""
    told = sorted(set(accounts))
    if told:
        rows = [{"alarm_id": alarm, "step": step, "account_id": each, "at": at} for each in told]
        connection.execute(insert(AlarmTold), rows)
    return len(told)


def places_above(connection: Connection, place: UUID | None) -> list[UUID]:
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
