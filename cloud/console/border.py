"""What every request passes first and every answer last: known host, bounded body, bounded time, strict headers.

Pure ASGI, so that nothing is buffered. WebSockets are only checked for their host here; `cloud.live.socket` does the
rest. The policy lets a page load from its own origin alone: no inline script or style, no foreign request, no frame.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Counter
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cloud.media.routes import MAX_PICTURE_BYTES, UPLOAD_PREFIX
from protocols.clips import MAX_PART_BYTES
from protocols.clips import PREFIX as CLIP_PREFIX

MAX_BODY_BYTES = 16 * 1024
ACCESS_PREFIX = "/api/v1/access/"
MAX_ACCESS_BYTES = 256 * 1024
"""A door group of a thousand doors, or a calendar of many years."""
REQUEST_TIMEOUT_S = 30.0
"""From the request's head to the head of its answer, its body included."""
ANSWER_TIMEOUT_S = 600.0
"""For the answer's body: a gateway on a slow line fetches tens of megabytes of credentials."""

SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not `no-referrer`: with it browsers send `Origin: null` with forms, and Origin is how a log-in's page is known.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
}
_HSTS = "max-age=31536000"


class _BodyTooLarge(Exception):
    pass


@dataclass
class _Exchange:
    limit_bytes: int
    received_bytes: int = 0
    deadline: asyncio.Timeout | None = None
    too_large: bool = False
    started: bool = False


@dataclass(frozen=True)
class BorderRules:
    """Which hosts the hub answers to (a guard against DNS rebinding), and whether it is reached by HTTPS."""

    allowed_hosts: Sequence[str]
    https: bool
    timeout_s: float = REQUEST_TIMEOUT_S
    body_limits: dict[str, int] = field(
        default_factory=lambda: {
            UPLOAD_PREFIX: MAX_PICTURE_BYTES,
            CLIP_PREFIX: MAX_PART_BYTES,
            ACCESS_PREFIX: MAX_ACCESS_BYTES,
        }
    )
    """Larger bodies, by the beginning of the path."""


class Border:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp, rules: BorderRules, registry: CollectorRegistry) -> None:
        self._app = app
        self._rules = rules
        self._refused = Counter(
            "gatehouse_http_refused", "Requests refused at the border", ["reason"], registry=registry
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        if host_name(Headers(scope=scope).get("host", "")) not in self._rules.allowed_hosts:
            self._refused.labels("host").inc()
            await self._refuse_host(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._app(scope, receive, send)
        else:
            await self._exchange(scope, receive, send)

    async def _refuse_host(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
            return
        text = "this hub is not reached under that name: add it to the hub's allowed hosts\n"
        await PlainTextResponse(text, 400, SECURITY_HEADERS)(scope, receive, send)

    async def _exchange(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = _Exchange(self._limit_bytes(scope["path"]))
        declared = Headers(scope=scope).get("content-length", "0")

        async def bounded_receive() -> Message:
            message = await receive()
            exchange.received_bytes += len(message.get("body", b""))
            if exchange.received_bytes > exchange.limit_bytes:
                exchange.too_large = True
                raise _BodyTooLarge
            return message

        async def dressed_send(message: Message) -> None:
            if exchange.too_large:
                return
            if message["type"] == "http.response.start":
                exchange.started = True
                if exchange.deadline is not None and not exchange.deadline.expired():
                    exchange.deadline.reschedule(asyncio.get_running_loop().time() + ANSWER_TIMEOUT_S)
                self._dress(scope["path"], MutableHeaders(scope=message))
            await send(message)

        if not declared.isdigit() or int(declared) > exchange.limit_bytes:
            exchange.too_large = True
        else:
            await self._run(scope, bounded_receive, dressed_send, exchange)
        if exchange.too_large and not exchange.started:
            self._refused.labels("body").inc()
            text = f"the body is larger than {exchange.limit_bytes} bytes\n"
            headers = {**SECURITY_HEADERS, "Connection": "close"}
            await PlainTextResponse(text, 413, headers)(scope, receive, send)

    async def _run(self, scope: Scope, receive: Receive, send: Send, exchange: _Exchange) -> None:
        try:
            async with asyncio.timeout(self._rules.timeout_s) as exchange.deadline:
                await self._app(scope, receive, send)
        except _BodyTooLarge:
            return
        except TimeoutError:
            self._refused.labels("timeout").inc()
            if not exchange.started:
                await PlainTextResponse("the hub did not answer in time\n", 503)(scope, receive, send)

    def _limit_bytes(self, path: str) -> int:
        for prefix, limit in self._rules.body_limits.items():
            if path.startswith(prefix):
                return limit
        return MAX_BODY_BYTES

    def _dress(self, path: str, headers: MutableHeaders) -> None:
        for name, value in SECURITY_HEADERS.items():
            headers[name] = value
        if self._rules.https:
            headers["Strict-Transport-Security"] = _HSTS
        if "cache-control" not in headers:
            headers["Cache-Control"] = "no-cache" if path.startswith("/static/") else "no-store"


def host_name(host: str) -> str:
    """The name in a Host header, without the port: `hub:8470` -> `hub`, `[::1]:8470` -> `[::1]`."""
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0].lower()
