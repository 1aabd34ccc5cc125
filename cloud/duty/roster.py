"""Tells whoever is on duty: by the roster of the nearest centre, of the alarm's level, whose place holds the alarm's.

It is asked within the transaction that writes the alarm's step, so a roster that was changed holds from the next step
on, and a restart forgets nothing. Nobody is told of what he may not see: an account on duty that does not cover the
alarm's place counts as not there.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Row, func, or_, select

from cloud.alarms.roster import Duty, Roster, Told, asks_for_head, covering, grid_members, of_level, places_above
from cloud.alarms.states import MAY_HANDLE, Level
from cloud.database.tables import AccountPerson, Centre, JointUnitPlace, Place, Post, PostKind
from cloud.duty.book import read_book

_Accounts = Sequence[Row[*tuple[Any, ...]]]


class DutyRoster(Roster):
    """Where there is no roster, it tells everybody of the level; where there is one with a gap, too, and says so.

    The head of a unit is told by his own account, if the register names him and somebody has given him one. Else the
    grid members of the grid stand in, and without any the community's staff on duty.

    Args:
        zone: of the site's clock.
    """

    def __init__(self, zone: ZoneInfo) -> None:
        self._zone = zone

    def on_duty(self, connection: Connection, duty: Duty) -> Told:
        accounts = [row for row in covering(connection, duty) if row.role in MAY_HANDLE]
        if asks_for_head(duty):
            named = _heads(connection, duty, accounts) or grid_members(accounts)
            if named:
                return Told(named)
            duty = replace(duty, level=Level.COMMUNITY)
        return self._at_level(connection, duty, accounts)

    def _at_level(self, connection: Connection, duty: Duty, accounts: _Accounts) -> Told:
        everybody = of_level(accounts, duty.level)
        centres = centres_above(connection, duty.place_id, duty.level)
        if not centres:
            return Told(everybody)
        book = read_book(connection, centres, duty.at, duty.at, self._zone)
        for centre in centres:
            turns = book.on_duty(centre, duty.at)
            if turns or book.is_kept(centre, duty.at):
                names = {name for turn in turns for name in turn.members}
                told = tuple(row.id for row in accounts if row.username in names)
                return Told(told) if told else Told(everybody, nobody_on_duty=True)
        return Told(everybody)


def centres_above(connection: Connection, place: UUID | None, level: Level) -> list[UUID]:
    """The open centres of a level at the place and above it, the nearest first."""
    at = (Centre.place_id.in_(places_above(connection, place)), Centre.level == int(level), Centre.closed_at.is_(None))
    query = select(Centre.id).join(Place, Place.id == Centre.place_id).where(*at)
    return list(connection.execute(query.order_by(func.length(Place.path).desc())).scalars())


def _heads(connection: Connection, duty: Duty, accounts: _Accounts) -> tuple[UUID, ...]:
    """The accounts of the heads of the unit that the place lies in."""
    lies_in = select(JointUnitPlace.joint_unit_id).where(
        JointUnitPlace.place_id == duty.place_id,
        JointUnitPlace.since <= duty.at,
        or_(JointUnitPlace.until.is_(None), JointUnitPlace.until > duty.at),
    )
    holds = (Post.kind == PostKind.UNIT_HEAD, Post.joint_unit_id.in_(lies_in), Post.since <= duty.at)
    query = select(AccountPerson.account_id).join(Post, Post.person_id == AccountPerson.person_id)
    query = query.where(*holds, or_(Post.until.is_(None), Post.until > duty.at))
    heads = set(connection.execute(query).scalars())
    return tuple(row.id for row in accounts if row.id in heads)
