"""The routes of matters, below `/api/v1/matters`. What is done with one goes by `/api/v1/alarms/{id}/…`."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request

from cloud.access.problems import ProblemRoute, documented
from cloud.accounts import Permission, SignedIn
from cloud.alarms.api import AlarmOffice
from cloud.alarms.queue import MAX_ROWS, read_queue
from cloud.alarms.reach import Sees
from cloud.alarms.states import Source
from cloud.alarms.values import QueueAnswer, QueueState
from cloud.console.guard import Guard
from cloud.matters.desk import Enterer, MatterDesk
from cloud.matters.values import (
    NUMBER_PATTERN,
    KindsAnswer,
    MatterAnswer,
    MatterRequest,
    PassOnRequest,
    Reporter,
    ReporterRequest,
)

Number = Annotated[str, Path(pattern=NUMBER_PATTERN, examples=["2026-000123"])]
_ACTS = documented(403, 404, 409, 422, 503)


def matter_router(office: AlarmOffice, matters: MatterDesk, guard: Guard) -> APIRouter:
    """Every route of matters."""
    see, enter = guard.may(Permission.SEE_MATTERS), guard.may_change(Permission.ENTER_MATTERS)
    options: dict[str, Any] = {"route_class": ProblemRoute, "tags": ["matters"]}
    router = APIRouter(prefix="/api/v1/matters", **options)

    @router.get("", responses=documented(403, 422, 503))
    def list_matters(
        by: Annotated[SignedIn, Depends(see)],
        state: QueueState = QueueState.OPEN,
        limit: Annotated[int, Query(ge=1, le=MAX_ROWS)] = MAX_ROWS,
    ) -> QueueAnswer:
        """The matters of the queue alone."""
        with office.database.read() as connection:
            return read_queue(connection, by.scope, state, limit=limit, source=Source.MATTER, sees=Sees.by(by))

    @router.get("/kinds", dependencies=[Depends(see)], responses=documented(403, 503))
    def kinds() -> KindsAnswer:
        """What a matter may be, with the limits of each kind."""
        return KindsAnswer(kinds=matters.kinds)

    @router.get("/{number}", responses=documented(403, 404, 422, 503))
    def one(number: Number, by: Annotated[SignedIn, Depends(see)]) -> MatterAnswer:
        """One matter by the number that people say on the phone; who reported it is masked."""
        return matters.show(number, by.scope, Sees.by(by))

    @router.post("", status_code=201, responses=documented(403, 404, 409, 422, 503))
    def add(wanted: MatterRequest, request: Request, by: Annotated[SignedIn, Depends(enter)]) -> MatterAnswer:
        """Enter a matter at a place or grid of one's own part of the hub."""
        actor = office.actor(request, by)
        number = matters.enter(wanted, Enterer(by.account_id, by.scope, actor.origin))
        office.changed()
        office.audit.append("matter.enter", by.account_id, {"matter": number, "kind": wanted.kind})
        return matters.show(number, by.scope, actor.sees)

    @router.post("/{number}/pass-on", responses=_ACTS)
    def pass_on(
        number: Number, wanted: PassOnRequest, request: Request, by: Annotated[SignedIn, Depends(enter)]
    ) -> MatterAnswer:
        """Give it to another place or grid, where it is new. All that was done stays with it."""
        actor = office.actor(request, by)
        matters.pass_on(number, wanted, actor)
        office.changed()
        office.audit.append("matter.pass_on", by.account_id, {"matter": number})
        return matters.show(number, by.scope, actor.sees)

    @router.post("/{number}/reporter", responses=documented(403, 404, 422, 503))
    def reporter(
        number: Number, wanted: ReporterRequest, by: Annotated[SignedIn, Depends(guard.may_change(Permission.REVEAL))]
    ) -> Reporter:
        """Who reported it, unmasked. Who saw it, and why, is written down first."""
        sees = Sees.by(by)
        matters.show(number, by.scope, sees)
        office.audit.append("matter.reporter", by.account_id, {"matter": number, "purpose": wanted.purpose})
        return matters.reporter(number, by.scope, sees) or Reporter()

    return router
