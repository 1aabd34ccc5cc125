"""What every account may do about itself: see where it is logged in, and end that elsewhere.

Only browsers: a program's token has no session, and cannot end its account's.
"""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, HTTPException, Request
from pydantic import BaseModel, ConfigDict

from cloud.accounts import Accounts, SessionSummary, SignedIn
from cloud.console.guard import Guard
from cloud.live.feed import LiveFeed


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SessionRow(_Answer):
    """`last_used_at` is right to about a minute; `browser` is what it calls itself; `is_this`: the one that asks."""

    id: UUID
    started_at: datetime
    last_used_at: datetime
    expires_at: datetime
    address: str
    browser: str
    is_this: bool


class SessionsAnswer(_Answer):
    """The one used last first."""

    sessions: tuple[SessionRow, ...]


class EndedAnswer(_Answer):
    """How many sessions were ended."""

    ended: int


class OwnSessions:
    """Ends sessions of who asks, and the pages that are open in them."""

    def __init__(self, accounts: Accounts, live: LiveFeed) -> None:
        self._accounts = accounts
        self._live = live

    def of(self, by: SignedIn) -> list[SessionSummary]:
        """The one used last first."""
        return self._accounts.sessions.list_of(by.account_id)

    def end(self, by: SignedIn, identifier: UUID) -> int:
        """How many were ended: 0 if the account has none of this id."""
        return self._end(by, [each.id for each in self.of(by) if each.id == identifier])

    def end_others(self, by: SignedIn) -> int:
        """All but the one that asks."""
        return self._end(by, [each.id for each in self.of(by) if each.token_hash != by.session])

    def _end(self, by: SignedIn, sessions: list[UUID]) -> int:
        ended = self._accounts.end_own(by.account_id, sessions, by.account_id)
        for each in ended:
            self._live.end_session(each)
        return len(ended)


def account_router(own: OwnSessions, guard: Guard) -> APIRouter:
    """The routes below `/api/v1/account/sessions`."""
    router = APIRouter(prefix="/api/v1/account/sessions")

    def reading(request: Request) -> SignedIn:
        return _of_a_browser(guard.signed_in(request), guard, request)

    def changing(request: Request) -> SignedIn:
        return _of_a_browser(guard.changing(request), guard, request)

    @router.get("")
    def sessions(by: Annotated[SignedIn, Depends(reading)]) -> SessionsAnswer:
        rows = [
            SessionRow(
                id=each.id,
                started_at=each.created_at,
                last_used_at=each.used_at,
                expires_at=each.expires_at,
                address=each.address,
                browser=each.browser,
                is_this=each.token_hash == by.session,
            )
            for each in own.of(by)
        ]
        return SessionsAnswer(sessions=tuple(rows))

    @router.post("/end-others")
    def end_others(by: Annotated[SignedIn, Depends(changing)]) -> EndedAnswer:
        return EndedAnswer(ended=own.end_others(by))

    @router.post("/{identifier}/end")
    def end_one(identifier: UUID, by: Annotated[SignedIn, Depends(changing)]) -> EndedAnswer:
        ended = own.end(by, identifier)
        if not ended:
            raise HTTPException(404, "no such session")
        return EndedAnswer(ended=ended)

    return router


def _of_a_browser(found: SignedIn, guard: Guard, request: Request) -> SignedIn:
    if guard.find(request) is None or "authorization" in request.headers:
        raise HTTPException(403, "only a browser that is logged in may do this")
    return found
