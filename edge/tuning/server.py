"""The tuning page over HTTP: on loopback alone, under a path with a random token, read only, and it ends by itself.

Nothing on it changes anything: what is drawn comes back as lines for the site file, which a person pastes.
"""

import hmac
import json
import secrets
import select
import socket
import threading
import time
from collections.abc import Callable, Sequence
from http import HTTPStatus
from importlib.resources import files
from typing import Any
from urllib.parse import parse_qs

from pydantic import ValidationError

from edge.bounded_http import BoundedHandler, BoundedServer
from edge.tuning.session import TuneSession
from edge.video.config import ZoneConfig
from edge.video.rules.config import LineConfig

IDLE_S = 300.0
"""So long nobody watches before it ends."""

MAX_CONNECTIONS = 12
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

    @property
    def port(self) -> int:
        return self._server.port

    @property
    def url(self) -> str:
        """What a person opens. Whoever knows it sees the camera."""
        return f"http://127.0.0.1:{self.port}/{self._server.token}/"

    def start(self) -> None:
        """Listen."""
        self._server.start()

    def wait(self, pause: Callable[[float], object] = time.sleep) -> None:
        """Return when nobody has watched for `idle_s`."""
        while self._server.watched_s() + self._idle_s > time.monotonic():
            pause(min(0.5, self._idle_s / 4))

    def stop(self) -> None:
        """Close everything."""
        self._server.stop()


class _Server(BoundedServer):
    def __init__(self, address: tuple[str, int], session: TuneSession, token: str) -> None:
        self.session, self.token = session, token
        self.watchers = 0
        self.last_s = time.monotonic()
        self.lock = threading.Lock()
        super().__init__(address, _Handler, MAX_CONNECTIONS, "tune-http")

    def watched_s(self) -> float:
        """When somebody watched last."""
        with self.lock:
            return time.monotonic() if self.watchers else self.last_s


class _Handler(BoundedHandler):
    server: _Server
    timeout = 10.0
    always = (
        ("Content-Security-Policy", _POLICY),
        ("Cache-Control", "no-store"),
        ("Referrer-Policy", "no-referrer"),
        ("X-Content-Type-Options", "nosniff"),
        ("Cross-Origin-Resource-Policy", "same-origin"),
    )

    def get(self) -> None:
        path, _, query = self.path.partition("?")
        token, _, name = path.removeprefix("/").partition("/")
        host = self.headers.get("Host", "")
        port = self.server.port
        is_ours = host in (f"127.0.0.1:{port}", f"localhost:{port}")  # a name that an attacker owns may lead here
        if not is_ours or not hmac.compare_digest(token.encode(), self.server.token.encode()):
            self.answer(HTTPStatus.NOT_FOUND, "text/plain", b"open the address that the command printed\n")
            return
        self.server.last_s = time.monotonic()
        if name in _PAGES:
            file, kind = _PAGES[name]
            self.answer(HTTPStatus.OK, kind, (files("edge.tuning") / "page" / file).read_bytes())
        elif name == "stream.mjpg":
            self._stream()
        elif name == "status.json":
            self._answer_json(self.server.session.status())
        elif name == "zone":
            self._answer_json(drawn_lines(query))
        else:
            self.answer(HTTPStatus.NOT_FOUND, "text/plain", b"there is no such page\n")

    def _stream(self) -> None:
        with self.server.lock:
            self.server.watchers += 1
        try:
            self.begin(HTTPStatus.OK, f"multipart/x-mixed-replace; boundary={_BOUNDARY}")
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
            if not select.select([self.connection], [], [], 0)[0]:  # a socket with a time-out would wait for it
                return False
            return not self.connection.recv(1, socket.MSG_PEEK)
        except OSError:
            return True

    def _answer_json(self, value: dict[str, Any]) -> None:
        self.answer(HTTPStatus.OK, "application/json", json.dumps(value).encode())


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
