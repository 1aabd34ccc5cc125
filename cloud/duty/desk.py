"""Sets up centres, says who works there, and writes rosters and what changes for one date. Rosters are only added to.

Each function works within the caller's transaction, for an account within its scope: what lies outside is not there.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row, delete, func, insert, or_, select, update

from cloud.access.errors import NotNow, NotThere
from cloud.accounts.scope import Scope
from cloud.alarms.states import MAY_HANDLE, Level
from cloud.database.tables import (
    Account,
    AccountPerson,
    Centre,
    CentrePost,
    DutyException,
    DutyRosterName,
    DutyRosterVersion,
    Person,
    Place,
    PlaceKind,
)
from cloud.duty.plan import RosterPlan
from cloud.duty.shifts import Roster, Version, in_force
from cloud.register.change import Change
from cloud.register.errors import RegisterError

KINDS = {
    Level.GUARD: (PlaceKind.COMMUNITY, PlaceKind.COMPOUND, PlaceKind.BUILDING, PlaceKind.UNIT, PlaceKind.ENTRANCE),
    Level.COMMUNITY: (PlaceKind.COMMUNITY,),
    Level.TOWNSHIP: (PlaceKind.TOWNSHIP,),
    Level.DISTRICT: (PlaceKind.DISTRICT, PlaceKind.CITY),
}
"""At which places a centre of a level, or a guard post, is."""


@dataclass(frozen=True)
class Planner:
    """Who writes, when; `account_id` None: the command line."""

    account_id: UUID | None
    scope: Scope
    at: datetime
    make_id: Callable[[], UUID]


class NoSuchCentre(NotThere):
    """There is none, or it is not for the account to see: it is not said which."""

    def __init__(self) -> None:
        super().__init__("centre", "there is no such centre", "the list of centres shows those there are")


def put_centre(
    connection: Connection, who: Planner, place: UUID, level: Level, name: str, *, closed: bool = False
) -> tuple[UUID, Change]:
    """Set up the centre of a level at a place, or change its name, or close it.

    Raises:
        NotThere: if there is no such place in the scope.
        RegisterError: if a centre of this level is not at such a place.
    """
    in_scope = select(Place.kind).where(Place.id == place, who.scope.covers_place(Place.id))
    kind = connection.execute(in_scope).scalar()
    if kind is None:
        raise NotThere("place", "there is no such place", "correct its id")
    if kind not in KINDS[level]:
        kinds = ", ".join(each.value for each in KINDS[level])
        raise RegisterError("level", f"no centre of this level is at a {kind}", f"name a place of kind {kinds}")
    same = (Centre.place_id == place, Centre.level == int(level))
    found = connection.execute(select(Centre.__table__).where(*same).with_for_update()).first()
    if found is None:
        made = who.make_id()
        values = {"id": made, "place_id": place, "level": int(level), "name": name}
        connection.execute(insert(Centre).values(**values, closed_at=who.at if closed else None))
        return made, Change.ADDED
    if (found.name, found.closed_at is not None) == (name, closed):
        return found.id, Change.UNCHANGED
    closed_at = (found.closed_at or who.at) if closed else None
    connection.execute(update(Centre).where(Centre.id == found.id).values(name=name, closed_at=closed_at))
    return found.id, Change.UPDATED


def find_centre(connection: Connection, scope: Scope, centre: UUID) -> Row[*tuple[Any, ...]]:
    """The row of a centre, with `path` of its place.

    Raises:
        NoSuchCentre: if there is none in the scope.
    """
    query = select(Centre.__table__, Place.path).join(Place, Place.id == Centre.place_id)
    found = connection.execute(query.where(Centre.id == centre, scope.covers_place(Centre.place_id))).first()
    if found is None:
        raise NoSuchCentre
    return found


def put_roster(connection: Connection, who: Planner, centre: UUID, code: str, plans: Sequence[RosterPlan]) -> Change:
    """Write what a roster says, the last of `plans` having the last word; nothing, if it says exactly this already.

    Raises:
        NoSuchCentre: as `find_centre`.
        RegisterError: if it names somebody who cannot be on duty there.
    """
    found = find_centre(connection, who.scope, centre)
    _check_members(connection, who.scope, found, {name for plan in plans for name in plan.usernames})
    roster = _roster(connection, who, centre, code)
    last = select(DutyRosterVersion.number, DutyRosterVersion.plan).where(DutyRosterVersion.roster_id == roster)
    rows = connection.execute(last.order_by(DutyRosterVersion.number.desc()).limit(len(plans))).all()
    bodies = [plan.model_dump(mode="json") for plan in plans]
    if [row.plan for row in reversed(rows)] == bodies:
        return Change.UNCHANGED
    before = rows[0].number if rows else 0
    connection.execute(
        insert(DutyRosterVersion),
        [
            {
                "roster_id": roster,
                "number": before + number,
                "since": plan.since,
                "until": plan.until,
                "plan": body,
                "written_at": who.at,
                "written_by": who.account_id,
            }
            for number, (plan, body) in enumerate(zip(plans, bodies, strict=True), 1)
        ],
    )
    return Change.UPDATED if rows else Change.ADDED


def put_exception(
    connection: Connection,
    who: Planner,
    centre: UUID,
    code: str,
    day: date,
    shift: str,
    members: tuple[str, ...] | None,
    note: str,
) -> Change:
    """Say who works a shift of one date; None: those whom the roster names, again.

    Raises:
        NoSuchCentre: as `find_centre`.
        NotThere: if the centre has no such roster.
        RegisterError: if the roster has no such shift then, or somebody cannot be on duty there.
    """
    found = find_centre(connection, who.scope, centre)
    roster = _find_roster(connection, centre, code)
    if roster is None:
        raise NotThere("roster", "the centre has no such roster", "look at the centre's rosters")
    plan = in_force(Roster(code, _versions(connection, roster)), day, who.at)
    if plan is None or shift not in {each.name for each in plan.shifts}:
        raise RegisterError("shift", f"the roster has no shift {shift!r} on {day}", "look at the roster")
    _check_members(connection, who.scope, found, set(members or ()))
    same = (DutyException.roster_id == roster, DutyException.day == day, DutyException.shift == shift)
    newest = select(DutyException.members, DutyException.note).where(*same).order_by(DutyException.number.desc())
    before = connection.execute(newest.limit(1)).first()
    kept = None if members is None else list(members)
    if (before is None and kept is None) or (before is not None and (before.members, before.note) == (kept, note)):
        return Change.UNCHANGED
    count = select(func.coalesce(func.max(DutyException.number), 0) + 1).where(DutyException.roster_id == roster)
    connection.execute(
        insert(DutyException).values(
            id=who.make_id(),
            roster_id=roster,
            number=connection.execute(count).scalar_one(),
            day=day,
            shift=shift,
            members=kept,
            note=note,
            written_at=who.at,
            written_by=who.account_id,
        )
    )
    return Change.ADDED if before is None else Change.UPDATED


def give_post(connection: Connection, who: Planner, centre: UUID, username: str, function: str) -> tuple[UUID, Change]:
    """Say what an account is at a centre, from now on.

    Raises:
        NoSuchCentre: as `find_centre`.
        RegisterError: if there is no such account there.
    """
    found = find_centre(connection, who.scope, centre)
    _check_members(connection, who.scope, found, {username})
    account = connection.execute(select(Account.id).where(Account.username == username)).scalar_one()
    same = (CentrePost.centre_id == centre, CentrePost.account_id == account, CentrePost.function == function)
    held = connection.execute(select(CentrePost.id).where(*same, CentrePost.until.is_(None))).scalar()
    if held is not None:
        return held, Change.UNCHANGED
    made = who.make_id()
    values = {"id": made, "centre_id": centre, "account_id": account, "function": function, "since": who.at}
    connection.execute(insert(CentrePost).values(**values))
    return made, Change.ADDED


def end_post(connection: Connection, who: Planner, post: UUID) -> None:
    """Somebody is it no more.

    Raises:
        NotThere: if there is no such post in the scope.
        NotNow: if it has ended already.
    """
    query = select(CentrePost.id, CentrePost.until).join(Centre, Centre.id == CentrePost.centre_id)
    found = connection.execute(query.where(CentrePost.id == post, who.scope.covers_place(Centre.place_id))).first()
    if found is None:
        raise NotThere("post", "there is no such post", "look at the centre's posts")
    if found.until is not None:
        raise NotNow("post", "it has ended already", "nothing needs to be done")
    connection.execute(update(CentrePost).where(CentrePost.id == post).values(until=who.at))


def bind_person(connection: Connection, make_id: Callable[[], UUID], username: str, person: UUID | None) -> None:
    """Say which person of the register has an account, so that the head of a unit is told by it; None: nobody.

    Raises:
        NotThere: if there is no such account or person.
    """
    account = connection.execute(select(Account.id).where(Account.username == username)).scalar()
    if account is None:
        raise NotThere("account", f"there is no account {username!r}", "'accounts list' shows those there are")
    if person is not None and connection.execute(select(Person.id).where(Person.id == person)).first() is None:
        raise NotThere("person", "there is no such person", "look up the residents of the dwelling")
    connection.execute(delete(AccountPerson).where(AccountPerson.account_id == account))
    if person is not None:
        connection.execute(insert(AccountPerson).values(id=make_id(), account_id=account, person_id=person))


def _check_members(
    connection: Connection, scope: Scope, centre: Row[*tuple[Any, ...]], usernames: Iterable[str]
) -> None:
    """That each is the name of an account of the scope that handles alarms, at a place above or below the centre's."""
    wanted = set(usernames)
    query = select(Account.username, Place.path).outerjoin(Place, Place.id == Account.place_id)
    query = query.where(
        Account.username.in_(wanted),
        Account.role.in_(MAY_HANDLE),
        Account.disabled_at.is_(None),
        or_(Account.place_id.is_(None), Place.id.is_not(None)),
        scope.covers_place(Account.place_id),
    )
    path = centre.path
    fit = {
        row.username
        for row in connection.execute(query)
        if row.path is None or path.startswith(row.path) or row.path.startswith(path)
    }
    if unknown := sorted(wanted - fit):
        names = ", ".join(repr(each) for each in unknown[:5])
        raise RegisterError(
            "members", f"{names}: no account that can be on duty here", "name accounts of this place that handle alarms"
        )


def _roster(connection: Connection, who: Planner, centre: UUID, code: str) -> UUID:
    """The id of the centre's roster of that code, which may be a new one."""
    found = _find_roster(connection, centre, code)
    if found is None:
        found = who.make_id()
        connection.execute(insert(DutyRosterName).values(id=found, centre_id=centre, code=code))
    return found


def _find_roster(connection: Connection, centre: UUID, code: str) -> UUID | None:
    """Locked: who writes next waits."""
    same = (DutyRosterName.centre_id == centre, DutyRosterName.code == code)
    return connection.execute(select(DutyRosterName.id).where(*same).with_for_update()).scalar()


def _versions(connection: Connection, roster: UUID) -> list[Version]:
    query = select(DutyRosterVersion.plan, DutyRosterVersion.written_at).where(DutyRosterVersion.roster_id == roster)
    rows = connection.execute(query.order_by(DutyRosterVersion.number))
    return [Version(RosterPlan.model_validate(row.plan), row.written_at) for row in rows]
