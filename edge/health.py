"""`/healthz` and `/metrics` over HTTP on loopback: reads what others report, changes nothing.

Bounded: `MAX_CONNECTIONS` at a time; the rest of the policy is `edge.bounded_http`'s.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from edge.bounded_http import BoundedHandler, BoundedServer

MAX_CONNECTIONS = 8


@dataclass(frozen=True)
class Health:
    """`is_well` decides between 200 and 503; `details` is shown as JSON."""

    is_well: bool
    details: Mapping[str, Any]


class _Handler(BoundedHandler):
    server: "_Server"

    def get(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/healthz":
            health = self.server.health()
            status = HTTPStatus.OK if health.is_well else HTTPStatus.SERVICE_UNAVAILABLE
            self.answer(status, "application/json", json.dumps(health.details, default=str).encode())
        elif path == "/metrics":
            self.answer(HTTPStatus.OK, CONTENT_TYPE_LATEST, generate_latest(self.server.registry))
        else:
            self.answer(HTTPStatus.NOT_FOUND, "text/plain", b"try /healthz or /metrics\n")


class _Server(BoundedServer):
    def __init__(self, address: tuple[str, int], health: Callable[[], Health], registry: CollectorRegistry) -> None:
        self.health = health
        self.registry = registry
        super().__init__(address, _Handler, MAX_CONNECTIONS, "health")


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

    def start(self) -> None:
        """Listen.

        Raises:
            OSError: if the port is taken.
        """
        self._server = _Server(self._address, self._health, self._registry)
        self._server.start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.stop()

    @property
    def failure(self) -> str | None:
        return "the HTTP server ended" if self._server is not None and self._server.has_ended else None

    @property
    def port(self) -> int:
        """The port that it listens on; 0 before `start`."""
        return self._server.port if self._server is not None else 0
