"""The pages of one's own account: where one is logged in, the password, the second factor. No script is needed."""

from collections.abc import Callable
from datetime import datetime
from math import ceil
from typing import Annotated, Any, Literal, TypeVar
from uuid import UUID

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from cloud.accounts import (
    Accounts,
    Enrolment,
    EnrolmentOver,
    NotProven,
    Renewed,
    SessionOver,
    SignedIn,
    Throttled,
    TooBusy,
    UnacceptablePassword,
    WrongCode,
)
from cloud.accounts.passwords import MAX_CHARACTERS, MIN_CHARACTERS
from cloud.alarms.monthly import CHINA
from cloud.console.account_api import SessionDesk
from cloud.console.guard import Guard
from cloud.console.pages import Code, Pages, Sealed, Secret, address_of, enrolment_page
from cloud.live.feed import LiveFeed

PATH = "/account"
Done = Literal["password", "session", "others"]
"""What the page says was done."""
_PageToken = Annotated[str, Form(max_length=200)]


class _Refused(Exception):
    """What is told instead: the sentence's key, its values, the status."""

    def __init__(self, status: int, key: str, **values: int) -> None:
        super().__init__(key)
        self.status = status
        self.key = key
        self.values = values


class AccountDesk:
    """Renders the pages, and does what their forms ask for."""

    def __init__(self, accounts: Accounts, sessions: SessionDesk, guard: Guard, live: LiveFeed, pages: Pages) -> None:
        self._own = accounts.own
        self._sessions = sessions
        self._guard = guard
        self._live = live
        self._pages = pages

    def page(
        self, request: Request, by: SignedIn, refused: _Refused | None = None, done: Done | None = None
    ) -> Response:
        rows = [
            {
                "id": str(each.id),
                "is_this": each.token_hash == by.session,
                "since": _told(each.created_at),
                "used": _told(each.used_at),
                "address": each.address,
                "browser": each.browser,
            }
            for each in self._sessions.of(by.account_id)
        ]
        return self._shown(
            request,
            "account.html",
            refused,
            by=by,
            sessions=rows,
            has_factor=self._own.has_second_factor(by),
            done=done,
            shortest=MIN_CHARACTERS,
            longest=MAX_CHARACTERS,
        )

    def change_password(self, request: Request, by: SignedIn, current: str, new: str, again: str) -> Response:
        if new != again:
            return self.page(request, by, _Refused(422, "account.not_the_same"))
        address = address_of(request)
        try:
            renewed = _asked(lambda: self._own.change_password(by, current, new, address))
        except _Refused as refused:
            return self.page(request, by, refused)
        answer = RedirectResponse(f"{PATH}?done=password", 303)
        self._renew(answer, renewed)
        return answer

    def begin_factor(self, request: Request, by: SignedIn, password: str, code: str) -> Response:
        address = address_of(request)
        try:
            enrolment = _asked(lambda: self._own.begin_second_factor(by, password, code, address))
        except _Refused as refused:
            return self.page(request, by, refused)
        return self._enrolment(request, enrolment)

    def set_factor(self, request: Request, by: SignedIn, sealed: str, code: str) -> Response:
        try:
            enrolment = self._own.resume_second_factor(by, sealed)
            try:
                enrolled = self._own.set_second_factor(by, enrolment, code)
            except WrongCode:
                return self._enrolment(request, enrolment, _Refused(422, "enrol.wrong"))
        except EnrolmentOver:
            return self.page(request, by, _Refused(409, "enrol.over"))
        answer = self._pages.render(request, "recovery.html", codes=enrolled.recovery_codes, next=PATH)
        self._renew(answer, enrolled.session)
        return answer

    def _enrolment(self, request: Request, enrolment: Enrolment, refused: _Refused | None = None) -> Response:
        page = enrolment_page(enrolment) | {"action": f"{PATH}/second-factor/confirm", "back": PATH}
        return self._shown(request, "enrol.html", refused, **page)

    def _shown(self, request: Request, template: str, refused: _Refused | None, **values: Any) -> Response:
        status = refused.status if refused else 200
        error = self._pages.speak(request, refused.key, **refused.values) if refused else None
        token = self._guard.page_token(request)
        return self._pages.render(request, template, status, error=error, page_token=token, **values)

    def _renew(self, answer: Response, renewed: Renewed) -> None:
        self._guard.give_cookie(answer, renewed.token)
        for each in renewed.ended:
            self._live.end_session(each)


def account_pages(accounts: Accounts, sessions: SessionDesk, guard: Guard, live: LiveFeed) -> APIRouter:
    """`/account` and the forms on it."""
    router = APIRouter()
    desk = AccountDesk(accounts, sessions, guard, live, Pages())

    @router.get(PATH)
    def page(request: Request, done: Done | None = None) -> Response:
        by = guard.find(request)
        return desk.page(request, by, done=done) if by is not None else RedirectResponse("/login", 303)

    _add_endings(router, sessions, guard)

    @router.post(f"{PATH}/password")
    def change_password(
        request: Request, page_token: _PageToken, current: Secret = "", new: Secret = "", again: Secret = ""
    ) -> Response:
        return _sent(guard, request, page_token, lambda by: desk.change_password(request, by, current, new, again))

    @router.post(f"{PATH}/second-factor")
    def begin_factor(request: Request, page_token: _PageToken, password: Secret = "", code: Code = "") -> Response:
        return _sent(guard, request, page_token, lambda by: desk.begin_factor(request, by, password, code))

    @router.post(f"{PATH}/second-factor/confirm")
    def set_factor(request: Request, page_token: _PageToken, started: Sealed = "", code: Code = "") -> Response:
        return _sent(guard, request, page_token, lambda by: desk.set_factor(request, by, started, code))

    return router


def _add_endings(router: APIRouter, sessions: SessionDesk, guard: Guard) -> None:
    @router.post(f"{PATH}/sessions/end-others")
    def end_others(request: Request, page_token: _PageToken) -> Response:
        def act(by: SignedIn) -> Response:
            sessions.end_all(by.account_id, by)
            return RedirectResponse(f"{PATH}?done=others", 303)

        return _sent(guard, request, page_token, act)

    @router.post(f"{PATH}/sessions/{{identifier}}/end")
    def end_one(identifier: UUID, request: Request, page_token: _PageToken) -> Response:
        def act(by: SignedIn) -> Response:
            sessions.end(by.account_id, identifier, by)
            return RedirectResponse(f"{PATH}?done=session", 303)

        return _sent(guard, request, page_token, act)


def _sent(guard: Guard, request: Request, page_token: str, act: Callable[[SignedIn], Response]) -> Response:
    """What a form of who is logged in leads to."""
    by = guard.sender_of(request, page_token)
    try:
        return act(by) if by is not None else RedirectResponse("/login", 303)
    except SessionOver:
        return RedirectResponse("/login", 303)


_Answer = TypeVar("_Answer")


def _asked(ask: Callable[[], _Answer]) -> _Answer:
    try:
        return ask()
    except NotProven:
        raise _Refused(403, "account.not_proven") from None
    except UnacceptablePassword:
        raise _Refused(422, "account.unacceptable", shortest=MIN_CHARACTERS, longest=MAX_CHARACTERS) from None
    except Throttled as error:
        raise _Refused(429, "login.throttled", seconds=ceil(error.retry_after_s)) from None
    except TooBusy:
        raise _Refused(503, "login.busy") from None


def _told(moment: datetime) -> str:
    return f"{moment.astimezone(CHINA):%Y-%m-%d %H:%M}"
