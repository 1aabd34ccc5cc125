"""What is told of duty: the centres of a scope and who is on duty there, their rosters, who is told for a place."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Row, or_, select

from cloud.access.errors import NotThere
from cloud.accounts.scope import Scope
from cloud.alarms.states import MAY_HANDLE, Level
from cloud.database.tables import (
    Account,
    Centre,
    CentrePost,
    DutyException,
    DutyRosterName,
    DutyRosterVersion,
    Place,
)
from cloud.duty.book import DutyBook, read_book
from cloud.duty.desk import find_centre
from cloud.duty.plan import RosterPlan
from cloud.duty.roster import centres_above
from cloud.duty.values import (
    CentreAnswer,
    CentreRow,
    ChangeRow,
    Gap,
    LevelRow,
    OnDuty,
    PostRow,
    RosterRow,
    VersionRow,
)

_Posts = defaultdict[UUID, list[Row[*tuple[Any, ...]]]]


def read_centres(
    connection: Connection, scope: Scope, at: datetime, zone: ZoneInfo, *, closed: bool = False
) -> list[CentreRow]:
    """The open centres of a scope, those of the highest level first, and who is on duty at each; or the closed ones."""
    is_asked = Centre.closed_at.is_not(None) if closed else Centre.closed_at.is_(None)
    return _centres(connection, at, zone, is_asked, scope.covers_place(Centre.place_id))


def read_centre(connection: Connection, scope: Scope, centre: UUID, at: datetime, zone: ZoneInfo) -> CentreAnswer:
    """A centre with its people, its rosters and all they ever said.

    Raises:
        NoSuchCentre: if there is none in the scope.
    """
    find_centre(connection, scope, centre)
    [row] = _centres(connection, at, zone, Centre.id == centre)
    posts = tuple(
        PostRow(id=post.id, account=post.username, function=post.function, since=post.since)
        for post in _posts(connection, [centre], at)[centre]
    )
    return CentreAnswer(centre=row, posts=posts, rosters=_rosters(connection, centre))


def read_gaps(
    connection: Connection, scope: Scope, centre: UUID, since: datetime, until: datetime, zone: ZoneInfo
) -> list[Gap]:
    """When nobody is on duty at a centre although it has a roster. Disabled accounts count as nobody.

    Raises:
        NoSuchCentre: if there is none in the scope.
    """
    find_centre(connection, scope, centre)
    book, able = read_book(connection, [centre], since, until, zone), _able(connection)
    return [Gap(since=begins, until=ends) for begins, ends in book.gaps(centre, since, until, able)]


def read_levels(connection: Connection, scope: Scope, place: UUID, at: datetime, zone: ZoneInfo) -> list[LevelRow]:
    """Who is told at each level of what happens at a place. The levels above are told to whom the place is shown.

    Raises:
        NotThere: if there is no such place in the scope.
    """
    if connection.execute(select(Place.id).where(Place.id == place, scope.covers_place(Place.id))).first() is None:
        raise NotThere("place", "there is no such place", "correct its id")
    return [_level(connection, level, place, at, zone) for level in Level]


def _level(connection: Connection, level: Level, place: UUID, at: datetime, zone: ZoneInfo) -> LevelRow:
    """As `cloud.duty.roster`: the nearest centre with a roster."""
    nearest = centres_above(connection, place, level)
    rows = {row.id: row for row in _centres(connection, at, zone, Centre.id.in_(nearest))}
    kept = (rows[each] for each in nearest if rows[each].has_roster or rows[each].nobody_on_duty or rows[each].on_duty)
    centre = next(kept, None)
    return LevelRow(
        level=int(level),
        centre=centre and centre.name,
        everybody=centre is None or centre.nobody_on_duty,
        nobody_on_duty=centre is not None and centre.nobody_on_duty,
        on_duty=centre.on_duty if centre is not None else (),
    )


def _centres(connection: Connection, at: datetime, zone: ZoneInfo, *conditions: Any) -> list[CentreRow]:
    query = select(Centre.__table__, Place.name.label("place_name")).join(Place, Place.id == Centre.place_id)
    rows = connection.execute(query.where(*conditions).order_by(Centre.level.desc(), Place.path, Centre.id)).all()
    ids = [row.id for row in rows]
    book, posts, able = read_book(connection, ids, at, at, zone), _posts(connection, ids, at), _able(connection)
    return [_centre(row, book, posts[row.id], able, at) for row in rows]


def _centre(
    row: Row[*tuple[Any, ...]],
    book: DutyBook,
    posts: Sequence[Row[*tuple[Any, ...]]],
    able: frozenset[str],
    at: datetime,
) -> CentreRow:
    on_duty = tuple(
        OnDuty(
            account=name,
            functions=tuple(post.function for post in posts if post.username == name),
            roster=turn.roster,
            shift=turn.shift,
            since=turn.since,
            until=turn.until,
        )
        for turn in book.on_duty(row.id, at)
        for name in turn.members
        if name in able
    )
    has_roster = book.is_kept(row.id, at)
    return CentreRow(
        id=row.id,
        name=row.name,
        level=row.level,
        place=row.place_id,
        place_name=row.place_name,
        closed=row.closed_at is not None,
        has_roster=has_roster,
        nobody_on_duty=not on_duty and (has_roster or bool(book.on_duty(row.id, at))),
        on_duty=on_duty,
    )


def _able(connection: Connection) -> frozenset[str]:
    """The accounts that can be told."""
    query = select(Account.username).where(Account.disabled_at.is_(None), Account.role.in_(MAY_HANDLE))
    return frozenset(connection.execute(query).scalars())


def _posts(connection: Connection, centres: Collection[UUID], at: datetime) -> _Posts:
    query = select(CentrePost.__table__, Account.username).join(Account, Account.id == CentrePost.account_id)
    held = (CentrePost.since <= at, or_(CentrePost.until.is_(None), CentrePost.until > at))
    found: _Posts = defaultdict(list)
    for row in connection.execute(query.where(CentrePost.centre_id.in_(centres), *held).order_by(CentrePost.id)):
        found[row.centre_id].append(row)
    return found


def _rosters(connection: Connection, centre: UUID) -> tuple[RosterRow, ...]:
    of_centre = select(DutyRosterName.id, DutyRosterName.code).where(DutyRosterName.centre_id == centre)
    names = connection.execute(of_centre.order_by(DutyRosterName.code)).all()
    versions: defaultdict[UUID, list[VersionRow]] = defaultdict(list)
    for row in _written(connection, DutyRosterVersion, [each.id for each in names]):
        versions[row.roster_id].append(
            VersionRow(
                number=row.number,
                written_at=row.written_at,
                written_by=row.username,
                plan=RosterPlan.model_validate(row.plan),
            )
        )
    changes: defaultdict[UUID, list[ChangeRow]] = defaultdict(list)
    for row in _written(connection, DutyException, [each.id for each in names]):
        changes[row.roster_id].append(
            ChangeRow(
                day=row.day,
                shift=row.shift,
                members=None if row.members is None else tuple(row.members),
                note=row.note,
                written_at=row.written_at,
                written_by=row.username,
            )
        )
    return tuple(
        RosterRow(code=each.code, versions=tuple(versions[each.id]), changes=tuple(changes[each.id])) for each in names
    )


def _written(connection: Connection, table: Any, rosters: Collection[UUID]) -> Sequence[Row[*tuple[Any, ...]]]:
    """The newest first, with who wrote each."""
    query = select(table.__table__, Account.username).outerjoin(Account, Account.id == table.written_by)
    return connection.execute(query.where(table.roster_id.in_(rosters)).order_by(table.number.desc())).all()
