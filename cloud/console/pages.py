"""The log-in with what it asks for, and the live console: rendered here, brought to life by `static/console.js`."""

import logging
from math import ceil
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Form, HTTPException, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from prometheus_client import CollectorRegistry, Counter

from cloud.accounts import (
    Accounts,
    BadLogin,
    CodeWanted,
    Enrolment,
    EnrolmentOver,
    EnrolmentWanted,
    Throttled,
    TooBusy,
    WrongCode,
)
from cloud.console.guard import FOREIGN, Guard
from cloud.console.language import Language, Theme, load_words, look_of, speaker
from cloud.console.sign_on import NotVouched, SignOn
from cloud.live.feed import LiveFeed
from cloud.qr import qr_svg
from cloud.sign_on.settings import RETURN_PATH

WANTS_HEADER = "X-Gatehouse-Wants"
"""The password was right, and more is wanted: `code`: of the second factor; `enrolment`: one has to be set up."""
ENROL_PATH = "/login/second-factor"
Secret = Annotated[str, Form(max_length=1000)]
Code = Annotated[str, Form(max_length=40)]
Sealed = Annotated[str, Form(max_length=4000)]
_log = logging.getLogger(__name__)
_YEAR_S = 365 * 24 * 3600
_ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="7" fill="#0b5cad"/>'
    '<path d="M7 26V12l9-6 9 6v14h-5v-9h-8v9z" fill="#fff"/></svg>'
)
_ENVIRONMENT = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True, undefined=StrictUndefined
)


class Pages:
    """Renders a template in the language and theme that the browser's cookies ask for."""

    def __init__(self, provider: str | None = None) -> None:
        self._words = load_words()
        self._provider = provider
        """What the log-in page calls the provider of log-ins, if there is one."""

    def render(self, request: Request, template: str, status: int = 200, **values: object) -> HTMLResponse:
        look = look_of(request.cookies)
        other = Language.ENGLISH if look.language is Language.CHINESE else Language.CHINESE
        text = _ENVIRONMENT.get_template(template).render(
            t=speaker(self._words[look.language]),
            language=look.language.value,
            other_language=other.value,
            theme=look.theme.value,
            provider=self._provider,
            **values,
        )
        return HTMLResponse(text, status)

    def speak(self, request: Request, key: str, **values: str | int) -> str:
        return speaker(self._words[look_of(request.cookies).language])(key, **values)


class LoginDesk:
    """Logs browsers in and out, and counts it."""

    def __init__(
        self, accounts: Accounts, guard: Guard, live: LiveFeed, pages: Pages, registry: CollectorRegistry
    ) -> None:
        self._accounts = accounts
        self._guard = guard
        self._live = live
        self._pages = pages
        self._log_ins = Counter("gatehouse_log_ins", "Log-ins by outcome", ["outcome"], registry=registry)

    def log_in(self, request: Request, username: str, password: str, code: str) -> Response:
        if not self._guard.is_same_origin(request):
            self._log_ins.labels("foreign_origin").inc()
            raise HTTPException(403, FOREIGN)
        address = address_of(request)
        try:
            opened = self._accounts.log_in(username, password, address, code, request.headers.get("user-agent", ""))
        except BadLogin:
            return self._again(request, username, "refused", 401, "login.wrong")
        except CodeWanted:
            return self._again(request, username, "code_wanted", 401, "login.code_wanted")
        except EnrolmentWanted as wanted:
            return self._enrolment(request, wanted.enrolment, "no_second_factor", 403)
        except Throttled as error:
            return self._wait(request, username, error)
        except TooBusy:
            return self._again(request, username, "busy", 503, "login.busy")
        self._log_ins.labels("accepted").inc()
        response = RedirectResponse("/", 303)
        self._guard.give_cookie(response, opened.token)
        return response

    def enrol(self, request: Request, sealed: str, code: str) -> Response:
        """A second factor that the log-in asked for, with its first code."""
        if not self._guard.is_same_origin(request):
            self._log_ins.labels("foreign_origin").inc()
            raise HTTPException(403, FOREIGN)
        browser = request.headers.get("user-agent", "")
        try:
            enrolment = self._accounts.enrolments.resume(sealed)
            try:
                opened, codes = self._accounts.log_in_enrolling(enrolment, code, address_of(request), browser)
            except WrongCode:
                return self._enrolment(request, enrolment, "wrong_first_code", 422, "enrol.wrong")
            except Throttled as error:
                return self._wait(request, enrolment.username, error)
        except EnrolmentOver:
            return self._again(request, "", "enrolment_over", 409, "enrol.over")
        self._log_ins.labels("accepted").inc()
        page = self._pages.render(request, "recovery.html", codes=codes, next="/")
        self._guard.give_cookie(page, opened.token)
        return page

    def _enrolment(
        self, request: Request, enrolment: Enrolment, outcome: str, status: int, key: str | None = None
    ) -> Response:
        self._log_ins.labels(outcome).inc()
        page = enrolment_page(enrolment) | {"action": ENROL_PATH, "back": "/login", "page_token": None}
        page["error"] = self._pages.speak(request, key) if key else None
        answer = self._pages.render(request, "enrol.html", status, **page)
        answer.headers[WANTS_HEADER] = "enrolment"
        return answer

    def _wait(self, request: Request, username: str, error: Throttled) -> Response:
        wait_s = ceil(error.retry_after_s)
        page = self._again(request, username, "throttled", 429, "login.throttled", seconds=wait_s)
        page.headers["Retry-After"] = str(wait_s)
        return page

    def _again(
        self, request: Request, username: str, outcome: str, status: int, key: str, **values: str | int
    ) -> Response:
        self._log_ins.labels(outcome).inc()
        error = self._pages.speak(request, key, **values)
        wants_code = key == "login.code_wanted"
        page = {"error": error, "username": username[:63], "wants_code": wants_code}
        answer = self._pages.render(request, "login.html", status, **page)
        if wants_code:
            answer.headers[WANTS_HEADER] = "code"
        return answer

    def leave(self, request: Request, sign_on: SignOn) -> Response:
        """Send the browser to the provider."""
        try:
            return sign_on.leave(address_of(request))
        except NotVouched as error:
            _log.warning("a log-in by OpenID Connect cannot begin: %s", error)
            return self._again(request, "", "not_vouched", 503, error.key)

    def vouched(self, request: Request, sign_on: SignOn) -> Response:
        """The provider sent the browser back."""
        address = address_of(request)
        try:
            account, strongly = sign_on.returned(request.cookies, request.query_params, address)
            browser = request.headers.get("user-agent", "")
            opened = self._accounts.log_in_vouched(account, address, browser, strongly=strongly)
        except NotVouched as error:
            _log.warning("a log-in by OpenID Connect was refused: %s", error)
            page = self._again(request, "", "not_vouched", 401, error.key)
        except CodeWanted:
            page = self._again(request, "", "not_strong", 403, "login.oidc_not_strong")
        except BadLogin:
            page = self._again(request, "", "refused", 401, "login.oidc_unknown")
        else:
            self._log_ins.labels("accepted").inc()
            # Not a redirect: it would still count as the provider's request, and browsers send no Strict cookie then.
            page = self._pages.render(request, "logged_in.html")
            self._guard.give_cookie(page, opened.token)
        sign_on.forget(page)
        return page

    def log_out(self, request: Request, page_token: str) -> Response:
        found = self._guard.sender_of(request, page_token)
        if found is not None:
            self._accounts.log_out(found)
            self._live.end_session(found.session)
        response = RedirectResponse("/login", 303)
        self._guard.take_cookie(response)
        return response


def pages_router(
    accounts: Accounts, guard: Guard, live: LiveFeed, registry: CollectorRegistry, sign_on: SignOn | None = None
) -> APIRouter:
    """`/`, `/login` and what follows it, `/logout`, `/preferences`, the icon; with a provider `/login/oidc`, too."""
    router = APIRouter()
    pages = Pages(sign_on.name if sign_on is not None else None)
    desk = LoginDesk(accounts, guard, live, pages, registry)

    @router.get("/")
    def console(request: Request) -> Response:
        found = guard.find(request)
        if found is None:
            return RedirectResponse("/login", 303)
        return pages.render(
            request, "console.html", username=found.username, role=found.role, page_token=guard.page_token(request)
        )

    @router.get("/login")
    def login_page(request: Request) -> Response:
        if guard.find(request) is not None:
            return RedirectResponse("/", 303)
        return pages.render(request, "login.html", error=None, username="", wants_code=False)

    @router.post("/login")
    def log_in(
        request: Request,
        username: Annotated[str, Form(max_length=200)],
        password: Secret,
        code: Code = "",
    ) -> Response:
        return desk.log_in(request, username, password, code)

    @router.post(ENROL_PATH)
    def enrol(request: Request, started: Sealed = "", code: Code = "") -> Response:
        return desk.enrol(request, started, code)

    if sign_on is not None:
        _add_sign_on(router, desk, sign_on)

    @router.post("/logout")
    def log_out(request: Request, page_token: Annotated[str, Form(max_length=200)]) -> Response:
        return desk.log_out(request, page_token)

    router.add_api_route("/preferences", _prefer, methods=["GET"])
    router.add_api_route("/icon.svg", _icon, methods=["GET"])
    return router


def enrolment_page(enrolment: Enrolment) -> dict[str, Any]:
    """What a page needs to show of a second factor that is being set up."""
    return {"qr": qr_svg(enrolment.uri), "secret": enrolment.text, "started": enrolment.sealed}


def address_of(request: Request) -> str:
    """Where the browser is; empty where that is not known."""
    return request.client.host if request.client else ""


def _add_sign_on(router: APIRouter, desk: LoginDesk, sign_on: SignOn) -> None:
    @router.get("/login/oidc")
    def leave_for_the_provider(request: Request) -> Response:
        return desk.leave(request, sign_on)

    @router.get(RETURN_PATH)
    def come_back(request: Request) -> Response:
        return desk.vouched(request, sign_on)


def _prefer(language: Language | None = None, theme: Theme | None = None) -> Response:
    response = RedirectResponse("/", 303)
    for name, value in (("language", language), ("theme", theme)):
        if value is not None:
            response.set_cookie(name, value.value, max_age=_YEAR_S, samesite="lax", path="/")
    return response


def _icon() -> Response:
    return Response(_ICON, media_type="image/svg+xml", headers={"Cache-Control": "public, max-age=86400"})
