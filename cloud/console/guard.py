"""Who a request is from, and whether it may change anything: FastAPI dependencies around the session cookie.

Three things stand between a foreign page and a door: the cookie is SameSite=Strict, the Origin must be this hub's, and
a token that only this hub's page knows must come with every change.
"""

from urllib.parse import urlsplit

from fastapi import HTTPException, Request, WebSocket
from starlette.requests import HTTPConnection
from starlette.responses import Response

from cloud.accounts import Sessions, SignedIn
from cloud.accounts.sessions import csrf_fits, csrf_token
from cloud.database.tables import AccountRole

CSRF_HEADER = "X-Gatehouse-Token"


class Guard:
    """Reads the session cookie.

    Args:
        https: whether browsers reach the hub by HTTPS; the cookie is then `Secure` and bound to the host by its name.
    """

    def __init__(self, sessions: Sessions, https: bool) -> None:
        self._sessions = sessions
        self._https = https
        self._cookie = "__Host-gatehouse" if https else "gatehouse"

    def find(self, connection: HTTPConnection) -> SignedIn | None:
        """Who is logged in, if anybody."""
        return self._sessions.find(connection.cookies.get(self._cookie))

    def signed_in(self, request: Request) -> SignedIn:
        """Dependency: somebody is logged in (401)."""
        found = self.find(request)
        if found is None:
            raise HTTPException(401, "log in first")
        return found

    def changing(self, request: Request) -> SignedIn:
        """Dependency: somebody is logged in, and the request is from this hub's page (403)."""
        found = self.signed_in(request)
        if not self.is_same_origin(request) or not self.token_fits(request, request.headers.get(CSRF_HEADER)):
            raise HTTPException(403, "this request does not come from the hub's own page")
        return found

    def administrator(self, request: Request) -> SignedIn:
        """Dependency: an administrator is logged in (403)."""
        found = self.signed_in(request)
        if found.role is not AccountRole.ADMINISTRATOR:
            raise HTTPException(403, "for administrators only")
        return found

    def hand_shake(self, socket: WebSocket) -> SignedIn | None:
        """Who a WebSocket is from; None without a session, or if another origin's page opens it."""
        return self.find(socket) if self.is_same_origin(socket) else None

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
