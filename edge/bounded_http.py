"""A small HTTP server for a person or a probe at the machine itself: GET alone, and nothing it is sent can hold it up.

Its policy, which whoever serves a page with it gets:

- `max_connections` at a time, a thread for each. One more is closed at once, unread; none waits for a place.
- A request must be whole `BoundedHandler.timeout` seconds after its connection, however slowly it drips; each write of
  an answer has as long. A connection carries one request (HTTP/1.0).
- Threads are daemons: a client that holds on keeps nobody from stopping.
- A client that goes away is no news. A fault in the code that answers is logged, and ends that connection alone.

It knows no path, checks no right and is meant for loopback: what is served is for its user to say.
"""

import io
import logging
import socket
import sys
import threading
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

_log = logging.getLogger(__name__)


class BoundedHandler(BaseHTTPRequestHandler):
    """Answers one connection; `get` is for who derives from it."""

    timeout: ClassVar[float] = 5.0
    server_version = "gatehouse"
    sys_version = ""
    always: ClassVar[tuple[tuple[str, str], ...]] = (("Cache-Control", "no-store"),)
    """Headers of every answer."""

    def setup(self) -> None:
        super().setup()
        self.rfile.close()
        self.rfile = io.BufferedReader(_ReadUntil(self.connection, time.monotonic() + self.timeout))

    def do_GET(self) -> None:
        self.get()

    def get(self) -> None:
        """Answer the request for `path`, with `answer`, or with `begin` and writes to `wfile`."""
        raise NotImplementedError  # each server says what it answers

    def answer(self, status: HTTPStatus, content_type: str, body: bytes) -> None:
        """A whole answer."""
        self.begin(status, content_type, ("Content-Length", str(len(body))))
        self.wfile.write(body)

    def begin(self, status: HTTPStatus, content_type: str, *more: tuple[str, str]) -> None:
        """An answer's head; the body is the caller's to write."""
        self.send_response(status)
        for name, value in (("Content-Type", content_type), *self.always, *more):
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as in the base class
        """A probe every few seconds is no news, and a path may hold a secret."""


class BoundedServer(ThreadingHTTPServer):
    """Listens from the moment it is made, and answers between `start` and `stop`.

    Args:
        address: a host, of IPv4 or IPv6, and a port; 0 takes a free one, and `port` tells it.
        name: of its thread.

    Raises:
        OSError: if the port is taken.
    """

    daemon_threads = True
    request_queue_size = 16

    def __init__(
        self, address: tuple[str, int], handler: type[BoundedHandler], max_connections: int, name: str
    ) -> None:
        self._places = threading.BoundedSemaphore(max_connections)
        self._thread = threading.Thread(
            target=self.serve_forever, kwargs={"poll_interval": 0.1}, name=name, daemon=True
        )
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, handler)

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    @property
    def has_ended(self) -> bool:
        """Whether it answers no more, without having been stopped."""
        return self._thread.ident is not None and not self._thread.is_alive()

    def start(self) -> None:
        """Answer, in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Close the port; what is being answered is left to its threads."""
        if self._thread.is_alive():
            self.shutdown()
        self.server_close()
        if self._thread.ident is not None:
            self._thread.join(5.0)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:  # no thread could be started, so none will give the place back
            self._places.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, *_: Any) -> None:
        if not isinstance(sys.exception(), OSError):
            _log.exception("an HTTP request could not be answered", extra={"server": self._thread.name})


class _ReadUntil(io.RawIOBase):
    """Reads from a socket until a moment of the monotonic clock; then it raises TimeoutError."""

    def __init__(self, connection: socket.socket, end_s: float) -> None:
        self._connection, self._end_s = connection, end_s

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left_s = self._end_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        usual_s = self._connection.gettimeout()
        self._connection.settimeout(left_s)
        try:
            return self._connection.recv_into(buffer)
        finally:
            self._connection.settimeout(usual_s)
