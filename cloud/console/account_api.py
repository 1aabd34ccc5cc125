"""What every account may do about itself: see where it is logged in, and end that elsewhere.

Only browsers: a program's token has no session, and cannot end its account's.
"""

from collections.abc import Sequence
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


class SessionDesk:
    """Ends sessions, and the pages that are open in them."""

    def __init__(self, accounts: Accounts, live: LiveFeed) -> None:
        self._accounts = accounts
        self._live = live

    def of(self, account: UUID) -> list[SessionSummary]:
        """An account's, the one used last first."""
        return self._accounts.sessions.list_of(account)

    def end(self, account: UUID, identifier: UUID, by: SignedIn) -> int:
        """How many were ended: 0 if the account has none of this id."""
        return self._end(account, [each.id for each in self.of(account) if each.id == identifier], by)

    def end_all(self, account: UUID, by: SignedIn) -> int:
        """All of an account, but the one that asks where it is one's own. How many there were."""
        others = [each.id for each in self.of(account) if each.token_hash != by.session]
        return self._end(account, others, by)

    def _end(self, account: UUID, sessions: list[UUID], by: SignedIn) -> int:
        ended = self._accounts.end_listed(account, sessions, by.account_id)
        for each in ended:
            self._live.end_session(each)
        return len(ended)


def account_router(desk: SessionDesk, guard: Guard) -> APIRouter:
    """The routes below `/api/v1/account/sessions`."""
    router = APIRouter(prefix="/api/v1/account/sessions")

    def reading(request: Request) -> SignedIn:
        return _of_a_browser(guard.signed_in(request), guard, request)

    def changing(request: Request) -> SignedIn:
        return _of_a_browser(guard.changing(request), guard, request)

    @router.get("")
    def sessions(by: Annotated[SignedIn, Depends(reading)]) -> SessionsAnswer:
        return shown(desk.of(by.account_id), by)

    @router.post("/end-others")
    def end_others(by: Annotated[SignedIn, Depends(changing)]) -> EndedAnswer:
        return EndedAnswer(ended=desk.end_all(by.account_id, by))

    @router.post("/{identifier}/end")
    def end_one(identifier: UUID, by: Annotated[SignedIn, Depends(changing)]) -> EndedAnswer:
        ended = desk.end(by.account_id, identifier, by)
        if not ended:
            raise HTTPException(404, "no such session")
        return EndedAnswer(ended=ended)

    return router


def shown(sessions: Sequence[SessionSummary], by: SignedIn) -> SessionsAnswer:
    """Sessions as they are told to who asks."""
    rows = (
        SessionRow(
            id=each.id,
            started_at=each.created_at,
            last_used_at=each.used_at,
            expires_at=each.expires_at,
            address=each.address,
            browser=each.browser,
            is_this=each.token_hash == by.session,
        )
        for each in sessions
    )
    return SessionsAnswer(sessions=tuple(rows))


def _of_a_browser(found: SignedIn, guard: Guard, request: Request) -> SignedIn:
    if guard.find(request) is None or "authorization" in request.headers:
        raise HTTPException(403, "only a browser that is logged in may do this")
    return found
