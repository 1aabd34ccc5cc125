"""The routes of alarms and rules, below `/api/v1/alarms` and `/api/v1/rules`. The scope of the account bounds each."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import AwareDatetime

from cloud.access.problems import ProblemRoute, documented
from cloud.access.routes import Identifier, Listing
from cloud.accounts import Permission, SignedIn
from cloud.alarms.desk import Actor, AlarmDesk
from cloud.alarms.figures import centre_figures, check_whole, health_report
from cloud.alarms.monthly import Month, MonthlyFigures, as_csv, month_bounds, monthly_figures
from cloud.alarms.queue import MAX_ROWS, read_alarm, read_queue
from cloud.alarms.reach import Sees
from cloud.alarms.states import Priority, Source
from cloud.alarms.values import (
    AcknowledgeRequest,
    AlarmAnswer,
    CentreFigures,
    CloseRequest,
    HealthReport,
    NoteRequest,
    PassUpRequest,
    QueueAnswer,
    QueueState,
    ShelveRequest,
)
from cloud.audit import AuditLog
from cloud.console.guard import Dependency, Guard
from cloud.database.engine import Database
from cloud.register.errors import RegisterError
from cloud.rules.book import WrittenRule, find_rule, read_rules, versions, write_rule
from cloud.rules.definition import Rule

_READS, _ACTS = documented(422, 503), documented(403, 404, 409, 422, 503)
_LONGEST = timedelta(days=400)
Code = Annotated[str, Path(pattern=r"^[a-z][a-z0-9_]{0,62}$", examples=["door_forced"])]
_Limit = Annotated[int, Query(ge=1, le=MAX_ROWS)]
_Month = Annotated[Month, Path(examples=["2026-11"])]
_CSV: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/csv": {"schema": {"type": "string"}}}, "description": "A line for each centre and source."}
}


@dataclass(frozen=True)
class AlarmOffice:
    """What the routes work with."""

    database: Database
    desk: AlarmDesk
    audit: AuditLog
    now: Callable[[], datetime]
    figures_kept: timedelta
    """How far back figures are whole."""
    changed: Callable[[], None] = lambda: None
    """Called after something was done."""

    def actor(self, request: Request, signed_in: SignedIn) -> Actor:
        """Who acts, and from where."""
        address = request.client.host if request.client else "unknown"
        return Actor(signed_in.account_id, signed_in.role, signed_in.scope, address, signed_in.permissions)

    def done(self, actor: Actor, what: str, alarm: UUID) -> None:
        """Audit what was done; the alarm's own steps hold it with its note."""
        self.changed()
        self.audit.append(f"alarm.{what}", actor.account_id, {"alarm": str(alarm)})


@dataclass(frozen=True)
class Admission:
    """Who may: dependencies by what is asked for (`cloud.accounts.permissions`)."""

    see: Dependency
    handle: Dependency
    see_rules: Dependency
    set_rules: Dependency


def _admission(guard: Guard) -> Admission:
    return Admission(
        see=guard.may(Permission.SEE_ALARMS),
        handle=guard.may_change(Permission.HANDLE_ALARMS),
        see_rules=guard.may(Permission.SEE_RULES),
        set_rules=guard.may_change(Permission.SET_RULES, whole=True),
    )


def alarm_router(office: AlarmOffice, guard: Guard) -> APIRouter:
    """Every route of alarms and rules."""
    may = _admission(guard)
    router = APIRouter()
    for part in (_figure_routes, _alarm_routes, _move_routes, _rule_routes):
        router.include_router(part(office, may))
    return router


def _new_router(prefix: str, tag: str, asked: Dependency) -> APIRouter:
    options: dict[str, Any] = {"route_class": ProblemRoute, "tags": [tag]}
    return APIRouter(prefix=prefix, dependencies=[Depends(asked)], **options)


def _alarm_routes(office: AlarmOffice, may: Admission) -> APIRouter:
    router = _new_router("/api/v1/alarms", "alarms", may.see)

    @router.get("", responses=_READS)
    def queue(
        by: Annotated[SignedIn, Depends(may.see)],
        state: QueueState = QueueState.OPEN,
        priority: Priority | None = None,
        source: Source | None = None,
        limit: _Limit = MAX_ROWS,
    ) -> QueueAnswer:
        """The alarms and matters that the account may see, the most urgent first, with the floods that go on."""
        with office.database.read() as connection:
            return read_queue(connection, by.scope, state, priority, limit, source=source, sees=Sees.by(by))

    @router.get("/{identifier}", responses=documented(404, 422, 503))
    def one(identifier: Identifier, by: Annotated[SignedIn, Depends(may.see)]) -> AlarmAnswer:
        """One alarm with all that was done."""
        with office.database.read() as connection:
            return read_alarm(connection, by.scope, identifier, sees=Sees.by(by))

    return router


def _move_routes(office: AlarmOffice, may: Admission) -> APIRouter:
    router = _new_router("/api/v1/alarms", "alarms", may.see)
    operator = Depends(may.handle)

    def shown(alarm: UUID, actor: Actor) -> AlarmAnswer:
        with office.database.read() as connection:
            return read_alarm(connection, actor.scope, alarm, sees=actor.sees)

    @router.post("/{identifier}/acknowledge", responses=_ACTS)
    def acknowledge(
        identifier: Identifier, wanted: AcknowledgeRequest, request: Request, by: Annotated[SignedIn, operator]
    ) -> AlarmAnswer:
        """Take an alarm on. If somebody was faster, the answer (409) says who."""
        actor = office.actor(request, by)
        office.desk.acknowledge(identifier, actor, wanted.note)
        office.done(actor, "acknowledge", identifier)
        return shown(identifier, actor)

    @router.post("/{identifier}/begin", responses=_ACTS)
    def begin(
        identifier: Identifier, wanted: NoteRequest, request: Request, by: Annotated[SignedIn, operator]
    ) -> AlarmAnswer:
        """Say what is being done."""
        actor = office.actor(request, by)
        office.desk.begin(identifier, actor, wanted.note)
        office.done(actor, "begin", identifier)
        return shown(identifier, actor)

    @router.post("/{identifier}/note", responses=_ACTS)
    def note(
        identifier: Identifier, wanted: NoteRequest, request: Request, by: Annotated[SignedIn, operator]
    ) -> AlarmAnswer:
        """Add a note."""
        actor = office.actor(request, by)
        office.desk.write_note(identifier, actor, wanted.note)
        office.done(actor, "note", identifier)
        return shown(identifier, actor)

    @router.post("/{identifier}/pass-up", responses=_ACTS)
    def pass_up(
        identifier: Identifier, wanted: PassUpRequest, request: Request, by: Annotated[SignedIn, operator]
    ) -> AlarmAnswer:
        """Hand it to the next level, perhaps with a limit."""
        actor = office.actor(request, by)
        office.desk.pass_up(identifier, actor, wanted.note, wanted.until)
        office.done(actor, "pass_up", identifier)
        return shown(identifier, actor)

    @router.post("/{identifier}/shelve", responses=_ACTS)
    def shelve(
        identifier: Identifier, wanted: ShelveRequest, request: Request, by: Annotated[SignedIn, operator]
    ) -> AlarmAnswer:
        """Keep it silent for a while."""
        actor = office.actor(request, by)
        office.desk.shelve(identifier, actor, wanted.until, wanted.why)
        office.done(actor, "shelve", identifier)
        return shown(identifier, actor)

    @router.post("/{identifier}/unshelve", responses=_ACTS)
    def unshelve(
        identifier: Identifier, wanted: AcknowledgeRequest, request: Request, by: Annotated[SignedIn, operator]
    ) -> AlarmAnswer:
        """Take it off the shelf before its time."""
        actor = office.actor(request, by)
        office.desk.unshelve(identifier, actor, wanted.note)
        office.done(actor, "unshelve", identifier)
        return shown(identifier, actor)

    @router.post("/{identifier}/close", responses=_ACTS)
    def close(
        identifier: Identifier, wanted: CloseRequest, request: Request, by: Annotated[SignedIn, operator]
    ) -> AlarmAnswer:
        """End it with an outcome and a note."""
        actor = office.actor(request, by)
        office.desk.close(identifier, actor, wanted.outcome, wanted.note)
        office.done(actor, "close", identifier)
        return shown(identifier, actor)

    return router


def _figure_routes(office: AlarmOffice, may: Admission) -> APIRouter:
    router = _new_router("/api/v1/alarms", "figures of alarms", may.see)

    @router.get("/figures", responses=_READS)
    def figures(
        since: AwareDatetime, until: AwareDatetime, by: Annotated[SignedIn, Depends(may.see)]
    ) -> Listing[CentreFigures]:
        """Each community's alarms of a span: how many, how soon acknowledged and closed, overdue, false."""
        _check_span(office, since, until)
        with office.database.read() as connection:
            return Listing(items=tuple(centre_figures(connection, by.scope, since, until)))

    @router.get("/months/{month}", responses=_READS)
    def month_of(month: _Month, by: Annotated[SignedIn, Depends(may.see)]) -> Listing[MonthlyFigures]:
        """A calendar month in China, by centre, alarms and matters apart: number, times, overdue, false, where
        settled."""
        _check_month(office, month)
        with office.database.read() as connection:
            return Listing(items=tuple(monthly_figures(connection, by.scope, month, sees=Sees.by(by))))

    @router.get("/months/{month}/csv", responses=_READS | _CSV, response_class=Response)
    def month_as_csv(month: _Month, by: Annotated[SignedIn, Depends(may.see)]) -> Response:
        """The same as a file for a spreadsheet."""
        _check_month(office, month)
        with office.database.read() as connection:
            text = as_csv(monthly_figures(connection, by.scope, month, sees=Sees.by(by)))
        headers = {"Content-Disposition": f'attachment; filename="alarms-{month}.csv"'}
        return Response(text, media_type="text/csv; charset=utf-8", headers=headers)

    @router.get("/health", responses=_READS)
    def health(since: AwareDatetime, until: AwareDatetime, by: Annotated[SignedIn, Depends(may.see)]) -> HealthReport:
        """How the alarms of a span load those who handle them."""
        _check_span(office, since, until)
        with office.database.read() as connection:
            return health_report(connection, by.scope, since, until)

    return router


def _rule_routes(office: AlarmOffice, may: Admission) -> APIRouter:
    router = _new_router("/api/v1/rules", "rules", may.see_rules)

    @router.get("", responses=_READS)
    def rules() -> Listing[WrittenRule]:
        """The newest version of each rule."""
        with office.database.read() as connection:
            return Listing(items=read_rules(connection))

    @router.get("/{code}", responses=documented(404, 422, 503))
    def rule(code: Code) -> Listing[WrittenRule]:
        """Every version of a rule, the newest first."""
        with office.database.read() as connection:
            find_rule(connection, code)
            return Listing(items=tuple(versions(connection, code)))

    @router.put("/{code}", responses=documented(403, 409, 422, 503))
    def write(code: Code, wanted: Rule, by: Annotated[SignedIn, Depends(may.set_rules)]) -> WrittenRule:
        """Write a new version of a rule, which is in force at once. Try it first: `gatehouse hub rules test`."""
        if wanted.code != code:
            raise RegisterError("code", f"it says {wanted.code!r}", f"write {code!r}, or use the other path")
        with office.database.write() as connection:
            version = write_rule(connection, wanted, by.account_id, office.now())
            written = find_rule(connection, code)
        office.audit.append("rule.write", by.account_id, {"rule": code, "version": version})
        return written

    return router


def _check_span(office: AlarmOffice, since: datetime, until: datetime) -> None:
    if not since < until <= since + _LONGEST:
        raise RegisterError("until", "it is not after since, or more than 400 days", "name another span")
    check_whole("since", since, office.now(), office.figures_kept)


def _check_month(office: AlarmOffice, month: str) -> None:
    check_whole("month", month_bounds(month)[0], office.now(), office.figures_kept)
