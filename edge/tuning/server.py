"""The tuning page over HTTP: on loopback alone, under a path with a random token, read only, and it ends by itself.

Nothing on it changes anything: what is drawn comes back as lines for the site file, which a person pastes.
"""

import hmac
import json
import secrets
import socket
import threading
import time
from collections.abc import Callable, Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import Any
from urllib.parse import parse_qs

from pydantic import ValidationError

from edge.tuning.session import TuneSession
from edge.video.config import ZoneConfig
from edge.video.rules.config import LineConfig

IDLE_S = 300.0
"""So long nobody watches before it ends."""

MAX_CONNECTIONS = 12
_TIMEOUT_S = 10.0
_MAX_QUERY = 4000
_MAX_CORNERS = 100
_BOUNDARY = "picture"
_POLICY = (
    "default-src 'none'; img-src 'self'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_PAGES = {
    "": ("index.html", "text/html; charset=utf-8"),
    "tune.css": ("tune.css", "text/css; charset=utf-8"),
    "tune.js": ("tune.js", "text/javascript; charset=utf-8"),
}


class TuneServer:
    """Serves one session.

    Args:
        port: 0 takes a free one.
        idle_s: how long nobody watches before `wait` returns.

    Raises:
        OSError: if the port is taken.
    """

    def __init__(self, session: TuneSession, port: int = 0, idle_s: float = IDLE_S) -> None:
        self._idle_s = idle_s
        self._server = _Server(("127.0.0.1", port), session, secrets.token_urlsafe(24))
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, name="tune-http", daemon=True
        )

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """What a person opens. Whoever knows it sees the camera."""
        return f"http://127.0.0.1:{self.port}/{self._server.token}/"

    def start(self) -> None:
        """Listen."""
        self._thread.start()

    def wait(self, pause: Callable[[float], object] = time.sleep) -> None:
        """Return when nobody has watched for `idle_s`."""
        while self._server.watched_s() + self._idle_s > time.monotonic():
            pause(min(0.5, self._idle_s / 4))

    def stop(self) -> None:
        """Close everything."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5.0)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 16

    def __init__(self, address: tuple[str, int], session: TuneSession, token: str) -> None:
        self.session, self.token = session, token
        self.watchers = 0
        self.last_s = time.monotonic()
        self.lock = threading.Lock()
        self._places = threading.BoundedSemaphore(MAX_CONNECTIONS)
        super().__init__(address, _Handler)

    def watched_s(self) -> float:
        """When somebody watched last."""
        with self.lock:
            return time.monotonic() if self.watchers else self.last_s

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that went away is no news."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = _TIMEOUT_S
    server_version = "gatehouse"
    sys_version = ""

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        token, _, name = path.removeprefix("/").partition("/")
        host = self.headers.get("Host", "")
        port = self.server.server_address[1]
        is_ours = host in (f"127.0.0.1:{port}", f"localhost:{port}")  # a name that an attacker owns may lead here
        if not is_ours or not hmac.compare_digest(token.encode(), self.server.token.encode()):
            self._answer(HTTPStatus.NOT_FOUND, "text/plain", b"open the address that the command printed\n")
            return
        self.server.last_s = time.monotonic()
        if name in _PAGES:
            file, kind = _PAGES[name]
            self._answer(HTTPStatus.OK, kind, (files("edge.tuning") / "page" / file).read_bytes())
        elif name == "stream.mjpg":
            self._stream()
        elif name == "status.json":
            self._answer_json(self.server.session.status())
        elif name == "zone":
            self._answer_json(drawn_lines(query))
        else:
            self._answer(HTTPStatus.NOT_FOUND, "text/plain", b"there is no such page\n")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as in the base class
        """The token is in every path."""

    def _stream(self) -> None:
        with self.server.lock:
            self.server.watchers += 1
        try:
            self._head(HTTPStatus.OK, f"multipart/x-mixed-replace; boundary={_BOUNDARY}")
            self.end_headers()
            number = 0
            while not self.server.session.stopped:
                newest, jpeg = self.server.session.picture_after(number)
                if newest > number:
                    number = newest
                    part = f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                    self.wfile.write(part.encode() + jpeg + b"\r\n")
                elif self._is_gone():
                    return
        finally:
            with self.server.lock:
                self.server.watchers -= 1
                self.server.last_s = time.monotonic()

    def _is_gone(self) -> bool:
        """Whether the browser closed the connection: it says nothing else on it."""
        try:
            said: bytes = self.connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
            return not said
        except BlockingIOError:
            return False
        except OSError:
            return True

    def _answer_json(self, value: dict[str, Any]) -> None:
        self._answer(HTTPStatus.OK, "application/json", json.dumps(value).encode())

    def _answer(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self._head(status, kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _head(self, status: HTTPStatus, kind: str) -> None:
        self.send_response(status)
        for name, value in (
            ("Content-Type", kind),
            ("Content-Security-Policy", _POLICY),
            ("Cache-Control", "no-store"),
            ("Referrer-Policy", "no-referrer"),
            ("X-Content-Type-Options", "nosniff"),
            ("Cross-Origin-Resource-Policy", "same-origin"),
        ):
            self.send_header(name, value)


def drawn_lines(query: str) -> dict[str, Any]:
    """The site file's lines for what was drawn, a zone or (of two corners) a line, or what is wrong with it.

    Args:
        query: `id` and `polygon`, a JSON list of [x, y] in fractions of the picture.
    """
    if len(query) > _MAX_QUERY:
        return {"fault": "too many corners"}
    asked = parse_qs(query, max_num_fields=4)
    try:
        corners = json.loads(asked.get("polygon", ["[]"])[0])
        rounded = [[round(min(1.0, max(0.0, float(x))), 3) for x in corner] for corner in corners[:_MAX_CORNERS]]
        name = asked.get("id", [""])[0]
        if len(rounded) == 2:
            line = LineConfig.model_validate({"id": name, "points": rounded})
            return {"toml": f'[[camera.line]]\nid = "{line.id}"\npoints = {_listed(line.points)}\n'}
        zone = ZoneConfig.model_validate({"id": name, "polygon": rounded})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = f"{first['loc'][0]}: " if first["loc"] else ""
        return {"fault": where + first["msg"].removeprefix("Value error, ")}
    except (ValueError, TypeError, RecursionError):
        return {"fault": "polygon: is no list of [x, y]"}
    polygon = _listed(zone.polygon)
    return {"toml": f'[[camera.zone]]\nid = "{zone.id}"\npolygon = {polygon}\nclasses = ["person", "vehicle"]\n'}


def _listed(corners: Sequence[tuple[float, float]]) -> str:
    return "[" + ", ".join(f"[{x:g}, {y:g}]" for x, y in corners) + "]"
