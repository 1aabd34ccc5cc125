"""`/healthz` and `/metrics` over HTTP on loopback: reads what others report, changes nothing.

Bounded: a few connections at a time, seconds for each, GET only; more connections are closed at once.
"""

import json
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

MAX_CONNECTIONS = 8
_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class Health:
    """`is_well` decides between 200 and 503; `details` is shown as JSON."""

    is_well: bool
    details: Mapping[str, Any]


class _Handler(BaseHTTPRequestHandler):
    server: "_Server"
    timeout = _TIMEOUT_S
    server_version = "gatehouse"
    sys_version = ""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/healthz":
            health = self.server.health()
            status = HTTPStatus.OK if health.is_well else HTTPStatus.SERVICE_UNAVAILABLE
            self._answer(status, "application/json", json.dumps(health.details, default=str).encode())
        elif path == "/metrics":
            self._answer(HTTPStatus.OK, CONTENT_TYPE_LATEST, generate_latest(self.server.registry))
        else:
            self._answer(HTTPStatus.NOT_FOUND, "text/plain", b"try /healthz or /metrics\n")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as in the base class
        """A probe every few seconds is no news."""

    def _answer(self, status: HTTPStatus, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 16

    def __init__(self, address: tuple[str, int], health: Callable[[], Health], registry: CollectorRegistry) -> None:
        self.health = health
        self.registry = registry
        self._places = threading.BoundedSemaphore(MAX_CONNECTIONS)
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, _Handler)

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
        """A client that went away is no news."""


class HealthServer:
    """A part of the daemon.

    Args:
        host: a loopback address; the configuration checks that.
        port: 0 takes a free one; `port` then tells it.
    """

    def __init__(self, host: str, port: int, health: Callable[[], Health], registry: CollectorRegistry) -> None:
        self._address = (host, port)
        self._health, self._registry = health, registry
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Listen.

        Raises:
            OSError: if the port is taken.
        """
        self._server = _Server(self._address, self._health, self._registry)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.2}, name="health", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
        if self._thread is not None:
            self._thread.join(2.0)

    @property
    def failure(self) -> str | None:
        if self._thread is not None and not self._thread.is_alive():
            return "the HTTP server ended"
        return None

    @property
    def port(self) -> int:
        """The port that it listens on; 0 before `start`."""
        return int(self._server.server_address[1]) if self._server is not None else 0
