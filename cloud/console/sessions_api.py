"""For administrators: where somebody else is logged in, within their part of the hub, and an end to it. All audited."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, HTTPException, Path

from cloud.accounts import Accounts, Permission, SignedIn
from cloud.audit import AuditLog
from cloud.console.account_api import EndedAnswer, SessionDesk, SessionsAnswer, shown
from cloud.console.guard import Guard

UserName = Annotated[str, Path(max_length=63)]


def sessions_router(accounts: Accounts, desk: SessionDesk, guard: Guard, audit: AuditLog) -> APIRouter:
    """The routes below `/api/v1/accounts/{username}/sessions`."""
    router = APIRouter(prefix="/api/v1/accounts/{username}/sessions")
    reading, ending = guard.may(Permission.END_SESSIONS), guard.may_change(Permission.END_SESSIONS)

    def found(username: str, by: SignedIn) -> UUID:
        account = accounts.find_within(username, by.scope)
        if account is None:
            raise HTTPException(404, "no such account")
        return account

    @router.get("")
    def sessions(username: UserName, by: Annotated[SignedIn, Depends(reading)]) -> SessionsAnswer:
        account = found(username, by)
        audit.append("account.sessions.listed", by.account_id, {"account": str(account)})
        return shown(desk.of(account), by)

    @router.post("/end")
    def end_all(username: UserName, by: Annotated[SignedIn, Depends(ending)]) -> EndedAnswer:
        return EndedAnswer(ended=desk.end_all(found(username, by), by))

    @router.post("/{identifier}/end")
    def end_one(username: UserName, identifier: UUID, by: Annotated[SignedIn, Depends(ending)]) -> EndedAnswer:
        ended = desk.end(found(username, by), identifier, by)
        if not ended:
            raise HTTPException(404, "no such session")
        return EndedAnswer(ended=ended)

    return router
