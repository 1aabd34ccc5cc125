"""Who a request is from, and whether it may change anything: FastAPI dependencies around the session cookie.

Three things stand between a foreign page and a door: the cookie is SameSite=Strict, the Origin must be this hub's, and
a token that only this hub's page knows must come with every change.
"""

from collections.abc import Callable
from urllib.parse import urlsplit

from fastapi import HTTPException, Request, WebSocket
from starlette.requests import HTTPConnection
from starlette.responses import Response

from cloud.accounts import ApiTokens, Permission, Sessions, SignedIn
from cloud.accounts.sessions import csrf_fits, csrf_token

CSRF_HEADER = "X-Gatehouse-Token"
FOREIGN = "this request does not come from the hub's own page"
Dependency = Callable[[Request], SignedIn]


class Guard:
    """Reads the session cookie.

    Args:
        tokens: for programs, which send `Authorization: Bearer ...`; None: it knows none.
        https: whether browsers reach the hub by HTTPS; the cookie is then `Secure` and bound to the host by its name.
    """

    def __init__(self, sessions: Sessions, https: bool, tokens: ApiTokens | None = None) -> None:
        self._sessions = sessions
        self._tokens = tokens
        self._https = https
        self._cookie = "__Host-gatehouse" if https else "gatehouse"

    def find(self, connection: HTTPConnection) -> SignedIn | None:
        """Whose browser it is, if anybody's who is logged in. A program's token is none: it has no page."""
        return self._sessions.find(connection.cookies.get(self._cookie))

    def _find_token(self, token: str) -> SignedIn | None:
        return self._tokens.find(token) if self._tokens is not None else None

    def signed_in(self, request: Request) -> SignedIn:
        """Dependency: somebody is logged in (401)."""
        bearer = _bearer(request)
        found = self.find(request) if bearer is None else self._find_token(bearer)
        if found is None:
            raise HTTPException(401, "log in first")
        return found

    def changing(self, request: Request) -> SignedIn:
        """Dependency: somebody is logged in, and the request is from this hub's page (403).

        One with a token is from no page: browsers add no token to what a foreign page has them send.
        """
        found = self.signed_in(request)
        if _bearer(request) is not None:
            return found
        if not self.is_same_origin(request) or not self.token_fits(request, request.headers.get(CSRF_HEADER)):
            raise HTTPException(403, FOREIGN)
        return found

    def sender_of(self, request: Request, page_token: str) -> SignedIn | None:
        """Who sent a form; None: nobody who is logged in. It is from this hub's page (403)."""
        found = self.find(request)
        if found is not None and not (self.is_same_origin(request) and self.token_fits(request, page_token)):
            raise HTTPException(403, FOREIGN)
        return found

    def may(self, permission: Permission, *, whole: bool = False) -> Dependency:
        """A dependency: who is logged in has this permission (403); `whole`: and is bound to no part of the hub."""

        def dependency(request: Request) -> SignedIn:
            return _checked(self.signed_in(request), permission, whole)

        return dependency

    def may_change(self, permission: Permission, *, whole: bool = False) -> Dependency:
        """As `may`, for a request that changes something: it is from this hub's page too (403)."""

        def dependency(request: Request) -> SignedIn:
            found = _checked(self.signed_in(request), permission, whole)
            self.changing(request)
            return found

        return dependency

    def hand_shake(self, permission: Permission) -> Callable[[WebSocket], SignedIn | None]:
        """Who a WebSocket is from; None without a session or the permission, or if another origin's page opens it."""

        def check(socket: WebSocket) -> SignedIn | None:
            found = self.find(socket) if self.is_same_origin(socket) else None
            return found if found is not None and permission in found.permissions else None

        return check

    def is_same_origin(self, connection: HTTPConnection) -> bool:
        """Whether the Origin header is there and names this hub."""
        origin = urlsplit(connection.headers.get("origin", ""))
        schemes = ("https",) if self._https else ("http", "https")
        return origin.scheme in schemes and origin.netloc == connection.headers.get("host")

    def token_fits(self, request: Request, presented: str | None) -> bool:
        """Whether a page of this session sent the request."""
        return csrf_fits(request.cookies.get(self._cookie, ""), presented)

    def page_token(self, request: Request) -> str:
        """What the page of this session is given to send along."""
        return csrf_token(request.cookies[self._cookie])

    def give_cookie(self, response: Response, token: str) -> None:
        """Log the browser in, until it is closed or the session ends."""
        response.set_cookie(self._cookie, token, httponly=True, samesite="strict", secure=self._https, path="/")

    def take_cookie(self, response: Response) -> None:
        """Log the browser out."""
        response.delete_cookie(self._cookie, httponly=True, samesite="strict", secure=self._https, path="/")


def _bearer(request: Request) -> str | None:
    """The token of RFC 6750, section 2.1."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _checked(found: SignedIn, permission: Permission, whole: bool) -> SignedIn:
    if permission not in found.permissions:
        raise HTTPException(403, f"the role {found.role} may not do this ({permission})")
    if whole and not found.scope.is_whole:
        raise HTTPException(403, "this concerns the whole hub, and the account is bound to a part of it")
    return found
