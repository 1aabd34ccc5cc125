"""The policy of the small HTTP server, over real sockets: what holds it up, and what ends a connection."""

import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.server import ThreadingHTTPServer

import pytest

from edge.bounded_http import BoundedHandler, BoundedServer
from tests.support.gateways import eventually

PLACES = 3
REQUEST = b"GET / HTTP/1.0\r\n\r\n"
MUCH = bytes(16 << 20)
"""More than the kernel keeps for a client that does not read."""


class Handler(BoundedHandler):
    timeout = 1.0

    def get(self) -> None:
        if self.path == "/fault":
            raise ValueError("a fault of ours")
        self.answer(HTTPStatus.OK, "text/plain", MUCH if self.path == "/much" else b"well")


class Patient(Handler):
    timeout = 60.0


@contextmanager
def serving(handler: type[BoundedHandler] = Handler, places: int = PLACES) -> Iterator[BoundedServer]:
    server = BoundedServer(("127.0.0.1", 0), handler, places, "test-http")
    server.start()
    try:
        yield server
    finally:
        server.stop()


def connected(server: BoundedServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), 30.0)


def asked(server: BoundedServer, request: bytes = REQUEST) -> bytes:
    """All that comes until the connection is closed; a reset is nothing more."""
    said = b""
    with connected(server) as line, suppress(ConnectionError):
        line.sendall(request)
        while more := line.recv(65536):
            said += more
    return said


def is_answered(server: BoundedServer) -> bool:
    return asked(server).startswith(b"HTTP/1.0 200")


def test_an_answer_is_whole_and_says_that_nobody_is_to_keep_it() -> None:
    with serving(Patient) as server:
        head, _, body = asked(server).partition(b"\r\n\r\n")
    assert body == b"well"
    for line in (b"Content-Type: text/plain", b"Content-Length: 4", b"Cache-Control: no-store", b"Server: gatehouse"):
        assert line in head


def test_one_connection_too_many_is_closed_at_once_and_a_place_given_back_serves_again() -> None:
    with serving(Patient) as server:
        held = [connected(server) for _ in range(PLACES)]
        assert asked(server) == b""
        for line in held:
            line.close()
        eventually(lambda: is_answered(server), what="a place that was given back")


def test_a_request_that_drips_in_does_not_keep_its_place() -> None:
    with serving(places=1) as server, connected(server) as slow:
        slow.settimeout(0.05)
        ended = False

        def is_closed() -> bool:
            nonlocal ended
            try:
                slow.sendall(b"G")
                ended = slow.recv(1) == b""
            except TimeoutError:
                pass
            except ConnectionError:
                ended = True
            return ended

        eventually(is_closed, what="the end of a connection that never stops sending")
        eventually(lambda: is_answered(server), what="its place")


def test_a_client_that_does_not_read_its_answer_does_not_keep_its_place() -> None:
    with serving(places=1) as server, connected(server) as deaf:
        deaf.sendall(b"GET /much HTTP/1.0\r\n\r\n")
        eventually(lambda: is_answered(server), what="its place")


def test_where_no_thread_can_be_started_the_place_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = threading.Event()
    usual = ThreadingHTTPServer.process_request

    def refuse_once(server: ThreadingHTTPServer, request: socket.socket, client_address: tuple[str, int]) -> None:
        if not failed.is_set():
            failed.set()
            raise RuntimeError("can't start new thread")
        usual(server, request, client_address)

    monkeypatch.setattr(ThreadingHTTPServer, "process_request", refuse_once)
    with serving(places=1) as server:
        assert asked(server) == b""
        assert failed.is_set()
        eventually(lambda: is_answered(server), what="the only place")


def test_a_fault_of_ours_is_logged_and_a_client_that_went_away_is_no_news(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR), serving(Patient, places=1) as server:
        with connected(server) as gone:
            gone.sendall(b"GET /much HTTP/1.0\r\n\r\n")
            assert gone.recv(1)
        eventually(lambda: is_answered(server), what="its place")
        assert not caplog.records
        eventually(lambda: asked(server, b"GET /fault HTTP/1.0\r\n\r\n") == b"" and bool(caplog.records), what="a line")
        eventually(lambda: is_answered(server), what="its place")
    assert {record.exc_info[0] for record in caplog.records if record.exc_info} == {ValueError}


def test_who_holds_on_keeps_nobody_from_stopping() -> None:
    with serving(Patient) as server, connected(server):
        assert not server.has_ended
        began_s = time.monotonic()
        server.stop()
        assert time.monotonic() - began_s < Patient.timeout / 2
        assert server.has_ended
        with pytest.raises(ConnectionRefusedError):
            connected(server)


def test_one_that_was_never_started_can_be_stopped() -> None:
    server = BoundedServer(("127.0.0.1", 0), Handler, PLACES, "test-http")
    assert not server.has_ended
    server.stop()
    server.stop()
