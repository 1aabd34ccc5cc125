"""The routes of duty, below `/api/v1/duty`. The scope of the account bounds each."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Path, Query
from pydantic import AwareDatetime, Field

from cloud.access.problems import ProblemRoute, documented
from cloud.access.routes import Changed, Identifier, Listing
from cloud.accounts import Permission, SignedIn
from cloud.alarms.queue import MAX_ROWS
from cloud.alarms.reach import Sees
from cloud.audit import AuditLog
from cloud.console.guard import Dependency, Guard
from cloud.database.engine import Database
from cloud.duty.desk import Planner, end_post, give_post, put_centre, put_exception, put_roster
from cloud.duty.handover import accept_handover, count_overdue, read_handovers, write_handover
from cloud.duty.plan import RosterPlan
from cloud.duty.reading import read_centre, read_centres, read_gaps, read_levels
from cloud.duty.settings import DutySettings
from cloud.duty.values import (
    ROSTER_CODE,
    AcceptRequest,
    CentreAnswer,
    CentreChanged,
    CentreRequest,
    CentreRow,
    ExceptionRequest,
    Gap,
    HandoverList,
    HandoverRequest,
    HandoverRow,
    LevelRow,
    PostRequest,
)

_READS, _LOOKS = documented(403, 422, 503), documented(403, 404, 422, 503)
_ACTS = documented(403, 404, 409, 422, 503)
Code = Annotated[str, Path(pattern=ROSTER_CODE, examples=["desk"])]
_Days = Annotated[int, Query(ge=1, le=92)]
_Moment = Annotated[AwareDatetime, Field(ge=datetime(2000, 1, 1, tzinfo=UTC), le=datetime(2999, 1, 1, tzinfo=UTC))]
_At = Annotated[_Moment | None, Query(examples=["2026-11-24T08:00:00+08:00"])]


@dataclass(frozen=True)
class DutyOffice:
    """What the routes work with. `zone`: of the site's clock."""

    database: Database
    audit: AuditLog
    now: Callable[[], datetime]
    make_id: Callable[[], UUID]
    zone: ZoneInfo
    settings: DutySettings

    def planner(self, by: SignedIn) -> Planner:
        """Who writes, now."""
        return Planner(by.account_id, by.scope, self.now(), self.make_id)

    def done(self, by: SignedIn, what: str, **detail: str) -> None:
        """Audit what was done."""
        self.audit.append(f"duty.{what}", by.account_id, detail)


def duty_router(office: DutyOffice, guard: Guard) -> APIRouter:
    """Every route of duty."""
    router = APIRouter()
    see = guard.may(Permission.SEE_DUTY)
    plan, handle = guard.may_change(Permission.SET_DUTY), guard.may_change(Permission.HANDLE_ALARMS)
    router.include_router(_reading(office, see))
    router.include_router(_planning(office, plan))
    router.include_router(_handing_over(office, see, handle))
    return router


def _new_router() -> APIRouter:
    options: dict[str, Any] = {"route_class": ProblemRoute, "tags": ["duty"]}
    return APIRouter(prefix="/api/v1/duty", **options)


def _reading(office: DutyOffice, see: Dependency) -> APIRouter:
    router = _new_router()

    @router.get("/centres", responses=_READS)
    def centres(by: Annotated[SignedIn, Depends(see)], at: _At = None, closed: bool = False) -> Listing[CentreRow]:
        """The centres and guard posts of one's part of the hub, and who is on duty there, now or at a moment."""
        with office.database.read() as connection:
            found = read_centres(connection, by.scope, at or office.now(), office.zone, closed=closed)
        return Listing(items=tuple(found))

    @router.get("/now", responses=_LOOKS)
    def on_duty(place: UUID, by: Annotated[SignedIn, Depends(see)], at: _At = None) -> Listing[LevelRow]:
        """Who is told, at each level, of what happens at a place: now, or at a moment."""
        with office.database.read() as connection:
            return Listing(items=tuple(read_levels(connection, by.scope, place, at or office.now(), office.zone)))

    @router.get("/centres/{identifier}", responses=_LOOKS)
    def centre(identifier: Identifier, by: Annotated[SignedIn, Depends(see)]) -> CentreAnswer:
        """A centre with its people, and its rosters with all they ever said."""
        with office.database.read() as connection:
            return read_centre(connection, by.scope, identifier, office.now(), office.zone)

    @router.get("/centres/{identifier}/gaps", responses=_LOOKS)
    def gaps(identifier: Identifier, by: Annotated[SignedIn, Depends(see)], days: _Days = 14) -> Listing[Gap]:
        """When, in the days to come, nobody is on duty although there is a roster."""
        since = office.now()
        with office.database.read() as connection:
            found = read_gaps(connection, by.scope, identifier, since, since + timedelta(days=days), office.zone)
        return Listing(items=tuple(found))

    return router


def _planning(office: DutyOffice, plan: Dependency) -> APIRouter:
    router = _new_router()

    @router.put("/centres", responses=_ACTS)
    def put(wanted: CentreRequest, by: Annotated[SignedIn, Depends(plan)]) -> CentreChanged:
        """Set up the centre of a level at a place, or change or close it."""
        with office.database.write() as connection:
            made, change = put_centre(
                connection, office.planner(by), wanted.place, wanted.level, wanted.name, closed=wanted.closed
            )
        office.done(by, "centre", centre=str(made), name=wanted.name, closed=str(wanted.closed))
        return CentreChanged(id=made, change=change)

    @router.put("/centres/{identifier}/rosters/{code}", responses=_ACTS)
    def write(
        identifier: Identifier, code: Code, wanted: RosterPlan, by: Annotated[SignedIn, Depends(plan)]
    ) -> Changed:
        """Write what a roster says from a day on. What it said before stays on record."""
        with office.database.write() as connection:
            change = put_roster(connection, office.planner(by), identifier, code, [wanted])
        office.done(by, "roster", centre=str(identifier), roster=code, since=str(wanted.since))
        return Changed(change=change)

    @router.post("/centres/{identifier}/rosters/{code}/exceptions", responses=_ACTS)
    def write_exception(
        identifier: Identifier, code: Code, wanted: ExceptionRequest, by: Annotated[SignedIn, Depends(plan)]
    ) -> Changed:
        """Say who works a shift of one date."""
        with office.database.write() as connection:
            change = put_exception(
                connection,
                office.planner(by),
                identifier,
                code,
                wanted.day,
                wanted.shift,
                wanted.members,
                wanted.note,
            )
        told = {"centre": str(identifier), "roster": code, "day": str(wanted.day), "shift": wanted.shift}
        office.done(by, "exception", **told)
        return Changed(change=change)

    @router.post("/centres/{identifier}/posts", responses=_ACTS)
    def give(identifier: Identifier, wanted: PostRequest, by: Annotated[SignedIn, Depends(plan)]) -> CentreChanged:
        """Say what an account is at a centre, from now on."""
        with office.database.write() as connection:
            made, change = give_post(connection, office.planner(by), identifier, wanted.account, wanted.function)
        office.done(by, "post", post=str(made), centre=str(identifier), username=wanted.account)
        return CentreChanged(id=made, change=change)

    @router.post("/posts/{identifier}/end", status_code=204, responses=_ACTS)
    def end(identifier: Identifier, by: Annotated[SignedIn, Depends(plan)]) -> None:
        """Somebody is it no more."""
        with office.database.write() as connection:
            end_post(connection, office.planner(by), identifier)
        office.done(by, "post.end", post=str(identifier))

    return router


def _handing_over(office: DutyOffice, see: Dependency, handle: Dependency) -> APIRouter:
    router = _new_router()

    def shown(by: SignedIn, handover: UUID) -> HandoverRow:
        with office.database.read() as connection:
            [found] = read_handovers(connection, by.scope, Sees.by(by), office.now(), handover=handover)
        return found

    @router.get("/handovers", responses=_READS)
    def handovers(
        by: Annotated[SignedIn, Depends(see)],
        waiting: bool = False,
        before: _At = None,
        limit: Annotated[int, Query(ge=1, le=MAX_ROWS)] = MAX_ROWS,
    ) -> HandoverList:
        """Handovers of one's part of the hub, the newest first; `waiting=true`: those that nobody has accepted."""
        now = office.now()
        with office.database.read() as connection:
            found = read_handovers(connection, by.scope, Sees.by(by), now, waiting=waiting, before=before, limit=limit)
            return HandoverList(items=tuple(found), overdue=count_overdue(connection, now, by.scope))

    @router.post("/centres/{identifier}/handovers", status_code=201, responses=_ACTS)
    def hand_over(
        identifier: Identifier, wanted: HandoverRequest, by: Annotated[SignedIn, Depends(handle)]
    ) -> HandoverRow:
        """Leave a handover; the hub adds the alarms and matters that are open."""
        with office.database.write() as connection:
            made = write_handover(
                connection,
                office.planner(by),
                Sees.by(by),
                identifier,
                wanted.note,
                wanted.special,
                office.settings.accept_within,
            )
        office.done(by, "handover", handover=str(made), centre=str(identifier))
        return shown(by, made)

    @router.post("/handovers/{identifier}/accept", responses=_ACTS)
    def accept(identifier: Identifier, wanted: AcceptRequest, by: Annotated[SignedIn, Depends(handle)]) -> HandoverRow:
        """Take over. Of two at once one wins, and the other is told who."""
        with office.database.write() as connection:
            accept_handover(connection, office.planner(by), identifier, wanted.note)
        office.done(by, "handover.accept", handover=str(identifier))
        return shown(by, identifier)

    return router
