"""What staff ask of stored events, over HTTP: masked, within the account's scope, and audited where it is a history.

A dwelling's and a credential's events are where somebody went: they need a purpose and a case number, which the audit
keeps before anything is read, found under each person whom they are about. They count as histories of these persons
(`cloud.disclosure.histories`); above the daily limit they are refused, because a person's history can be confirmed.
A door's events, uses of expired credentials and households without a passage are told without a purpose as far back as
the scope lets them; beyond, for a purpose that the audit keeps.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Annotated, Any, TypeVar
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from pydantic import AwareDatetime, BaseModel, ConfigDict

from cloud.access.errors import NotThere
from cloud.access.office import DoorOffice
from cloud.access.problems import ProblemRoute, documented
from cloud.access.routes import DeviceName, GatewayName
from cloud.accounts import Permission, Scope, SignedIn
from cloud.console.guard import Guard
from cloud.disclosure.histories import Histories, Passages
from cloud.disclosure.values import LONGEST_HISTORY, CaseNumber, Purpose
from cloud.linking import queries
from cloud.linking.queries import MAX_ROWS, Found, NotFound, Span
from cloud.linking.ties import MAX_EVENTS, ties
from cloud.live.rows import EventRow
from cloud.register.errors import RegisterError

_GRACE = timedelta(minutes=1)
"""Who asks for just the days that are told has a clock of his own."""
_NIGHT, _WEEK, _MONTH = timedelta(hours=12), timedelta(days=7), timedelta(days=30)
_LISTS, _ONE, _HISTORY = documented(403, 422, 503), documented(403, 404, 422, 503), documented(403, 404, 409, 422, 503)

Limit = Annotated[int, Query(ge=1, le=MAX_ROWS)]
Moment = Annotated[AwareDatetime | None, Query()]
Stated = Annotated[Purpose | None, Query(description="What it is for, in words; for events of long ago.")]


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class EventsFound(_Answer):
    """The latest first. `more`: there are earlier ones; ask again with `until` set to the last row's time."""

    events: tuple[EventRow, ...]
    more: bool


class Quiet(_Answer):
    id: UUID
    code: str
    dwelling: str | None
    last_passage: datetime | None
    """None: there was none as far back as it is told."""


class QuietFound(_Answer):
    """By their codes. `more`: ask again with `after` set to the last code."""

    households: tuple[Quiet, ...]
    more: bool


class TieRow(_Answer):
    camera_event: UUID
    door_event: UUID
    type: str
    apart_s: float


class TiesFound(_Answer):
    ties: tuple[TieRow, ...]


def linking_router(office: DoorOffice, guard: Guard, requests: Histories) -> APIRouter:
    """Everything below `/api/v1/linking`. Each route is bounded by permission, by scope, in time and in rows."""
    options: dict[str, Any] = {"route_class": ProblemRoute, "tags": ["linking"]}
    router = APIRouter(prefix="/api/v1/linking", **options)
    _add_lists(router, office, guard)
    _add_histories(router, office, guard, requests)
    return router


def _add_lists(router: APIRouter, office: DoorOffice, guard: Guard) -> None:
    watch = Depends(guard.may(Permission.WATCH))

    @router.get("/doors/{gateway}/{device}/events", responses=_ONE)
    def door(
        gateway: GatewayName,
        device: DeviceName,
        by: Annotated[SignedIn, watch],
        since: Moment = None,
        until: Moment = None,
        limit: Limit = MAX_ROWS,
        purpose: Stated = None,
    ) -> EventsFound:
        """A door's last night, or another span; one that begins long ago with a purpose, which the audit keeps."""
        span = _span(office.now(), since, until, _NIGHT)
        scope = _scope_for(office, by, span, purpose, {"what": "door", "gateway": gateway, "door": device})
        with office.database.read() as connection:
            return _found(lambda: queries.door_events(connection, scope, gateway, device, span, limit))

    @router.get("/expired-credentials", responses=_LISTS)
    def expired_credentials(
        by: Annotated[SignedIn, watch],
        since: Moment = None,
        until: Moment = None,
        limit: Limit = MAX_ROWS,
        purpose: Stated = None,
    ) -> EventsFound:
        """Who was refused because a credential had expired, in the last week or another span; one that begins long ago
        with a purpose, which the audit keeps."""
        span = _span(office.now(), since, until, _usual_week(by, purpose))
        scope = _scope_for(office, by, span, purpose, {"what": "expired credentials"})
        with office.database.read() as connection:
            return _found(lambda: queries.expired_uses(connection, scope, span, limit))

    @router.get("/quiet-households", responses=_LISTS)
    def quiet_households(
        by: Annotated[SignedIn, Depends(guard.may(Permission.SEE_PEOPLE))],
        days: Annotated[int | None, Query(ge=1, le=366, description="A week, or what needs no purpose.")] = None,
        after: Annotated[str, Query(max_length=64)] = "",
        limit: Limit = MAX_ROWS,
        purpose: Stated = None,
    ) -> QuietFound:
        """Households of which nobody has passed a door for so many days, and when one of them did last: without a
        purpose as far back as events are told; with one, which the audit keeps, however long ago."""
        moment = office.now()
        spell = timedelta(days=days) if days is not None else _usual_week(by, purpose)
        span = Span(moment - spell, moment)
        scope = _scope_for(office, by, span, purpose, {"what": "quiet households"})
        with office.database.read() as connection:
            found, more = queries.quiet_households(connection, scope, span.since, moment, limit, after)
        shown = (Quiet(id=e.id, code=e.code, dwelling=e.dwelling, last_passage=e.last_passage) for e in found)
        return QuietFound(households=tuple(shown), more=more)

    @router.get("/ties", responses=_LISTS)
    def tied(
        by: Annotated[SignedIn, watch],
        event: Annotated[list[UUID], Query(min_length=1, max_length=MAX_EVENTS)],
    ) -> TiesFound:
        """The door events of the same place within seconds of each of these camera events."""
        with office.database.read() as connection:
            found = ties(connection, by.scope, event)
        rows = (TieRow(**tie.__dict__) for tie in found)
        return TiesFound(ties=tuple(rows))


def _add_histories(router: APIRouter, office: DoorOffice, guard: Guard, requests: Histories) -> None:
    reader = Depends(guard.may(Permission.READ_HISTORY))

    def note(by: SignedIn, passages: Passages, what: str, identifier: UUID) -> None:
        """Write down who asked for the passages of whom, before anything is told."""
        with office.database.write() as connection:
            requests.read_at_once(connection, passages, by.account_id, office.now())
        detail = {"purpose": passages.purpose, "case": passages.case_number}
        for person in passages.persons:
            told = {"person": str(person), what: str(identifier), **detail}
            office.audit.append(f"person.history.{what}", by.account_id, told, subjects=(person,))

    @router.get("/dwellings/{dwelling}/events", responses=_HISTORY)
    def dwelling_events(
        dwelling: UUID,
        by: Annotated[SignedIn, reader],
        purpose: Purpose,
        case: CaseNumber,
        since: Moment = None,
        until: Moment = None,
        limit: Limit = MAX_ROWS,
    ) -> EventsFound:
        """A dwelling's last week, or another span: a history of each person who lived there then."""
        span = _span(office.now(), since, until, _WEEK)
        with office.database.read() as connection:
            persons = _checked(lambda: queries.persons_of_dwelling(connection, by.scope, dwelling, span))
        note(by, Passages(persons, purpose, case, span.since, span.until), "dwelling", dwelling)
        scope = by.scope.with_purpose()
        with office.database.read() as connection:
            return _found(lambda: queries.dwelling_events(connection, scope, dwelling, span, limit))

    @router.get("/credentials/{credential}/events", responses=_HISTORY)
    def credential_events(
        credential: UUID,
        by: Annotated[SignedIn, reader],
        purpose: Purpose,
        case: CaseNumber,
        since: Moment = None,
        until: Moment = None,
        limit: Limit = MAX_ROWS,
    ) -> EventsFound:
        """A credential's last month, or another span: a history of its holder."""
        span = _span(office.now(), since, until, _MONTH)
        with office.database.read() as connection:
            holder = _checked(lambda: queries.holder_of(connection, by.scope, credential, office.now()))
        note(by, Passages((holder,), purpose, case, span.since, span.until), "credential", credential)
        scope = by.scope.with_purpose()
        with office.database.read() as connection:
            return _found(lambda: queries.credential_events(connection, scope, credential, span, limit))


def _span(now: datetime, since: datetime | None, until: datetime | None, usual: timedelta) -> Span:
    end = until or now
    try:
        begin = since or end - usual
    except OverflowError:
        begin = end
    if not timedelta() < end - begin <= LONGEST_HISTORY:
        raise RegisterError("until", "it is not after since, or too late", f"{LONGEST_HISTORY.days} days at the most")
    return Span(begin, end)


def _usual_week(by: SignedIn, purpose: str | None) -> timedelta:
    """A week, or less where no more is told without a purpose."""
    recent = by.scope.recent
    return min(_WEEK, recent.window) if recent is not None and purpose is None else _WEEK


def _scope_for(office: DoorOffice, by: SignedIn, span: Span, purpose: str | None, asked: dict[str, str]) -> Scope:
    """What of a span may be read; a stated purpose is in the audit before anything is.

    Raises:
        RegisterError: the span begins before what is told without a purpose.
    """
    if purpose is not None:
        told = {**asked, "purpose": purpose, "since": span.since.isoformat(), "until": span.until.isoformat()}
        office.audit.append("events.history", by.account_id, told)
        return by.scope.with_purpose()
    recent = by.scope.recent
    if recent is not None and span.since < recent.since - _GRACE:
        days = recent.window.days
        raise RegisterError(
            "purpose",
            f"events of more than {days} days ago are told for a stated purpose alone",
            f"ask again with purpose=..., in 5 to 200 characters / 查询 {days} 天以前的事件须说明用途:"
            "请填写 purpose(5 至 200 个字符),用途会记入审计",
        )
    return by.scope


_Asked = TypeVar("_Asked")


def _checked(ask: Callable[[], _Asked]) -> _Asked:
    try:
        return ask()
    except NotFound:
        raise NotThere("path", "there is no such thing", "look it up in its list") from None


def _found(ask: Callable[[], Found]) -> EventsFound:
    found = _checked(ask)
    return EventsFound(events=tuple(found.rows), more=found.more)
