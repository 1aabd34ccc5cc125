"""What staff ask of stored events, over HTTP: masked, within the account's scope, and audited where it is a history.

A dwelling's and a credential's events are where somebody went: they need a purpose and a case number, which the audit
keeps before anything is read.
"""

from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, HTTPException, Path, Query, Request
from pydantic import AwareDatetime, BaseModel, ConfigDict

from cloud.accounts import SignedIn
from cloud.accounts.scope import scope_of
from cloud.audit import AuditLog
from cloud.console.guard import Guard
from cloud.database.engine import Database
from cloud.database.tables import AccountRole
from cloud.linking import queries
from cloud.linking.queries import MAX_ROWS, Found, NotFound, Span
from cloud.linking.ties import MAX_EVENTS, ties
from cloud.live.rows import EventRow

_POSTS = frozenset(
    {
        AccountRole.GUARD,
        AccountRole.GRID_MEMBER,
        AccountRole.COMMUNITY,
        AccountRole.TOWNSHIP,
        AccountRole.DISTRICT,
        AccountRole.ADMINISTRATOR,
    }
)
"""Who may watch the live list may look back at a door."""
_STAFF = (_POSTS - {AccountRole.GUARD}) | {AccountRole.REGISTRAR, AccountRole.CATEGORY_OFFICER}
_HISTORY = frozenset({AccountRole.TOWNSHIP, AccountRole.DISTRICT})
"""Who may see where somebody went."""

_NIGHT, _WEEK, _MONTH = timedelta(hours=12), timedelta(days=7), timedelta(days=30)
_LONGEST = timedelta(days=92)

Gateway = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9-]{0,38}$")]
Device = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
Limit = Annotated[int, Query(ge=1, le=MAX_ROWS)]
Moment = Annotated[AwareDatetime | None, Query()]
Words = Annotated[str, Query(min_length=4, max_length=200)]
Case = Annotated[str, Query(min_length=1, max_length=64)]


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


def linking_router(database: Database, guard: Guard, audit: AuditLog, now: Callable[[], datetime]) -> APIRouter:
    """Everything below `/api/v1/linking`. Each route is bounded by role, by scope, in time and in rows."""
    router = APIRouter(prefix="/api/v1/linking")
    post, staff, history = (_allowed(guard, roles) for roles in (_POSTS, _STAFF, _HISTORY))

    @router.get("/doors/{gateway}/{device}/events")
    def door(
        gateway: Gateway,
        device: Device,
        signed_in: Annotated[SignedIn, Depends(post)],
        since: Moment = None,
        until: Moment = None,
        limit: Limit = MAX_ROWS,
    ) -> EventsFound:
        """A door's last night, or another span."""
        span = _span(now(), since, until, _NIGHT)
        with database.read() as connection:
            scope = scope_of(connection, signed_in.account_id)
            return _found(lambda: queries.door_events(connection, scope, gateway, device, span, limit))

    @router.get("/dwellings/{dwelling}/events")
    def dwelling_events(
        dwelling: UUID,
        signed_in: Annotated[SignedIn, Depends(history)],
        purpose: Words,
        case: Case,
        since: Moment = None,
        until: Moment = None,
        limit: Limit = MAX_ROWS,
    ) -> EventsFound:
        """A dwelling's last week, or another span."""
        span = _span(now(), since, until, _WEEK)
        audit.append(
            "history.dwelling", signed_in.account_id, {"dwelling": str(dwelling), "purpose": purpose, "case": case}
        )
        with database.read() as connection:
            scope = scope_of(connection, signed_in.account_id)
            return _found(lambda: queries.dwelling_events(connection, scope, dwelling, span, limit))

    @router.get("/credentials/{credential}/events")
    def credential_events(
        credential: UUID,
        signed_in: Annotated[SignedIn, Depends(history)],
        purpose: Words,
        case: Case,
        since: Moment = None,
        until: Moment = None,
        limit: Limit = MAX_ROWS,
    ) -> EventsFound:
        """A credential's last month, or another span."""
        span = _span(now(), since, until, _MONTH)
        detail = {"credential": str(credential), "purpose": purpose, "case": case}
        audit.append("history.credential", signed_in.account_id, detail)
        with database.read() as connection:
            scope = scope_of(connection, signed_in.account_id)
            return _found(lambda: queries.credential_events(connection, scope, credential, span, limit))

    @router.get("/expired-credentials")
    def expired_credentials(
        signed_in: Annotated[SignedIn, Depends(post)],
        since: Moment = None,
        until: Moment = None,
        limit: Limit = MAX_ROWS,
    ) -> EventsFound:
        """Who was refused because a credential had expired, in the last week or another span."""
        span = _span(now(), since, until, _WEEK)
        with database.read() as connection:
            scope = scope_of(connection, signed_in.account_id)
            return _found(lambda: queries.expired_uses(connection, scope, span, limit))

    @router.get("/quiet-households")
    def quiet_households(
        signed_in: Annotated[SignedIn, Depends(staff)],
        days: Annotated[int, Query(ge=1, le=366)] = 7,
        after: Annotated[str, Query(max_length=64)] = "",
        limit: Limit = MAX_ROWS,
    ) -> QuietFound:
        """Households of which nobody has passed a door for so many days."""
        moment = now()
        since = moment - timedelta(days=days)
        with database.read() as connection:
            scope = scope_of(connection, signed_in.account_id)
            found, more = queries.quiet_households(connection, scope, since, moment, limit, after)
        shown = (Quiet(id=e.id, code=e.code, dwelling=e.dwelling, last_passage=e.last_passage) for e in found)
        return QuietFound(households=tuple(shown), more=more)

    @router.get("/ties")
    def tied(
        signed_in: Annotated[SignedIn, Depends(post)],
        event: Annotated[list[UUID], Query(min_length=1, max_length=MAX_EVENTS)],
    ) -> TiesFound:
        """The door events of the same place within seconds of each of these camera events."""
        with database.read() as connection:
            found = ties(connection, scope_of(connection, signed_in.account_id), event)
        rows = (TieRow(**tie.__dict__) for tie in found)
        return TiesFound(ties=tuple(rows))

    return router


def _allowed(guard: Guard, roles: Collection[AccountRole]) -> Callable[[Request], SignedIn]:
    """A dependency: somebody with one of these roles is logged in (401, 403)."""

    def dependency(request: Request) -> SignedIn:
        found = guard.signed_in(request)
        if found.role not in roles:
            raise HTTPException(403, f"the role {found.role} may not do this")
        return found

    return dependency


def _span(now: datetime, since: datetime | None, until: datetime | None, usual: timedelta) -> Span:
    end = until or now
    begin = since or end - usual
    if not begin < end or end - begin > _LONGEST:
        raise HTTPException(422, f"`since` lies before `until`, at most {_LONGEST.days} days")
    return Span(begin, end)


def _found(ask: Callable[[], Found]) -> EventsFound:
    try:
        found = ask()
    except NotFound:
        raise HTTPException(404, "no such thing here") from None
    return EventsFound(events=tuple(found.rows), more=found.more)
